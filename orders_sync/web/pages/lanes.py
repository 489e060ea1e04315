"""The page of the lanes: what each does, how far it is, and when it runs next. Accounts are paused and resumed here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.config.pages import LANES_PAGE
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_instance.lane_assets import job_name
from orders_sync.dagster_instance.lane_runs import lane_run
from orders_sync.database.engine import Connection
from orders_sync.lanes.activity import Activity, activity
from orders_sync.lanes.history import LaneState, lane_states
from orders_sync.lanes.pauses import pause_account, pause_of, paused_accounts, resume_account
from orders_sync.lanes.refusals import Refusal
from orders_sync.marketplaces.kit.accounts import check_account_name, find_account, lanes_on, load_accounts
from orders_sync.marketplaces.kit.rate_limits import RateLimit
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.texts import InputError
from orders_sync.model.time_words import span
from orders_sync.web.launches import Launch, Launcher
from orders_sync.web.pages.connections import page_connection
from orders_sync.web.pages.frame import Frame, text_of
from orders_sync.web.pages.rendering import url


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


class ShownLimit(NamedTuple):
    """A rate limit of an account as the page shows it."""

    account: str
    bucket: str
    wait_seconds: float
    """Until the next call may start."""
    blocked_until: datetime | None
    """The end of a pause that the marketplace requested."""
    calls_today: int
    published: RateLimit | None
    """None: the marketplace publishes no limit for this bucket."""


class LanePages:
    """The page of the lanes, and its forms."""

    def __init__(self, frame: Frame, launcher: Launcher) -> None:
        self._frame = frame
        self._launcher = launcher

    def routes(self) -> list[BaseRoute]:
        """The routes of the page."""
        return [
            Route(LANES_PAGE, self.lanes),
            Route(f"{LANES_PAGE}/pause", self.pause, methods=["POST"]),
            Route(f"{LANES_PAGE}/run", self.run, methods=["POST"]),
            Route(f"{LANES_PAGE}/check", self.check, methods=["POST"]),
        ]

    def lanes(self, request: Request) -> Response:
        """All lanes, by account."""
        accounts, problems = load_accounts()
        schedules, now = load_schedules(), datetime.now(UTC)
        shown: dict[str, ShownAccount] = {}
        with page_connection() as connection:
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
            limits = _limits(connection, accounts)
        return self._frame.page(
            request, "lanes.html", shown=shown, limits=limits, problems=sorted(problems),
            done=request.query_params.get("done"),
        )  # fmt: skip

    async def pause(self, request: Request) -> Response:
        """Pauses an account, or resumes it; on record with the reason."""

        async def done(form: Mapping[str, str], by: By) -> str:
            resumes = form.get("resume") == "yes"
            await run_in_threadpool(_resume if resumes else _pause, text_of(form, "account"), by)
            return url(LANES_PAGE, done="resumed" if resumes else "paused")

        return await self._frame.form_answer(request, done)

    async def run(self, request: Request) -> Response:
        """Launches a run of one lane, which starts at its watermark as those of its schedule do."""

        async def done(form: Mapping[str, str], by: By) -> str:
            launch = await run_in_threadpool(_run_of, text_of(form, "account"), text_of(form, "sync"))
            return url(LANES_PAGE, run=await self._launcher.launch(request, launch, by))

        return await self._frame.form_answer(request, done)

    async def check(self, request: Request) -> Response:
        """Launches the check of an account: one cheap request to each endpoint."""

        async def done(form: Mapping[str, str], by: By) -> str:
            account = text_of(form, "account")
            await run_in_threadpool(check_account_name, account)
            config = {"ops": {"check_one_account": {"config": {"account": account}}}}
            return url(LANES_PAGE, run=await self._launcher.launch(request, Launch("check_account", config), by))

        return await self._frame.form_answer(request, done, needs_reason=False)


def _limits(connection: Connection, accounts: Mapping[str, SellerAccount]) -> list[ShownLimit]:
    """The rate limits of which the accounts have used something."""
    published = {
        (name, limit.bucket): limit
        for name, account in accounts.items()
        for limit in find_marketplace(account.settings.marketplace).rate_limits
    }
    rows = connection.execute(_LIMITS, [list(accounts)]).fetchall()
    return [
        ShownLimit(name, bucket, wait, until, calls, published.get((name, bucket)))
        for name, bucket, wait, until, calls in rows
    ]


def _pause(account: str, by: By) -> None:
    check_account_name(account)
    with page_connection() as connection:
        pause_account(connection, account, by)


def _resume(account: str, by: By) -> None:
    with page_connection() as connection:
        resume_account(connection, account, by)


def _run_of(name: str, sync_type: str) -> Launch:
    """The run of a lane. Raises UserFacingError if the account can't be used, or where there is no such sync."""
    account = find_account(name)
    if sync_type not in list(SyncType):
        raise InputError(f"there is no sync {sync_type!r}; allowed are {', '.join(SyncType)}")
    lane = Lane(name, SyncType(sync_type))
    schedules = load_schedules().for_account(account.settings.schedules)
    with page_connection() as connection:
        run = lane_run(connection, lane, account.settings.marketplace, schedules)
    return Launch(job_name(lane.sync_type), tags=run.tags, assets=[run.asset.path])


_LIMITS = """
SELECT account, bucket, greatest(0, extract(epoch FROM next_slot - now())),
  CASE WHEN blocked_until > now() THEN blocked_until END,
  CASE WHEN day = (now() AT TIME ZONE 'UTC')::date THEN day_calls ELSE 0 END
FROM rate_limits WHERE account = ANY(%s) ORDER BY account, bucket
"""
