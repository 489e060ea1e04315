"""What items' needs do to their locks and to the levels of their SKUs.

`settle` brings each lock to what its item needs: it takes the pieces that have left, gives back those that are not
needed, and lets the lock wait for the rest. The second step is `share_out` (share_out.py).

Nothing here reads or writes a table, and no argument is changed: all values are immutable, and new ones are returned.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from math import gcd
from typing import NamedTuple

from orders_sync.acts.by import By
from orders_sync.stock.departures import NOT_SHIPPED, SHIPPED, Departure, pieces_of
from orders_sync.stock.input import check_need
from orders_sync.stock.needs import (
    NOTHING,
    ItemFacts,
    ItemKey,
    Need,
    Parcel,
    StockPart,
    StockSkus,
    leaving,
    need_of,
    parts_of,
    unreported_now,
)

LockKey = tuple[str, str, str]
"""(account, item id, SKU)."""
LABEL_CAME_LATE = "it had a label, which was stored only after its pieces were released"
LAST = datetime.max.replace(tzinfo=UTC)


class LockState(StrEnum):
    """The state of an item's lock."""

    LOCKED = "locked"
    """It has all pieces that the item needs."""
    SHORT = "short"
    """It waits for pieces: too few are available, or the SKU is not in the stock list. It keeps those that it has."""
    HELD = "held"
    """The item needs none, but has a label: its pieces may have left. They stay reserved until someone knows."""
    RELEASED = "released"
    """The pieces are no longer needed."""
    CONSUMED = "consumed"
    """The pieces have left the warehouse. Only a person can undo this."""


class Lock(NamedTuple):
    """The pieces of one SKU that an order item holds, waits for or has taken; its fields are columns of stock_locks."""

    account: str
    item_id: str
    sku: str
    order_id: str
    quantity: int
    locked: int
    short: int
    consumed: int
    item_pieces: int
    """Pieces of the item that have left, each counted at one of the item's locks."""
    problem: str | None
    ordered_at: datetime | None
    held: int = 0
    """Pieces that the item does not need any more, and that may have left."""

    @property
    def key(self) -> LockKey:
        """(account, item id, SKU)."""
        return self.account, self.item_id, self.sku

    @property
    def state(self) -> LockState:
        """The state that follows from the pieces."""
        if self.short:
            return LockState.SHORT
        if self.locked:
            return LockState.LOCKED
        if self.held:
            return LockState.HELD
        return LockState.CONSUMED if self.consumed else LockState.RELEASED

    def pieces(self) -> tuple[int, int, int]:
        """The pieces that it has for the item, waits for and has taken."""
        return self.locked, self.short, self.consumed

    def reserved(self) -> int:
        """The pieces that nobody else can have: locked ones, and held ones."""
        return self.locked + self.held

    def own(self) -> int:
        """Of those, the ones that its item has had: a row that was changed in a database tool may have more."""
        return self.held + min(self.locked, max(0, self.quantity - self.consumed - self.short))


NO_DEPARTURES: Mapping[ItemKey, Sequence[Departure]] = {}
NO_PIECES: Mapping[ItemKey, int] = {}


class StockLevel(NamedTuple):
    """The level of a SKU. `on_hand` is None where the SKU is not in the stock list."""

    on_hand: int | None
    reserved: int
    counted_at: datetime | None
    imported_at: datetime | None = None
    """When a stock list with the SKU was last imported, by our clock; None: never."""
    missing: int = 0
    """Pieces that left since the count, and that it did not have."""

    def available(self) -> int:
        """Pieces on hand that no lock holds."""
        return (self.on_hand or 0) - self.reserved

    def counted_after(self, left_at: datetime | None) -> bool:
        """Whether the shelf was counted after pieces had left it: the count does not include them then."""
        return self.counted_at is not None and left_at is not None and left_at <= self.counted_at

    def takes_note_of(self, moved_at: datetime | None) -> bool:
        """Whether pieces that left, or came, at that time change the pieces on hand."""
        return self.on_hand is not None and not self.counted_after(moved_at)


class Cause(NamedTuple):
    """Why an item's lock is looked at. `event_id` is None where no event but, say, a person caused it."""

    text: str
    event_id: int | None = None
    by: By | None = None
    """The person who did it; None: the stock job."""
    left_at: datetime | None = None
    """When held pieces left, as the person says."""


