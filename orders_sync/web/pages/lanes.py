"""The page of the lanes: what each does, how far it is, and when it runs next. Accounts are paused and resumed here."""

from datetime import UTC, datetime
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from orders_sync.acts.by import By
from orders_sync.config.pages import LANES_PAGE
from orders_sync.config.schedules import load_schedules
from orders_sync.database.engine import connect
from orders_sync.lanes.activity import Activity, activity
from orders_sync.lanes.history import LaneState, lane_states
from orders_sync.lanes.pauses import pause_account, pause_of, paused_accounts, resume_account
from orders_sync.lanes.refusals import Refusal
from orders_sync.marketplaces.kit.accounts import check_account_name, lanes_on, load_accounts
from orders_sync.model.errors import UserFacingError
from orders_sync.model.texts import MAX_REASON_LENGTH, InputError
from orders_sync.model.time_words import span
from orders_sync.web.pages.frame import Frame, name_of_user, text_of
from orders_sync.web.pages.rendering import form_of

APPLICATION = "orders_sync web"


class ShownLane(NamedTuple):
    """A lane as the page shows it."""

    state: LaneState
    doing: Activity
    lag: str
    next_tick: datetime | None
    """None: the lane pauses."""


class ShownAccount(NamedTuple):
    """An account as the page shows it."""

    is_paused: bool
    notices: list[str]
    """Why lanes of it pause, each reason once."""
    lanes: list[ShownLane]


class LanePages:
    """The page of the lanes, and its form."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[BaseRoute]:
        """The routes of the page."""
        return [Route(LANES_PAGE, self.lanes), Route(f"{LANES_PAGE}/pause", self.pause, methods=["POST"])]

    def lanes(self, request: Request) -> Response:
        """All lanes, by account."""
        accounts, problems = load_accounts()
        schedules, now = load_schedules(), datetime.now(UTC)
        shown: dict[str, ShownAccount] = {}
        with connect(application=APPLICATION) as connection:
            pauses = paused_accounts(connection)
            for name in accounts:
                notices = [str(pauses[name])] if name in pauses else []
                shown[name] = ShownAccount(name in pauses, notices, [])
            for state in lane_states(connection, lanes_on(accounts)):
                account = accounts[state.lane.account]
                pause = pause_of(connection, account, state.lane.sync_type)
                doing = activity(state, now, pause)
                own = schedules.for_account(account.settings.schedules)
                tick = None if pause is not None else own.next_tick(state.lane.sync_type, now)
                if isinstance(pause, Refusal) and pause.problem not in shown[account.name].notices:
                    shown[account.name].notices.append(pause.problem)
                shown[account.name].lanes.append(ShownLane(state, doing, span(state.lag(now)), tick))
            limits = connection.execute(_LIMITS, [list(accounts)]).fetchall()
        return self._frame.page(
            request, "lanes.html", shown=shown, limits=limits, problems=sorted(problems),
            done=request.query_params.get("done"), max_reason=MAX_REASON_LENGTH,
        )  # fmt: skip

    async def pause(self, request: Request) -> Response:
        """Pauses an account, or resumes it; on record with the reason."""
        form = await form_of(request)
        if (refused := self._frame.foreign_form(request, form)) is not None:
            return refused
        account, reason = (text_of(form, name) for name in ("account", "reason"))
        resumes = form.get("resume") == "yes"
        try:
            by = By.checked(name_of_user(request), reason, via=f"page {LANES_PAGE}")
            await run_in_threadpool(_resume if resumes else _pause, account, by)
        except (InputError, UserFacingError) as problem:
            text = f"Nothing was changed: {problem}"
            return self._frame.page(request, "message.html", 400, title="Not done", text=text)
        return RedirectResponse(f"{LANES_PAGE}?done={'resumed' if resumes else 'paused'}", 303)


def _pause(account: str, by: By) -> None:
    check_account_name(account)
    with connect(application=APPLICATION) as connection:
        pause_account(connection, account, by)


def _resume(account: str, by: By) -> None:
    with connect(application=APPLICATION) as connection:
        resume_account(connection, account, by)


_LIMITS = """
SELECT account, bucket, greatest(0, extract(epoch FROM next_slot - now())),
  CASE WHEN blocked_until > now() THEN blocked_until END,
  CASE WHEN day = (now() AT TIME ZONE 'UTC')::date THEN day_calls ELSE 0 END
FROM rate_limits WHERE account = ANY(%s) ORDER BY account, bucket
"""
