"""What each status means for the lock of an item. The documentation and the UI show the same table."""

from enum import StrEnum
from typing import NamedTuple

from orders_sync.model.statuses import Status


class LockAction(StrEnum):
    """What happens to a lock."""

    LOCK = "lock"
    CONSUME = "consume"
    RELEASE = "release"
    KEEP = "keep"


class Meaning(NamedTuple):
    """What a status does to the lock of an item, with the reason in a sentence."""

    action: LockAction
    why: str


#: The status of the item decides. The order's own status decides only for items whose status is unknown.
LOCK_ACTIONS: dict[Status, Meaning] = {
    Status.AWAITING_PAYMENT: Meaning(
        LockAction.KEEP, "An order that is not paid locks nothing. A lock that exists stays, with the quantity."
    ),
    Status.PENDING: Meaning(LockAction.LOCK, "The order is paid, so its pieces are promised to the buyer."),
    Status.ACCEPTED: Meaning(LockAction.LOCK, "The order is accepted, so its pieces are promised to the buyer."),
    Status.SHIPPED: Meaning(LockAction.CONSUME, "The pieces have left the warehouse."),
    Status.CANCELLED: Meaning(LockAction.RELEASE, "The pieces stay in the warehouse. With a label, they are held."),
    Status.REFUNDED_BEFORE_SHIPPING: Meaning(
        LockAction.RELEASE, "The pieces stay in the warehouse. With a label, they are held."
    ),
    Status.REFUNDED_AFTER_SHIPPING: Meaning(
        LockAction.CONSUME, "The pieces left when they were shipped. What comes back is counted or booked."
    ),
    Status.RETURNED: Meaning(
        LockAction.CONSUME, "The pieces left when they were shipped. What comes back is counted or booked."
    ),
    Status.UNPAID: Meaning(LockAction.RELEASE, "The payment failed, so nothing is sold."),
    Status.REMOVED: Meaning(LockAction.RELEASE, "The order no longer lists the item."),
    Status.UNKNOWN: Meaning(LockAction.KEEP, "The marketplace has not published this state. A check reports it."),
}
