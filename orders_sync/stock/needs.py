"""What the facts of an order item require of the stock: how many pieces to hold, and how many have left.

Nothing here reads or writes a table.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from orders_sync.model.statuses import Status
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.sku_case import SkuCase

ItemKey = tuple[str, str]
"""(account, item id)."""


class Decision(StrEnum):
    """What a person decided about an item's lock. It holds until the item's status changes."""

    LOCK = "lock"
    """The item's pieces are held, whatever its status says."""
    RELEASE = "release"
    """No piece is held."""
    SHIPPED = "shipped"
    """The item counts as shipped."""
    NOT_SHIPPED = "not_shipped"
    """The item does not count as shipped."""


class ItemFacts(NamedTuple):
    """What is stored about an order item, as far as its lock depends on it."""

    account: str
    item_id: str
    order_id: str
    sku: str
    """The marketplace's SKU."""
    is_goods: bool
    """Whether the item is in stock at all; a discount, say, is not."""
    quantity: int
    cancelled: int | None
    """Pieces of `quantity` that will not ship; None if the marketplace does not say."""
    shipped: int | None
    """Pieces of `quantity` that have left; None if the marketplace does not say."""
    status: str
    order_status: str
    ordered_at: datetime | None
    left_at: datetime | None
    """The moment by which what has left had left, by the marketplace's clock: when the order was shipped. If the
    marketplace does not say, when it changed last; of an order that was never seen otherwise, when it was placed."""
    decision: str | None
    """A Decision that still holds."""

    @property
    def key(self) -> ItemKey:
        """(account, item id)."""
        return self.account, self.item_id


class Need(NamedTuple):
    """Pieces of an item to hold, and pieces that have left."""

    hold: int
    gone: int


NOTHING = Need(0, 0)


def need_of(facts: ItemFacts, *, has_lock: bool) -> Need:
    """What an item requires.

    The marketplace's numbers of pieces decide where it gives them; otherwise the status decides on all pieces.
    `has_lock`: whether the item holds pieces or waits for some. A status that keeps a lock makes none.
    """
    if not facts.is_goods:
        return NOTHING
    status = facts.order_status if facts.status == Status.UNKNOWN else facts.status
    action = LOCK_ACTIONS[Status(status)].action
    to_ship = max(0, facts.quantity - (facts.cancelled or 0))
    shipped = facts.shipped or 0
    match facts.decision:
        case None:  # first, since nearly all items have none
            pass
        case Decision.LOCK:
            action = LockAction.LOCK
        case Decision.RELEASE:
            action = LockAction.RELEASE
        case Decision.SHIPPED:
            return Need(0, max(to_ship, shipped))
        case Decision.NOT_SHIPPED:
            return Need(to_ship if action is LockAction.LOCK else 0, 0)
        case _:
            pass
    match action:
        case LockAction.LOCK:
            return Need(max(0, to_ship - shipped), shipped)
        case LockAction.CONSUME:
            return Need(0, to_ship if facts.shipped is None else shipped)
        case LockAction.RELEASE:
            return Need(0, shipped)
        case LockAction.KEEP:
            return Need(max(0, to_ship - shipped) if has_lock else 0, shipped)


class StockPart(NamedTuple):
    """What one piece of a marketplace's SKU takes of a SKU of the stock list."""

    sku: str
    pieces: int


class StockSkus(NamedTuple):
    """What the SKUs of marketplaces are in the stock list, and which spellings of a SKU are one."""

    parts: Mapping[tuple[str, str], Sequence[StockPart]] = {}
    """(account, marketplace's SKU) → its parts. The account '' stands for every account."""
    sku_case: SkuCase = SkuCase.EXACT


def parts_of(account: str, sku: str, stock_skus: StockSkus) -> Sequence[StockPart]:
    """What a marketplace's SKU is in the stock list: itself, if neither an alias nor a bundle is stored for it."""
    parts, sku_case = stock_skus
    sku = sku_case.form(sku)
    return parts.get((account, sku)) or parts.get(("", sku)) or (StockPart(sku, 1),)
