"""What each status means for the lock of an item: the one table, for the code and for docs/stock.md."""

from enum import StrEnum
from typing import NamedTuple

from orders_sync.model.statuses import Status


class LockAction(StrEnum):
    """What a status asks of the lock."""

    LOCK = "lock"
    CONSUME = "consume"
    RELEASE = "release"
    KEEP = "keep"


class Meaning(NamedTuple):
    effect: LockAction
    why: str


#: The status of the item counts. The order's own status counts only for items whose status is unknown.
LOCK_ACTIONS: dict[Status, Meaning] = {
    Status.AWAITING_PAYMENT: Meaning(
        LockAction.KEEP, "nothing is sold before it is paid; a lock comes with the payment"
    ),
    Status.PENDING: Meaning(LockAction.LOCK, "paid: the piece is promised"),
    Status.ACCEPTED: Meaning(LockAction.LOCK, "accepted: the piece is promised"),
    Status.SHIPPED: Meaning(LockAction.CONSUME, "the piece has left the warehouse"),
    Status.CANCELLED: Meaning(LockAction.RELEASE, "the piece stays in the warehouse"),
    Status.REFUNDED_BEFORE_SHIPPING: Meaning(LockAction.RELEASE, "the piece stays in the warehouse"),
    Status.REFUNDED_AFTER_SHIPPING: Meaning(
        LockAction.KEEP, "the piece left when it was shipped; what comes back enters stock by an import"
    ),
    Status.RETURNED: Meaning(
        LockAction.KEEP, "the piece left when it was shipped; what comes back enters stock by an import"
    ),
    Status.UNPAID: Meaning(LockAction.RELEASE, "the payment failed: nothing is sold"),
    Status.REMOVED: Meaning(LockAction.RELEASE, "the order no longer lists the item"),
    Status.UNKNOWN: Meaning(LockAction.KEEP, "nobody knows what the marketplace means; a check reports it"),
}


def lock_action_of(item_status: str, order_status: str | None = None) -> LockAction:
    """What an item's status asks of its lock; the order's where the item's is unknown."""
    status = Status(item_status)
    if status is Status.UNKNOWN and order_status is not None:
        status = Status(order_status)
    return LOCK_ACTIONS[status].effect


def as_markdown() -> str:
    """The table as docs/stock.md and the UI show it."""
    rows = [f"| `{status}` | {meaning.effect} | {meaning.why} |" for status, meaning in LOCK_ACTIONS.items()]
    return "\n".join(["| status of the item | the lock | why |", "|---|---|---|", *rows])
