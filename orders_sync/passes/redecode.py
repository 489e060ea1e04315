"""Decodes an account's stored raw records again, on demand, without a call to the marketplace."""

import logging
from contextlib import AbstractContextManager
from datetime import datetime

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import hold
from orders_sync.marketplaces.kit.registry import find_marketplace, opened_adapter
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.hold_lane import WAIT_SECONDS
from orders_sync.sync import redecode
from orders_sync.sync.batch import Origin
from orders_sync.sync.redecode import Redecoded

log = logging.getLogger("orders_sync.sync")


def redecode_account(
    account: SellerAccount, run_id: str, *, since: datetime | None, write: bool, by: By | None = None
) -> Redecoded:
    """Decodes the stored orders and care records again that are dated since then; all of them where it is None.

    `write`: store what differs; else nothing is stored. `by`: the person who does it.

    Holds the lanes that store orders (`new` and `modified`), then
    `care`. Raises LaneBusyError if another run holds one of them, and AccountConfigError if the account can't be used.
    """
    kept = find_marketplace(account.settings.marketplace).kept_fields
    with opened_adapter(account) as adapter:
        # Both lanes that store orders: a record that is replaced meanwhile must not come back.
        with (
            _held(account, SyncType.NEW, run_id) as connection,
            _held(account, SyncType.MODIFIED, run_id),
        ):
            if write and by is not None:
                detail = "" if since is None else f"since {since:%Y-%m-%d %H:%M}"
                note_act(connection, by, Act.REDECODE, On(account.name), detail)
            origin = Origin("redecode", run_id)
            outcome = redecode.redecode_orders(
                connection, account.name, adapter, origin, kept, since=since, write=write
            )
        with _held(account, SyncType.CARE, run_id) as connection:
            cases = redecode.redecode_care_records(
                connection, account.name, adapter, kept, since=since, write=write,
                restocks=account.settings.restock_returns,
            )  # fmt: skip
    outcome.care_records = cases.care_records
    outcome.changed_care_records = cases.changed_care_records
    outcome.differences += cases.differences
    outcome.problems += cases.problems
    if write:
        log.info(
            "%s: run %s decoded %d orders and %d care records again: %d and %d changed, events %d",
            account.name, run_id, outcome.orders, outcome.care_records, outcome.changed_orders,
            outcome.changed_care_records, outcome.events,
        )  # fmt: skip
    return outcome


def _held(account: SellerAccount, sync_type: SyncType, run_id: str) -> AbstractContextManager[Connection]:
    return hold(Lane(account.name, sync_type), run_id, wait_seconds=WAIT_SECONDS)
