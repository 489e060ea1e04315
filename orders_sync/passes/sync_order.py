"""Fetches one order, on demand."""

import logging

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.account import SellerAccount
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.shown_ids import shown_id
from orders_sync.passes.hold_lane import hold_lane
from orders_sync.sync.batch import Origin
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.merge_pages import merge_batch
from orders_sync.sync.put_off import fetch_order
from orders_sync.sync.rejected_records import resolve

log = logging.getLogger("orders_sync.sync")


def sync_order(
    account: SellerAccount,
    order_id: str,
    run_id: str,
    *,
    by: By | None = None,
    reread: bool = False,
    wait_seconds: float = 0.0,
) -> PassSummary:
    """Fetches one order by its id and stores it as a pass would; the summary has the reasons if it is rejected.

    Holds the account's lane `new`, and moves no watermark. Accepts no orderlines: the next pass of `new` does.
    `by`: the person who does it. `reread`: compare it value by value if it is unchanged.

    Raises LaneBusyError if another run holds the lane, UserFacingError if the marketplace has no such order,
    AccountConfigError if the account can't be used, and MarketplaceError if the order can't be fetched.
    """
    with hold_lane(account, SyncType.NEW, run_id, wait_seconds=wait_seconds) as pass_:
        record = fetch_order(pass_.adapter, order_id)
        if record is None:
            raise UserFacingError(
                f"The marketplace of account {account.name} has no order {shown_id(order_id)}. "
                "What is stored stays as it is."
            )
        if by is not None:
            note_act(pass_.connection, by, Act.SYNC_ORDER, On(account.name, order_id))
        origin, kept = Origin("order", run_id), pass_.kept_fields
        merger = OrderMerger(pass_.connection, account.name, pass_.adapter, origin, kept, reread=reread)
        pass_.add(PassSummary(fetched=1))
        if not merge_batch(pass_, merger, [record]).rejected:  # it may have been put off before
            resolve(pass_.connection, account.name, "order", {order_id: None})
        pass_.note_progress()
    log.info("%s: run %s fetched order %s alone", pass_.lane, run_id, shown_id(order_id))
    return pass_.summary
