"""Decisions about an item's lock that are refused, since they could not do what they say.

Nothing here reads or writes a table.
"""

from orders_sync.model.statuses import Status
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.needs import Decision, ItemFacts, over_reported_now, reported_pieces


def refusal(item: ItemFacts, decision: Decision) -> str | None:
    """Why an item can't be locked or released, in one sentence; None where it can.

    What is stored about the item counts, also if the stock job has yet to look at it.
    """
    if decision not in (Decision.LOCK, Decision.RELEASE):
        return None
    if why := _why_left(item):
        return f"The item {item.item_id} {why}: its pieces have left, and none is held. If not, undo the shipment."
    if decision is Decision.RELEASE:
        return None
    if not item.is_goods:
        return f"The item {item.item_id} is no goods (e.g. a discount or a service): it takes no stock."
    cancelled, shipped = item.cancelled or 0, item.shipped or 0
    if shipped < item.quantity - cancelled:
        return None
    return (
        f"The item {item.item_id} has no piece to lock: of {item.quantity}, the marketplace reports {cancelled} as "
        f"cancelled and {shipped} as shipped."
    )


def _why_left(item: ItemFacts) -> str | None:
    """By what the item has left; None if it has not, or if a person decided otherwise, or undid the whole shipment."""
    status = item.order_status if item.status == Status.UNKNOWN else item.status
    is_undone = 0 < reported_pieces(item) == over_reported_now(item)
    if item.decision is None and not is_undone and LOCK_ACTIONS[Status(status)].action is LockAction.CONSUME:
        return f"is {status}"
    return "was set to shipped by a decision" if item.decision == Decision.SHIPPED else None