class Movement(NamedTuple):
    """Pieces of a SKU that left, came, or were counted; its fields are columns of stock_movements."""

    sku: str
    kind: str
    pieces: int
    on_hand_change: int
    on_hand: int | None
    account: str
    item_id: str
    reason: str
    made_by: str = ""
    moved_at: datetime | None = None
    """The moment by which the pieces had left, or came; None: now."""
    item_pieces: int = 0
    """Pieces of the item, at the first movement of those that belong together (see departures.py)."""


class Settled(NamedTuple):
    """Locks and levels after a step, the changed ones and others, and what it moved. Causes are those of the locks."""

    locks: dict[LockKey, Lock]
    levels: dict[str, StockLevel]
    movements: list[Movement]
    causes: dict[LockKey, Cause]
    overdrawn: frozenset[str]
    """SKUs of which locks may have to give back what the step took from the pieces on hand."""


def settle(
    items: Iterable[ItemFacts],
    stock_skus: StockSkus,
    causes: Mapping[ItemKey, Cause],
    locks: Mapping[ItemKey, Sequence[Lock]],
    levels: Mapping[str, StockLevel],
    undone: Mapping[ItemKey, Sequence[Departure]] = NO_DEPARTURES,
    still_here: Mapping[ItemKey, int] = NO_PIECES,
    has_left: Mapping[ItemKey, int] = NO_PIECES,
) -> Settled:
    """Brings the locks of items to what the items need, but for the pieces that are yet to be shared out.

    `levels` holds the SKUs of the items in the stock list, and those of the locks. `undone`: what did not leave after
    all. `still_here`: how many held pieces of items are released. `has_left`: how many of them have left, whatever else
    has. Raises KeyError if a level is missing, TooManyPiecesError if an item needs more pieces than a lock can have.
    """
    result = Settled({}, dict(levels), [], {}, frozenset())
    parts_of_ordered: dict[tuple[str, str], Sequence[StockPart]] = {}
    for facts in items:
        key = facts.key
        stored = locks.get(key, ())
        left = pieces_left(stored) if stored else 0
        need = need_of(facts, has_lock=bool(stored) and has_lock(stored), left=left)
        if not stored and need == NOTHING:
            continue
        parts = parts_of_ordered.get((facts.account, facts.sku))
        if parts is None:
            parts = parts_of_ordered[facts.account, facts.sku] = parts_of(facts.account, facts.sku, stock_skus)
        for part in parts:
            check_need(part.sku, part.pieces * (need.hold + need.gone))
        before = _with_new_locks(facts, stored, parts)
        held_parts = parts_of_held(facts, stored, parts) if key in has_left or key in still_here else ()
        if key in has_left:
            moved = _leave(facts, held_parts, [Parcel(has_left[key], causes[key].left_at)], causes[key], result)
        elif need.gone > left:
            in_parcels = left - unreported_now(facts, has_lock=has_lock(stored), left=left).pieces
            parcels = leaving(facts, in_parcels, need.gone - left)
            moved = _leave(facts, parts, parcels, causes[key], result)
        else:
            moved = _undo(facts, undone[key], causes[key], result) if key in undone else {}
            left -= pieces_of(undone[key]) if key in undone else 0
        # What has left beyond what was needed stays gone, and is not needed once more.
        hold = max(0, need.hold - max(0, left - need.gone))
        needed = {part.sku: part.pieces * hold for part in parts}
        released = {part.sku: part.pieces * still_here[key] for part in held_parts} if key in still_here else {}
        spare = _spare(before, parts, moved, hold) if need.is_rest_held else {}
        again = _held_again(facts, need, parts, levels, result) if facts.released else {}
        cause = causes[key]._replace(text=LABEL_CAME_LATE) if again else causes[key]
        for lock in before:
            may_hold = max(lock.held, spare.get(lock.sku, 0)) if need.is_rest_held else 0
            rest = _Rest(may_hold, released.get(lock.sku, 0), again.get(lock.sku, 0))
            _settle_lock(lock, needed.get(lock.sku, 0), moved.get(lock.sku), rest, cause, result)
    return result._replace(overdrawn=overdrawn(levels, result.levels))


