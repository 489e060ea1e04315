"""What the facts of an order item require of the stock: how many pieces to hold, and how many have left.

Nothing here reads or writes a table.
"""

from collections.abc import Iterator, Mapping, Sequence
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
    """The item, or some of its pieces (ItemFacts.decided_pieces), counts as shipped."""
    NOT_SHIPPED = "not_shipped"
    """A shipment was undone. This is only on record: ItemFacts.over_reported says what follows."""
    STILL_HERE = "still_here"
    """Held pieces are in the warehouse. This is only on record: the lock has released them."""
    HAS_LEFT = "has_left"
    """Held pieces have left. This is only on record: ItemFacts.unreported says what follows."""


class Parcel(NamedTuple):
    """Pieces of an item that left together."""

    pieces: int
    left_at: datetime | None
    """When they left, by the marketplace's clock; None: not known."""


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
    over_reported: int = 0
    """Pieces that the marketplace reported as shipped when the stock job last looked, and that a person says did not
    leave."""
    reported_before: int = 0
    """Pieces that the marketplace reported as shipped when the stock job last looked, of items with over_reported."""
    decided_pieces: int | None = None
    """The pieces that have left by the decision SHIPPED; None: all."""
    unreported: int = 0
    """Cancelled pieces that left all the same, as a person says, and that the marketplace had not reported then."""
    expected: int = 0
    """Pieces that the marketplace was to report as shipped without those, when the stock job last looked."""
    parcels: Sequence[Parcel] = ()
    """When the item's own pieces left, as far as the marketplace says; the earliest first. Of others, see `left_at`."""
    taken: Sequence[Parcel] = ()
    """Pieces that the stock has taken already, with the times of their movements; only where there are `parcels`."""
    may_have_left: bool = False
    """Whether the item has a label: pieces that it does not need any more may be in a parcel that has left."""
    released: Mapping[str, int] = {}
    """By SKU, the pieces that its locks had, and released before a label of the item was known; empty if none did."""
    had_lock: bool = False
    """Whether V1 holds pieces for the item, when V2 goes live."""

    @property
    def key(self) -> ItemKey:
        """(account, item id)."""
        return self.account, self.item_id


class Need(NamedTuple):
    """Pieces of an item to lock, and pieces that have left."""

    hold: int
    gone: int
    is_rest_held: bool = False
    """Whether pieces that its lock has beyond that are held until someone says where they are."""


NOTHING = Need(0, 0)


class Unreported(NamedTuple):
    """Cancelled pieces of an item that left all the same."""

    pieces: int
    """Those that the marketplace does not report as shipped."""
    expected: int
    """See ItemFacts. What the marketplace reports beyond is some of those that left."""


NONE_UNREPORTED = Unreported(0, 0)


def need_of(facts: ItemFacts, *, has_lock: bool, left: int = 0) -> Need:
    """What an item requires.

    The marketplace's numbers of pieces decide where it gives them; otherwise the status decides on all pieces.
    `has_lock`: whether the item holds pieces or waits for some. A status that keeps a lock makes none. `left`: the
    pieces that have left by the item's movements; they count where some are unreported.
    """
    if not facts.is_goods:
        return NOTHING
    action = _action_of(facts)
    to_ship = _to_ship(facts)
    gone = _gone(facts, action, to_ship)
    is_released = False
    if facts.decision is not None:  # nearly all items have none
        is_released = facts.decision == Decision.RELEASE
        action = LockAction.LOCK if facts.decision == Decision.LOCK else action
    is_kept = action is LockAction.KEEP and (has_lock or facts.had_lock)
    is_needed = not is_released and (action is LockAction.LOCK or is_kept)
    hold = max(0, to_ship - gone) if is_needed else 0
    if facts.unreported:
        unreported = unreported_now(facts, has_lock=has_lock, left=left)
        # Where more is to be shipped again, the first pieces of it are those that have left already.
        hold -= min(hold, unreported.pieces, max(0, to_ship - max(unreported.expected, gone)))
        gone += unreported.pieces
    return Need(hold, gone, facts.may_have_left and not is_released)


