"""Reads the documents of single orders again, on demand."""

from collections.abc import Sequence

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, NotedOnce, On
from orders_sync.config.account import SellerAccount
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.hold_lane import hold_lane
from orders_sync.passes.store_documents import store_due_documents
from orders_sync.sync import incomplete


def refresh_documents(
    account: SellerAccount, order_ids: Sequence[str], run_id: str, by: By | None = None
) -> PassSummary:
    """Reads all documents of these orders, whatever their state, and stores them; the summary has each problem.

    With `store_documents`, fetches the content of those that are not stored yet, too. `by`: the person who does it; an
    order of which something is stored has the act.

    Holds the account's lane `incomplete`. Raises LaneBusyError if another run holds it, UserFacingError if an order is
    not stored, AccountConfigError if the account can't be used, and MarketplaceError if nothing can be read at all.
    """
    with hold_lane(account, SyncType.INCOMPLETE, run_id) as pass_:
        orders = incomplete.of_orders(pass_, order_ids)
        unknown = sorted(set(order_ids) - {order.order_id for order in orders})
        if unknown:
            raise UserFacingError(f"Account {account.name} has no order {', '.join(unknown)}.")
        note = NotedOnce(pass_.connection, by, Act.REFRESH_DOCUMENTS)

        def on_storing(order_id: str) -> None:
            note(On(account.name, order_id))

        incomplete.read_documents(pass_, orders, on_storing)
        store_due_documents(pass_, order_ids, on_storing)
        pass_.note_progress()
    return pass_.summary
