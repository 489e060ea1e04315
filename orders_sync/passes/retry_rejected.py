"""Trying an account's rejected records again, all of them."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.config.account import SellerAccount
from orders_sync.lanes.lock import hold
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync import care, new
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.pass_request import PassRequest
from orders_sync.sync.rejected_records import unresolved
from orders_sync.sync.running_pass import RunningPass


def retry_rejected_records(account: SellerAccount, run_id: str) -> tuple[int, int]:
    """Tries an account's rejected records again, all of them; returns how many pass and how many are left.

    Works under the lanes of `new` and `care`. Raises LaneBusyError, AccountConfigError or a MarketplaceError.
    """
    with _lane_at_work(account, SyncType.NEW, run_id) as pass_:
        new.retry_rejected(pass_, OrderMerger(pass_.connection, account.name, pass_.adapter.decode_order), limit=None)
        passed = pass_.summary.created + pass_.summary.changed
    with _lane_at_work(account, SyncType.CARE, run_id) as pass_:
        care.retry_rejected(pass_, limit=None)
        passed += pass_.summary.created + pass_.summary.changed
        left = sum(len(unresolved(pass_.connection, account.name, kind)) for kind in ("order", "care"))
    return passed, left


@contextmanager
def _lane_at_work(account: SellerAccount, sync_type: SyncType, run_id: str) -> Generator[RunningPass]:
    """A lane held, and its adapter open, for work that is not a whole pass."""
    lane = Lane(account.name, sync_type)
    with hold(lane, run_id, wait_seconds=30.0) as connection:
        adapter = open_adapter(account)
        try:
            yield RunningPass(PassRequest(account, sync_type, run_id), lane, adapter, connection, PassSummary())
        finally:
            adapter.close()