def overdrawn(before: Mapping[str, StockLevel], after: Mapping[str, StockLevel]) -> frozenset[str]:
    """The SKUs that have fewer pieces on hand after a step, and fewer than are reserved: see Settled."""
    return frozenset(
        sku
        for sku, level in after.items()
        if level.available() < 0 and (level.on_hand or 0) < (before[sku].on_hand or 0)
    )


def has_lock(locks: Iterable[Lock]) -> bool:
    """Whether an item's locks hold pieces for it, or wait for some."""
    return any(lock.locked or lock.short for lock in locks)


def pieces_left(locks: Iterable[Lock]) -> int:
    """The pieces of an item that have left, by its locks."""
    return sum([lock.item_pieces for lock in locks])


def held_pieces(facts: ItemFacts, locks: Sequence[Lock], parts: Sequence[StockPart]) -> int:
    """The pieces of an item that its locks hold. `parts`: those that its SKU has now."""
    held = {lock.sku: lock.held for lock in locks if lock.held}
    now = {part.sku: part.pieces for part in parts}
    if all(sku in now and pieces % now[sku] == 0 for sku, pieces in held.items()):
        whole = {pieces // now[sku] for sku, pieces in held.items()}
        if len(whole) == 1:
            return whole.pop()
    # The parts are others now, or a count took some pieces: those that are held are those of whole pieces of the item.
    common = gcd(*held.values())
    return next((pieces for pieces in range(min(common, max(1, facts.quantity)), 0, -1) if common % pieces == 0), 0)


def parts_of_held(facts: ItemFacts, locks: Sequence[Lock], parts: Sequence[StockPart]) -> Sequence[StockPart]:
    """What each held piece of an item is, so that all of them are what its locks hold. `parts`: see `held_pieces`."""
    return [StockPart(lock.sku, lock.held // held_pieces(facts, locks, parts)) for lock in locks if lock.held]


class _Rest(NamedTuple):
    """What becomes of pieces that a lock has and its item does not need."""

    may_hold: int
    """So many are held at most; the others are released."""
    still_here: int
    """So many of the held ones are in the warehouse, and are released."""
    again: int
    """So many were released before, and are held now."""


class _Moved(NamedTuple):
    """Pieces of a SKU that left for an item, or did not leave after all (negative)."""

    pieces: int
    item_pieces: int
    problem: str | None


def _spare(locks: Iterable[Lock], parts: Sequence[StockPart], moved: Mapping[str, _Moved], hold: int) -> dict[str, int]:
    """By SKU, what the locks have of whole pieces of an item beyond those that it needs.

    What is left of a set is in no parcel, nor what an alias or a bundle has stopped to stand for.
    """
    had = {lock.sku: lock.own() - (max(0, moved[lock.sku].pieces) if lock.sku in moved else 0) for lock in locks}
    whole = min([max(0, had.get(part.sku, 0)) // part.pieces for part in parts])
    return {part.sku: part.pieces * max(0, whole - hold) for part in parts}


def _held_again(
    facts: ItemFacts,
    need: Need,
    parts: Sequence[StockPart],
    levels: Mapping[str, StockLevel],
    result: Settled,
) -> dict[str, int]:
    """By SKU, what an item released before its label was known, as far as no other order has got it since then."""
    if not need.is_rest_held or need.hold or need.gone:
        return {}
    free = {sku: min(each.available(), result.levels[sku].available()) for sku, each in levels.items()}
    whole = min([max(0, min(facts.released.get(sku, 0), free[sku])) // pieces for sku, pieces in parts])
    return {sku: pieces * whole for sku, pieces in parts}


def _with_new_locks(facts: ItemFacts, stored: Sequence[Lock], parts: Sequence[StockPart]) -> list[Lock]:
    """The item's locks, with one for each of its SKUs."""
    if not stored:
        return [_new_lock(facts, part.sku) for part in parts]
    own = {lock.sku for lock in stored}
    locks = [
        lock
        if lock.order_id == facts.order_id and lock.ordered_at == facts.ordered_at
        else lock._replace(order_id=facts.order_id, ordered_at=facts.ordered_at or lock.ordered_at)
        for lock in stored
    ]
    return [*locks, *[_new_lock(facts, part.sku) for part in parts if part.sku not in own]]


def _new_lock(facts: ItemFacts, sku: str) -> Lock:
    return Lock(facts.account, facts.item_id, sku, facts.order_id, 0, 0, 0, 0, 0, None, facts.ordered_at)


def _leave(
    facts: ItemFacts, parts: Sequence[StockPart], parcels: Iterable[Parcel], cause: Cause, result: Settled
) -> dict[str, _Moved]:
    """Takes what left from the pieces on hand, but for what had left before the shelf was counted."""
    moved: dict[str, _Moved] = {}
    made_by = "" if cause.by is None else cause.by.user
    for parcel in parcels:
        for number, (sku, per_piece) in enumerate(parts):
            pieces, item_pieces = parcel.pieces * per_piece, 0 if number else parcel.pieces
            level, problem, taken = result.levels[sku], None, 0
            if level.on_hand is not None and level.takes_note_of(parcel.left_at):
                taken = min(pieces, level.on_hand)
                if taken < pieces:
                    problem = f"{pieces - taken} of {pieces} pieces left that the stock list did not have"
                level = level._replace(on_hand=level.on_hand - taken, missing=level.missing + pieces - taken)
                result.levels[sku] = level
            result.movements.append(
                Movement(
                    sku, SHIPPED, -pieces, -taken, level.on_hand, facts.account, facts.item_id, cause.text,
                    made_by, parcel.left_at, item_pieces,
                )
            )  # fmt: skip
            before = moved.get(sku)
            moved[sku] = (
                _Moved(pieces, item_pieces, problem)
                if before is None
                else _Moved(before.pieces + pieces, before.item_pieces + item_pieces, problem or before.problem)
            )
    return moved


def _undo(facts: ItemFacts, undone: Iterable[Departure], cause: Cause, result: Settled) -> dict[str, _Moved]:
    """Puts back what did not leave, but for what came back already, or was on the shelf when it was counted."""
    moved: dict[str, _Moved] = {}
    by = cause.by or By("", cause.text)
    for departure in undone:
        for number, part in enumerate(departure.parts):
            pieces, item_pieces = part.pieces * departure.pieces, 0 if number else departure.pieces
            level = result.levels[part.sku]
            put_back = 0
            if level.on_hand is not None and not departure.came_back and level.takes_note_of(departure.left_at):
                # What the count did not have, it does not have now either.
                put_back = max(0, pieces - level.missing)
                level = level._replace(on_hand=level.on_hand + put_back, missing=level.missing - (pieces - put_back))
                result.levels[part.sku] = level
            result.movements.append(
                Movement(
                    part.sku, NOT_SHIPPED, 0 if departure.came_back else pieces, put_back, level.on_hand,
                    facts.account, facts.item_id, by.reason, by.user, departure.left_at,
                    item_pieces,
                )
            )  # fmt: skip
            before = moved.get(part.sku, _Moved(0, 0, None))
            moved[part.sku] = _Moved(before.pieces - pieces, before.item_pieces - item_pieces, None)
    return moved


def _settle_lock(lock: Lock, hold: int, moved: _Moved | None, rest: _Rest, cause: Cause, result: Settled) -> None:
    """One lock: takes what has left from the pieces that it has, then holds or gives back the rest, or waits."""
    account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, problem, ordered_at, held = lock
    if not (quantity or hold or moved or locked or short or held):  # a SKU that the item has now, and needs none of yet
        return
    leaves = 0
    if moved is not None:
        leaves, problem = moved.pieces, moved.problem
        consumed += leaves
        item_pieces += moved.item_pieces
    remaining = lock.reserved() - min(lock.reserved(), max(0, leaves))
    # What did not leave is on the shelf: no held piece, which may be in a parcel, takes its place.
    kept = min(locked if leaves < 0 else remaining, hold)
    held = max(0, min(remaining - kept, rest.may_hold) - rest.still_here) + rest.again
    if kept < hold:
        problem = None
    result.locks[lock.key] = Lock(
        account, item_id, sku, order_id, hold + consumed or quantity, kept, hold - kept, consumed, item_pieces,
        problem, ordered_at, held,
    )  # fmt: skip
    result.causes[lock.key] = cause
    if kept + held != lock.reserved():
        level = result.levels[sku]
        result.levels[sku] = StockLevel(level.on_hand, level.reserved - lock.reserved() + kept + held, *level[2:])
