"""One pass of one lane, from the lane's lock to the last line of its summary. The one entry to the four syncs."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import psycopg

from orders_sync.account_settings import Account
from orders_sync.database.engine import Connection
from orders_sync.marketplaces import open_adapter
from orders_sync.sync import care, incomplete, lanes, modified, new, rejected
from orders_sync.sync.context import Pass, PassRequest
from orders_sync.sync.lanes import Lane, SyncType
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.summary import Summary

log = logging.getLogger("orders_sync.sync")


SYNCS: dict[SyncType, Callable[[Pass], None]] = {
    SyncType.NEW: new.sync,
    SyncType.MODIFIED: modified.sync,
    SyncType.CARE: care.sync,
    SyncType.INCOMPLETE: incomplete.sync,
}


class PassFailed(RuntimeError):
    """A pass that stopped; the text is one line for an operator, without buyers' data."""


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
                SYNCS[request.sync_type](work)
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


def retry_rejected_records(account: Account, run_id: str) -> tuple[int, int]:
    """Tries an account's rejected records again, all of them; returns how many pass and how many are left.

    Works under the lanes of `new` and `care`. Raises LaneBusy, AccountProblem or a MarketplaceError.
    """
    with _lane_at_work(account, SyncType.NEW, run_id) as work:
        new.retry_rejected(work, OrderMerger(work.connection, account.name, work.adapter.decode_order), most=None)
        passed = work.summary.created + work.summary.changed
    with _lane_at_work(account, SyncType.CARE, run_id) as work:
        care.retry_rejected(work, most=None)
        passed += work.summary.created + work.summary.changed
        left = sum(len(rejected.unresolved(work.connection, account.name, kind)) for kind in ("order", "care"))
    return passed, left


@contextmanager
def _lane_at_work(account: Account, sync_type: SyncType, run_id: str) -> Generator[Pass]:
    """A lane held, and its adapter open, for work that is not a whole pass."""
    lane = Lane(account.name, sync_type)
    with lanes.hold(lane, run_id, wait_seconds=30.0) as connection:
        adapter = open_adapter(account)
        try:
            yield Pass(PassRequest(account, sync_type, run_id), lane, adapter, connection, Summary())
        finally:
            adapter.close()
