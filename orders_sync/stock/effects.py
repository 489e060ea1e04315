"""What each status means for the lock of an item: the one table, for the code and for docs/stock.md."""

from enum import StrEnum
from typing import NamedTuple

from orders_sync.sync.statuses import Status


class Effect(StrEnum):
    """What a status asks of the lock."""

    LOCK = "lock"
    CONSUME = "consume"
    RELEASE = "release"
    KEEP = "keep"


class Meaning(NamedTuple):
    effect: Effect
    why: str


#: The status of the item counts. The order's own status counts only for items whose status is unknown.
EFFECTS: dict[Status, Meaning] = {
    Status.AWAITING_PAYMENT: Meaning(Effect.KEEP, "nothing is sold before it is paid; a lock comes with the payment"),
    Status.PENDING: Meaning(Effect.LOCK, "paid: the piece is promised"),
    Status.ACCEPTED: Meaning(Effect.LOCK, "accepted: the piece is promised"),
    Status.SHIPPED: Meaning(Effect.CONSUME, "the piece has left the warehouse"),
    Status.CANCELLED: Meaning(Effect.RELEASE, "the piece stays in the warehouse"),
    Status.REFUNDED_BEFORE_SHIPPING: Meaning(Effect.RELEASE, "the piece stays in the warehouse"),
    Status.REFUNDED_AFTER_SHIPPING: Meaning(
        Effect.KEEP, "the piece left when it was shipped; what comes back enters stock by an import"
    ),
    Status.RETURNED: Meaning(
        Effect.KEEP, "the piece left when it was shipped; what comes back enters stock by an import"
    ),
    Status.UNPAID: Meaning(Effect.RELEASE, "the payment failed: nothing is sold"),
    Status.REMOVED: Meaning(Effect.RELEASE, "the order no longer lists the item"),
    Status.UNKNOWN: Meaning(Effect.KEEP, "nobody knows what the marketplace means; a check reports it"),
}


def effect_of(item_status: str, order_status: str | None = None) -> Effect:
    """What an item's status asks of its lock; the order's where the item's is unknown."""
    status = Status(item_status)
    if status is Status.UNKNOWN and order_status is not None:
        status = Status(order_status)
    return EFFECTS[status].effect


def as_markdown() -> str:
    """The table as docs/stock.md and the UI show it."""
    rows = [f"| `{status}` | {meaning.effect} | {meaning.why} |" for status, meaning in EFFECTS.items()]
    return "\n".join(["| status of the item | the lock | why |", "|---|---|---|", *rows])