def _gone(facts: ItemFacts, action: LockAction, to_ship: int) -> int:
    """The pieces that have left without the unreported ones, by the marketplace's report and people's decisions."""
    reported = _reported(facts, action, to_ship)
    over = _still_over_reported(facts, reported) if facts.over_reported else 0
    match facts.decision:
        case Decision.LOCK | Decision.RELEASE:
            return max(0, (facts.shipped or 0) - over)
        case Decision.SHIPPED:
            # Those that V1 consumed have left, also if the marketplace reports them as cancelled.
            decided = to_ship if facts.decided_pieces is None else min(facts.quantity, facts.decided_pieces)
            return max(reported, decided)
        case _:
            return reported - over


def reported_pieces(facts: ItemFacts) -> int:
    """The pieces of an item that have left, by what the marketplace reports."""
    return _reported(facts, _action_of(facts), _to_ship(facts))


def _reported(facts: ItemFacts, action: LockAction, to_ship: int) -> int:
    return to_ship if facts.shipped is None and action is LockAction.CONSUME else facts.shipped or 0


def over_reported_now(facts: ItemFacts) -> int:
    """The pieces that the marketplace reports as shipped now, and that did not leave, as a person says."""
    return _still_over_reported(facts, reported_pieces(facts))


def _still_over_reported(facts: ItemFacts, reported: int) -> int:
    """Where the marketplace reports fewer pieces than before, it has corrected so many."""
    return max(0, min(reported, facts.over_reported - max(0, facts.reported_before - reported)))


def unreported_now(facts: ItemFacts, *, has_lock: bool, left: int) -> Unreported:
    """The cancelled pieces that left all the same, and that the marketplace does not report as shipped by now.

    It is to report no more others than those that are to be shipped, or have left. `has_lock`, `left`: see `need_of`.
    """
    if not facts.unreported:
        return NONE_UNREPORTED
    action, to_ship = _action_of(facts), _to_ship(facts)
    gone = _gone(facts, action, to_ship)
    if facts.decision == Decision.LOCK:
        action = LockAction.LOCK
    is_kept = action is LockAction.KEEP and (has_lock or facts.had_lock)
    is_to_ship = is_kept or action in (LockAction.LOCK, LockAction.CONSUME)
    expected = min(facts.expected, max(0, left - facts.unreported, to_ship if is_to_ship else 0))
    return Unreported(max(0, facts.unreported - max(0, gone - expected)), expected)


def leaving(facts: ItemFacts, left_before: int, pieces: int) -> Iterator[Parcel]:
    """When pieces of an item left that are known to have left only now. `left_before`: those before them in parcels.

    What left before was in the parcel that left then, or last before: its own time may be when that was noticed. What
    left at no known time was in the earliest parcels.
    """
    for parcel in _parcels_without(facts, left_before):
        if found := min(parcel.pieces, pieces):
            pieces -= found
            yield Parcel(found, parcel.left_at)
    if pieces:
        yield Parcel(pieces, facts.left_at)


def _parcels_without(facts: ItemFacts, left_before: int) -> Iterator[Parcel]:
    rest, taken = [parcel.pieces for parcel in facts.parcels], [each.pieces for each in facts.taken]
    pairs = sorted(
        (parcel.left_at > each.left_at, abs(parcel.left_at - each.left_at), number, own)
        for number, parcel in enumerate(facts.parcels)
        for own, each in enumerate(facts.taken)
        if parcel.left_at is not None and each.left_at is not None
    )
    for *_, number, own in pairs:
        found = min(rest[number], taken[own], left_before)
        rest[number], taken[own], left_before = rest[number] - found, taken[own] - found, left_before - found
    for parcel, pieces in zip(facts.parcels, rest, strict=True):
        skipped = min(pieces, left_before)
        left_before -= skipped
        yield Parcel(pieces - skipped, parcel.left_at)


def _action_of(facts: ItemFacts) -> LockAction:
    status = facts.order_status if facts.status == _UNKNOWN else facts.status
    return _ACTIONS[status]


_UNKNOWN = Status.UNKNOWN.value
_ACTIONS: Mapping[str, LockAction] = {status.value: meaning.action for status, meaning in LOCK_ACTIONS.items()}


def _to_ship(facts: ItemFacts) -> int:
    return max(0, facts.quantity - facts.cancelled) if facts.cancelled else facts.quantity


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
