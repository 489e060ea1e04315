"""Holds a lane for work that is not a whole pass."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.config.account import SellerAccount
from orders_sync.lanes.lock import hold
from orders_sync.marketplaces.kit.rate_limits import check_pause
from orders_sync.marketplaces.kit.registry import opened_adapter
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.evidence import evidence_kept
from orders_sync.sync.pass_request import PassRequest
from orders_sync.sync.running_pass import RunningPass

WAIT_SECONDS = 30.0
"""How long such work waits for a lane that another run holds."""


@contextmanager
def hold_lane(
    account: SellerAccount, sync_type: SyncType, run_id: str, *, wait_seconds: float = WAIT_SECONDS
) -> Generator[RunningPass]:
    """Holds a lane for the length of the block, with its adapter open.

    Raises LaneBusyError if another run still holds it after `wait_seconds`, AccountConfigError if the account can't be
    used, and PausedError if the marketplace requested a pause that has not ended.
    """
    request = PassRequest(account, sync_type, run_id)
    lane = Lane(account.name, sync_type)
    with hold(lane, run_id, wait_seconds=wait_seconds) as connection:
        check_pause(connection, account)
        with opened_adapter(account) as adapter:
            pass_ = RunningPass.open(request, lane, adapter, connection, PassSummary())
            with evidence_kept(pass_):
                yield pass_
