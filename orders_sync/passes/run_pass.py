"""One pass of one lane: takes the lane's lock, syncs, accepts orderlines, stores the summary."""

import logging
import time

import psycopg

from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.acceptance import RefuseAfter
from orders_sync.config.account import MissingCredentialError
from orders_sync.database.engine import Connection, DatabaseUnreachableError
from orders_sync.database.problems import problem_of
from orders_sync.lanes.authority import hold_authority
from orders_sync.lanes.history import finished, started
from orders_sync.lanes.lock import LaneLostError, hold
from orders_sync.lanes.refusals import end_pause, note_refusal
from orders_sync.marketplaces.kit.accounts import overselling_accounts
from orders_sync.marketplaces.kit.errors import BlockedByFirewallError, CredentialRefusedError, place_of
from orders_sync.marketplaces.kit.rate_limits import check_pause
from orders_sync.marketplaces.kit.registry import find_marketplace, opened_adapter
from orders_sync.model.errors import OrdersSyncError, UserFacingError
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.acceptance import (
    AcceptanceOutcome,
    decide_lines,
    orders_to_accept,
    store_decided_orders,
)
from orders_sync.passes.acceptance_plan import rules_of
from orders_sync.passes.acceptance_requests import settle_requests
from orders_sync.passes.evidence import evidence_kept
from orders_sync.passes.noted_progress import progress_noted
from orders_sync.passes.store_documents import store_due_documents
from orders_sync.passes.sync_log import IN_FAILURE
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import has_stock_list
from orders_sync.sync import care, incomplete, modified, new
from orders_sync.sync.contract_drift import store_sample
from orders_sync.sync.pass_request import PassRequest
from orders_sync.sync.running_pass import RunningPass

log = logging.getLogger("orders_sync.sync")

LACKS_A_RIGHT = 403
REFUSALS = (400, 401, LACKS_A_RIGHT)
"""The HTTP statuses of a refused credential; 400 is that of a token endpoint (RFC 6749, 5.2)."""


STOPPED = "it was stopped before its end"
"""The problem of a pass that a person, or the end of its process's parent, has stopped."""


class PassFailedError(UserFacingError):
    """A pass that failed. The text is one line for an operator, without buyers' data."""


def run_pass(request: PassRequest) -> PassSummary:
    """Runs one pass of a lane, and returns its summary.

    Raises LaneBusyError if another run holds the lane, and PassFailedError if the pass fails for any other reason. What
    was committed before a failure stays stored.
    """
    lane = Lane(request.account.name, request.sync_type)
    try:
        return _run(request, lane)
    except DatabaseUnreachableError as problem:
        raise PassFailedError(f"{lane}: {problem}") from None
    except psycopg.Error as error:  # before the pass began, or after its end
        raise PassFailedError(f"{lane}: {problem_of(error)}") from None


def _run(request: PassRequest, lane: Lane) -> PassSummary:
    began = time.monotonic()
    with hold(lane, request.run_id, wait_seconds=request.lane_wait_seconds, report=log.info) as connection:
        lane_run_id = started(connection, lane, request.run_id)
        _note_act(connection, request, lane)
        summary = PassSummary()
        log.info("%s: run %s begins", lane, request.run_id)
        try:
            end_pause(connection, lane)
            check_pause(connection, request.account)
            with opened_adapter(request.account, page_size=request.page_size) as adapter:
                pass_ = RunningPass.open(request, lane, adapter, connection, summary)
                try:
                    with evidence_kept(pass_), progress_noted(pass_, lane_run_id):
                        _act_outside(pass_, _sync(pass_))
                finally:
                    pass_.note_progress()
                    _note_clock(pass_)
                    _note_drift(pass_)
        except BaseException as error:
            summary.seconds = time.monotonic() - began
            if not isinstance(error, Exception | LaneLostError):  # Ctrl-C, or Dagster's own when a run is terminated
                problem = request.why_stopped() or STOPPED
                log.warning("%s: run %s: %s", lane, request.run_id, problem)
                _note_failure(connection, lane, lane_run_id, summary, problem)
                raise
            problem = str(error) if isinstance(error, LaneLostError) else one_line_error(error)
            log.error("%s: run %s failed: %s", lane, request.run_id, problem, extra={IN_FAILURE: True})
            _note_failure(connection, lane, lane_run_id, summary, problem)
            _note_refusal(connection, request, error, problem)
            raise PassFailedError(f"{lane}: {problem}") from None
        summary.seconds = time.monotonic() - began
        finished(connection, lane, lane_run_id, summary, None)
        log.info("%s: run %s done: %s", lane, request.run_id, _in_words(summary))
    return summary


def _note_act(connection: Connection, request: PassRequest, lane: Lane) -> None:
    """Stores who starts the pass by hand, and what differs from a scheduled one."""
    if request.by is None:
        return
    parts = {
        "from": request.start and f"{request.start:%Y-%m-%d %H:%M}",
        "until": request.end and f"{request.end:%Y-%m-%d %H:%M}",
        "days back": request.days_back,
        "every record": "compared" if request.reread else None,
    }
    detail = ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)
    note_act(connection, request.by, Act.SYNC, On(lane.account, other=f"lane {lane}"), detail)


