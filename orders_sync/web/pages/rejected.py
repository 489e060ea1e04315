"""The pages of rejected records and flaws: grouped by reason, with what a person can do about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from orders_sync.acts.by import By
from orders_sync.config.pages import REJECTED_PAGE
from orders_sync.database.engine import Connection
from orders_sync.model.texts import InputError
from orders_sync.sync.dismissals import dismiss_seen
from orders_sync.sync.record_flaws import grouped_flaws
from orders_sync.sync.rejected_records import Selection, grouped, rejected_text, selected, title_of
from orders_sync.web.launches import Launch, Launcher
from orders_sync.web.pages.connections import page_connection
from orders_sync.web.pages.frame import Frame, name_of_user, text_of
from orders_sync.web.pages.rendering import url
from orders_sync.web.pages.texts import indented
from orders_sync.web.users import user_of

MAX_SHOWN = 100
"""So many groups or records are shown."""


class RejectedPages:
    """The pages of rejected records and flaws, and their forms."""

    def __init__(self, frame: Frame, launcher: Launcher) -> None:
        self._frame = frame
        self._launcher = launcher

    def routes(self) -> list[BaseRoute]:
        """The routes of the pages."""
        return [
            Route(REJECTED_PAGE, self.groups),
            Route(f"{REJECTED_PAGE}/records", self.records),
            Route(f"{REJECTED_PAGE}/record", self.record),
            Route(f"{REJECTED_PAGE}/retry", self.retry, methods=["POST"]),
            Route(f"{REJECTED_PAGE}/dismiss", self.dismiss, methods=["POST"]),
        ]

    def groups(self, request: Request) -> Response:
        """The rejected records and the flaws, by reason."""
        with page_connection() as connection:
            shown_at = _now(connection)
            found = grouped(connection, Selection())
            dismissed = grouped(connection, Selection(is_dismissed=True))
            flaws = grouped_flaws(connection)
        return self._frame.page(
            request, "rejected.html", found=found[:MAX_SHOWN], dismissed=dismissed[:MAX_SHOWN], flaws=flaws[:MAX_SHOWN],
            counts=[len(found), len(dismissed), len(flaws)], shown_at=shown_at, done=_done(request),
        )  # fmt: skip

    def records(self, request: Request) -> Response:
        """The records of one group."""
        selection = _selection(request.query_params, is_dismissed=request.query_params.get("dismissed") == "yes")
        with page_connection() as connection:
            shown_at = _now(connection)
            found = selected(connection, selection, MAX_SHOWN + 1)
        return self._frame.page(
            request, "rejected_records.html", selection=selection, found=found[:MAX_SHOWN], most=MAX_SHOWN,
            has_more=len(found) > MAX_SHOWN, may_read_record=not user_of(request.scope).reads_only,
            shown_at=shown_at, done=_done(request),
        )  # fmt: skip

    def record(self, request: Request) -> Response:
        """A record as the marketplace sent it, which may have buyer's data: not for those who only read. On record."""
        account, kind, key = (text_of(request.query_params, name) for name in ("account", "kind", "record"))
        if user_of(request.scope).reads_only:
            text = "A record may have buyer's data. You may see everything but that."
            return self._frame.message(request, 403, "Not allowed", text)
        if not (account and key):
            return RedirectResponse(REJECTED_PAGE, 303)
        by = By(name_of_user(request), "", f"page {REJECTED_PAGE}")
        with page_connection() as connection:
            found = rejected_text(connection, account, kind, key, by)
        if found is None:
            text = f"The account {account} has no rejected {title_of(kind)} {key}."
            return self._frame.message(request, 404, "No such record", text)
        return self._frame.page(
            request, "rejected_record.html", account=account, title=f"Rejected {title_of(kind)} {key}",
            reasons=found.reasons, record=indented(found.raw.decode(errors="replace")),
        )  # fmt: skip

    async def retry(self, request: Request) -> Response:
        """Launches a run that fetches the records again and checks them."""

        async def done(form: Mapping[str, str], by: By) -> str:
            meant = _of_form(form)
            config: dict[str, Any] = {
                "account": meant.account, "kind": meant.kind, "record_id": meant.key, "reason": meant.reason,
                "is_whole_reason": meant.reason and meant.is_whole_reason,
            }  # fmt: skip
            set_ones = {name: value for name, value in config.items() if value is not None}
            launch = Launch("retry_rejected", {"ops": {"retry_rejected_of_accounts": {"config": set_ones}}})
            return url(REJECTED_PAGE, run=await self._launcher.launch(request, launch, by))

        return await self._frame.form_answer(request, done)

    async def dismiss(self, request: Request) -> Response:
        """Dismisses the records that the page has shown; on record with the reason."""

        async def done(form: Mapping[str, str], by: By) -> str:
            shown = text_of(form, "shown_at"), text_of(form, "records")
            count = await run_in_threadpool(_dismiss, _of_form(form), *shown, by)
            return url(REJECTED_PAGE, done=str(count))

        return await self._frame.form_answer(request, done)


def _selection(values: Mapping[str, str], *, is_dismissed: bool = False) -> Selection:
    """The records that a query or a form names. `why`: a reason, since `reason` is that of the person."""
    account, kind, key, why = (text_of(values, name) or None for name in ("account", "kind", "record", "why"))
    return Selection(account, kind, key, why, is_dismissed, is_whole_reason=True)


def _done(request: Request) -> str:
    """How many records a form has dismissed; '' if none has."""
    count = request.query_params.get("done", "")
    return count if count.isdecimal() else ""


def _of_form(form: Mapping[str, str]) -> Selection:
    """The records that a form of the pages names: a group or one record, never more."""
    meant = _selection(form)
    if meant.account is None or meant.kind not in ("order", "care") or (meant.key is None and meant.reason is None):
        raise InputError("the form does not say which records: open the page again")
    return meant


def _now(connection: Connection) -> datetime:
    """The time by the database's clock, by which records are stored."""
    ((now,),) = connection.execute("SELECT clock_timestamp()")
    return now


def _dismiss(selection: Selection, shown_at: str, records: str, by: By) -> int:
    try:
        seen_until, seen = datetime.fromisoformat(shown_at), int(records)
    except ValueError:
        seen_until, seen = None, 0
    if seen_until is None or seen_until.tzinfo is None:
        raise InputError("the form does not say what its page has shown: open it again")
    with page_connection() as connection:
        return dismiss_seen(connection, selection, by, seen_until=seen_until, seen=seen)
