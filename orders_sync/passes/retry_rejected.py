"""Tries all rejected records of an account again."""

from collections.abc import Generator
from contextlib import closing, contextmanager

from orders_sync.config.account import SellerAccount
from orders_sync.lanes.lock import hold
from orders_sync.marketplaces.kit.rate_limits import check_pause
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync import care, new
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.pass_request import PassRequest
from orders_sync.sync.rejected_records import unresolved
from orders_sync.sync.running_pass import RunningPass


def retry_rejected_records(account: SellerAccount, run_id: str) -> tuple[int, int]:
    """Tries all rejected records of an account again; returns how many passed and how many are still rejected.

    Holds the lanes `new` and `care` of the account, one after the other. Raises LaneBusyError if another run holds
    one of them, AccountConfigError if the account can't be used, and MarketplaceError if a record can't be fetched.
    """
    with _hold_lane(account, SyncType.NEW, run_id) as pass_:
        new.retry_rejected(pass_, OrderMerger(pass_.connection, account.name, pass_.adapter.decode_order), limit=None)
        passed = pass_.summary.created + pass_.summary.changed
    with _hold_lane(account, SyncType.CARE, run_id) as pass_:
        care.retry_rejected(pass_, limit=None)
        passed += pass_.summary.created + pass_.summary.changed
        left = sum(len(unresolved(pass_.connection, account.name, kind)) for kind in ("order", "care"))
    return passed, left


@contextmanager
def _hold_lane(account: SellerAccount, sync_type: SyncType, run_id: str) -> Generator[RunningPass]:
    """Holds a lane with its adapter open, for work that is not a whole pass."""
    lane = Lane(account.name, sync_type)
    with hold(lane, run_id, wait_seconds=30.0) as connection:
        check_pause(connection, account)
        with closing(open_adapter(account)) as adapter:
            yield RunningPass(PassRequest(account, sync_type, run_id), lane, adapter, connection, PassSummary())