def _sync(pass_: RunningPass) -> list[str]:
    """Fetches and stores. Returns the ids of the orders that wait for the merchant; only `new` lists these."""
    match pass_.lane.sync_type:
        case SyncType.NEW:
            return new.sync(pass_)
        case SyncType.MODIFIED:
            modified.sync(pass_)
        case SyncType.CARE:
            care.sync(pass_)
        case SyncType.INCOMPLETE:
            incomplete.sync(pass_)
            store_due_documents(pass_)
    return []


def _act_outside(pass_: RunningPass, waiting: list[str]) -> None:
    """Accepts and refuses waiting orderlines, as the account allows, if V2 has the authority. Follows the commit."""
    if pass_.lane.sync_type is not SyncType.NEW:
        return
    settle_requests(pass_.connection, pass_.lane.account)
    settings = pass_.request.account.settings
    if not settings.accept_orderlines:
        return
    if find_marketplace(settings.marketplace).acceptance_unit(settings) is None:
        _report_missing_refusal(pass_, has_stock_list=True)
        return
    with hold_authority(pass_.connection) as authority:
        if not authority.is_live(pass_.lane.account):
            return
        order_ids = orders_to_accept(pass_, waiting)
        if not order_ids:
            return
        has_list = has_stock_list(StockConnection(pass_.connection))
        _report_missing_refusal(pass_, has_stock_list=has_list)
        rules = rules_of(settings, has_stock_list=has_list)
        outcomes: list[AcceptanceOutcome] = []
        for outcome in decide_lines(pass_, order_ids, rules, overselling_accounts()):
            outcomes.append(outcome)
            # At once: if a later request fails the pass, its summary still counts this one.
            pass_.add(outcome.summary())
            pass_.note_progress()
        store_decided_orders(pass_, outcomes)
        settle_requests(pass_.connection, pass_.lane.account)


def _report_missing_refusal(pass_: RunningPass, *, has_stock_list: bool) -> None:
    """Reports that no line can be refused, where the account asks for it."""
    settings = pass_.request.account.settings
    marketplace = find_marketplace(settings.marketplace)
    if not isinstance(settings.when_short, RefuseAfter):
        return
    if marketplace.refusal_unit is None:
        pass_.add(PassSummary(problems=[f"when_short: {marketplace.title} has no refusal: lines without stock wait"]))
    elif not has_stock_list:
        pass_.add(PassSummary(problems=["when_short: no stock list was imported: lines without stock wait"]))


def _note_clock(pass_: RunningPass) -> None:
    try:
        problem = pass_.adapter.clock_problem()
    except Exception as error:
        problem = f"the adapter does not say whether its clock was right: {one_line_error(error)}"
    if problem is not None:
        log.warning("%s: %s", pass_.lane, problem)
        pass_.add(PassSummary(problems=[problem]))


def _note_drift(pass_: RunningPass) -> None:
    """Stores what the sample of the pass shows. It concerns no record, so it fails no pass."""
    marketplace = pass_.request.account.settings.marketplace
    try:
        findings = store_sample(pass_.connection, pass_.lane.account, marketplace, pass_.sample)
    except Exception as error:
        log.warning("%s: the sample of its records could not be stored: %s", pass_.lane, one_line_error(error))
        return
    for finding in findings:
        log.warning("%s: contract drift, %s (%s)", pass_.lane, finding, pass_.sample.kind)


def one_line_error(error: Exception) -> str:
    """An error in one line, without buyers' data.

    Of an error that is not the project's own, only the type and the place are given: its text may quote a record.
    """
    if isinstance(error, psycopg.Error):
        return str(problem_of(error))
    if not isinstance(error, OrdersSyncError):
        return f"{type(error).__name__}{place_of(error)}"
    first_line = (str(error).splitlines() or [""])[0]
    return first_line or type(error).__name__


def _note_failure(connection: Connection, lane: Lane, lane_run_id: int, summary: PassSummary, problem: str) -> None:
    try:
        finished(connection, lane, lane_run_id, summary, problem)
    except psycopg.Error:
        log.warning("%s: the failure could not be stored in the database; the next run will store it.", lane)


def _note_refusal(connection: Connection, request: PassRequest, error: BaseException, problem: str) -> None:
    """Lets the lane pause if its credential was refused; the whole account, if no lane can work with it."""
    is_missing = isinstance(error, MissingCredentialError)
    is_refused = isinstance(error, CredentialRefusedError) and error.status in REFUSALS
    if not is_missing and (not is_refused or isinstance(error, BlockedByFirewallError)):
        return
    lane = Lane(request.account.name, request.sync_type)
    pauses_account = is_missing or (isinstance(error, CredentialRefusedError) and error.status != LACKS_A_RIGHT)
    try:
        note_refusal(connection, request.account, request.sync_type, problem, pauses_account=pauses_account)
    except psycopg.Error:
        log.warning("%s: the refusal of its credential could not be stored.", lane)
        return
    what = "all lanes of the account pause" if pauses_account else "the lane pauses"
    log.error(
        "%s: %s until the account's file or credential has changed, or somebody runs it by hand.", lane, what,
        extra={IN_FAILURE: True},
    )  # fmt: skip


def _in_words(summary: PassSummary) -> str:
    numbers = summary.numbers()
    return ", ".join(f"{name} {numbers[name]}" for name in numbers if numbers[name])
