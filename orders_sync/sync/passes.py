"""One pass of one lane, from the lane's lock to the last line of its summary. The one entry to the four syncs."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from orders_sync.accounts import Account
from orders_sync.database.engine import Connection
from orders_sync.marketplaces import open_adapter
from orders_sync.marketplaces.base import Adapter
from orders_sync.sync import lanes
from orders_sync.sync.lanes import Lane, SyncType
from orders_sync.sync.summary import Summary

log = logging.getLogger("orders_sync.sync")

BATCH = 1000
"""Records merged in one transaction: enough to be set-based, few enough to keep memory flat."""


class PassFailed(RuntimeError):
    """A pass that stopped; the text is one line for an operator, without buyers' data."""


@dataclass
class PassRequest:
    """What to do: which lane, and what differs from the account's settings."""

    account: Account
    sync_type: SyncType
    run_id: str
    start: datetime | None = None
    """Fetch from here on at the latest; earlier if the watermark lies earlier. None: from the watermark."""
    backfill: bool = False
    """Fetch from `start` on whatever the watermark says, and leave the watermark alone."""
    page_size: int | None = None
    days_back: int | None = None
    lane_wait_seconds: float = 0.0
    progress: Callable[[Summary], None] = field(default=lambda _: None)
    """Called after each batch."""


@dataclass
class Pass:
    """A pass under way: what the four syncs work with."""

    request: PassRequest
    lane: Lane
    adapter: Adapter
    connection: Connection
    summary: Summary
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    """By our own clock."""

    def note_progress(self) -> None:
        metrics = self.adapter.metrics()
        self.summary.api_calls = int(metrics["calls"])
        self.summary.retries = int(metrics["retries"])
        self.summary.too_many_requests = int(metrics["too_many_requests"])
        self.summary.throttled_seconds = metrics["throttled_seconds"]
        self.request.progress(self.summary)


def run_pass(request: PassRequest) -> Summary:
    """Runs one pass of a lane to its end and returns what it did.

    Raises LaneBusy when another run works on the lane, AccountProblem when the account can't be used, and
    PassFailed with one line that says why otherwise. What was stored before a failure stays stored.
    """
    lane = Lane(request.account.name, request.sync_type)
    began = time.monotonic()
    with lanes.hold(lane, request.run_id, wait_seconds=request.lane_wait_seconds, told=log.info) as connection:
        lane_run_id = lanes.started(connection, lane, request.run_id)
        summary = Summary()
        log.info("%s: run %s begins", lane, request.run_id)
        try:
            adapter = open_adapter(request.account, page_size=request.page_size)
            try:
                work = Pass(request, lane, adapter, connection, summary)
                _sync_of(request.sync_type)(work)
                work.note_progress()
            finally:
                adapter.close()
        except Exception as error:
            problem = told(error)
            summary.seconds = time.monotonic() - began
            log.error("%s: run %s failed: %s", lane, request.run_id, problem)
            _note_failure(connection, lane, lane_run_id, summary, problem)
            raise PassFailed(f"{lane}: {problem}") from None
        summary.seconds = time.monotonic() - began
        lanes.finished(connection, lane, lane_run_id, summary, None)
        log.info("%s: run %s done: %s", lane, request.run_id, _in_words(summary))
    return summary


def _sync_of(sync_type: SyncType) -> Callable[[Pass], None]:
    from orders_sync.sync import care, incomplete, modified, new

    return {
        SyncType.NEW: new.sync,
        SyncType.MODIFIED: modified.sync,
        SyncType.CARE: care.sync,
        SyncType.INCOMPLETE: incomplete.sync,
    }[sync_type]


def told(error: Exception) -> str:
    """An error in one line without buyers' data.

    PostgreSQL's messages may quote values of the row (DETAIL, CONTEXT): only its primary message is told.
    """
    if isinstance(error, psycopg.Error):
        primary = error.diag.message_primary or str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"the orders database refused or broke off: {primary} (SQLSTATE {error.sqlstate or 'none'})"
    first_line = (str(error).splitlines() or [""])[0]
    return first_line or type(error).__name__


def _note_failure(connection: Connection, lane: Lane, lane_run_id: int, summary: Summary, problem: str) -> None:
    try:
        lanes.finished(connection, lane, lane_run_id, summary, problem)
    except psycopg.Error:
        log.warning("%s: the failure could not be noted in the database; the next run will note it.", lane)


def _in_words(summary: Summary) -> str:
    numbers = summary.numbers()
    return ", ".join(f"{name} {numbers[name]}" for name in numbers if numbers[name])


def retry_rejected_orders(account: Account, run_id: str) -> tuple[int, int]:
    """Tries an account's rejected orders again, all of them; returns how many pass and how many are left.

    Works under the lane of `new`. Raises LaneBusy, AccountProblem or a MarketplaceError.
    """
    from orders_sync.sync import new, rejected
    from orders_sync.sync.merge import OrderMerger

    lane = Lane(account.name, SyncType.NEW)
    with lanes.hold(lane, run_id, wait_seconds=30.0) as connection:
        adapter = open_adapter(account)
        try:
            work = Pass(PassRequest(account, SyncType.NEW, run_id), lane, adapter, connection, Summary())
            merger = OrderMerger(connection, account.name, adapter.decode_order)
            new.retry_rejected(work, merger, most=None)
        finally:
            adapter.close()
        left = len(rejected.unresolved(connection, account.name, "order"))
    return work.summary.created + work.summary.changed, left
