"""What items' needs do to their locks and to the levels of their SKUs.

Two steps. `settle` brings each lock to what its item needs: it takes the pieces that have left, gives back those that
are not needed, and lets the lock wait for the rest. `share_out` then gives available pieces to the locks that wait, the
oldest order first, and takes pieces back from the newest orders where more is held than there is.

Nothing here reads or writes a table, and no argument is changed: all values are immutable, and new ones are returned.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from orders_sync.stock.needs import NOTHING, ItemFacts, ItemKey, StockSkus, need_of, parts_of

LockKey = tuple[str, str, str]
"""(account, item id, SKU)."""
LAST = datetime.max.replace(tzinfo=UTC)


class LockState(StrEnum):
    """The state of an item's lock."""

    LOCKED = "locked"
    """It holds all pieces that the item needs."""
    SHORT = "short"
    """It waits for pieces: too few are available, or the SKU is not in the stock list. It keeps those that it holds."""
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
    problem: str | None
    ordered_at: datetime | None

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
        return LockState.CONSUMED if self.consumed else LockState.RELEASED

    def pieces(self) -> tuple[int, int, int]:
        """The pieces that it holds, waits for and has taken."""
        return self.locked, self.short, self.consumed


class StockLevel(NamedTuple):
    """The level of a SKU. `on_hand` is None where the SKU is not in the stock list."""

    on_hand: int | None
    reserved: int
    counted_at: datetime | None

    def available(self) -> int:
        """Pieces on hand that no lock holds."""
        return (self.on_hand or 0) - self.reserved

    def counted_after(self, left_at: datetime | None) -> bool:
        """Whether the shelf was counted after pieces had left it: the count does not include them then."""
        return self.counted_at is None or (left_at is not None and left_at <= self.counted_at)


class Cause(NamedTuple):
    """Why an item's lock is looked at. `event_id` is None where no event but, say, a person caused it."""

    text: str
    event_id: int | None = None


class Movement(NamedTuple):
    """A change of a SKU's pieces on hand; its fields are columns of stock_movements."""

    sku: str
    kind: str
    pieces: int
    on_hand: int
    account: str
    item_id: str
    reason: str
    made_by: str = ""
    moved_at: datetime | None = None
    """The moment by which the pieces had left, or came; None: now."""


class Settled(NamedTuple):
    """Locks and levels after a step, the changed ones and others, and what it moved. Causes are those of the locks."""

    locks: dict[LockKey, Lock]
    levels: dict[str, StockLevel]
    movements: list[Movement]
    causes: dict[LockKey, Cause]
    overdrawn: set[str]
    """SKUs that may have fewer pieces than are held: pieces left that no lock of their item held."""


def settle(
    items: Iterable[ItemFacts],
    stock_skus: StockSkus,
    causes: Mapping[ItemKey, Cause],
    locks: Mapping[ItemKey, Sequence[Lock]],
    levels: Mapping[str, StockLevel],
) -> Settled:
    """Brings the locks of items to what the items need, but for the pieces that are yet to be shared out.

    `levels` holds the SKUs of the items in the stock list, and those of the locks. Raises KeyError if one is missing.
    """
    result = Settled({}, dict(levels), [], {}, set())
    for facts in items:
        key = facts.key
        for before, hold, gone in _needs_by_sku(facts, locks.get(key, ()), stock_skus):
            cause, level = causes[key], result.levels[before.sku]
            lock, after, movement = _settle_lock(before, hold, gone, level, facts.left_at, cause)
            result.locks[lock.key] = lock
            result.causes[lock.key] = cause
            if movement is not None:
                result.movements.append(movement)
            if after is not level:
                result.levels[lock.sku] = after
                if after.available() < min(0, level.available()):
                    result.overdrawn.add(lock.sku)
    return result


def _needs_by_sku(facts: ItemFacts, stored: Sequence[Lock], stock_skus: StockSkus) -> list[tuple[Lock, int, int]]:
    """An item's locks, new ones too, each with the pieces to hold and those that have left.

    Of a SKU that the item had before, nothing is needed. What has left under it, has left for the present one.
    """
    need = need_of(facts, has_lock=bool(stored) and any(lock.locked or lock.short for lock in stored))
    if not stored and need == NOTHING:
        return []
    parts = parts_of(facts.account, facts.sku, stock_skus)
    if not stored:
        return [(_new_lock(facts, sku), need.hold * pieces, need.gone * pieces) for sku, pieces in parts]
    own_skus = {part.sku for part in parts}
    former = [lock for lock in stored if lock.sku not in own_skus]
    left_before = sum([lock.consumed for lock in former])
    before = {lock.sku: lock for lock in stored}
    found = [(lock, 0, lock.consumed) for lock in former]
    for sku, pieces in parts:
        hold, gone = need.hold * pieces, max(0, need.gone * pieces - left_before)
        if lock := before.get(sku):
            found.append((lock, hold, gone))
        elif hold or gone:
            found.append((_new_lock(facts, sku), hold, gone))
    return [
        (lock, hold, gone)
        if lock.order_id == facts.order_id and lock.ordered_at == facts.ordered_at
        else (lock._replace(order_id=facts.order_id, ordered_at=facts.ordered_at or lock.ordered_at), hold, gone)
        for lock, hold, gone in found
    ]


def _new_lock(facts: ItemFacts, sku: str) -> Lock:
    return Lock(facts.account, facts.item_id, sku, facts.order_id, 0, 0, 0, 0, None, facts.ordered_at)


def _settle_lock(
    lock: Lock, hold: int, gone: int, level: StockLevel, left_at: datetime | None, cause: Cause
) -> tuple[Lock, StockLevel, Movement | None]:
    """One lock: takes what has left, then gives back or waits.

    What has been consumed stays consumed, and is not needed once more.
    """
    account, item_id, sku, order_id, quantity, locked, _, consumed, problem, ordered_at = lock
    on_hand, reserved, counted_at = level
    leaves = 0
    movement = None
    if gone > consumed:
        leaves, problem = gone - consumed, None
        if on_hand is not None and not level.counted_after(left_at):
            taken = min(leaves, on_hand)
            if taken < leaves:
                problem = f"{leaves - taken} of {leaves} pieces left that the stock list did not have"
            on_hand -= taken
            movement = Movement(sku, "shipped", -taken, on_hand, account, item_id, cause.text, moved_at=left_at)
    elif consumed > gone:
        hold = max(0, hold - (consumed - gone))
    kept = min(locked - min(locked, leaves), hold)
    if kept < hold:
        problem = None
    after = Lock(
        account, item_id, sku, order_id, hold + gone or quantity, kept, hold - kept, consumed + leaves, problem,
        ordered_at,
    )  # fmt: skip
    if on_hand == level.on_hand and kept == locked:
        return after, level, movement
    return after, StockLevel(on_hand, reserved - (locked - kept), counted_at), movement


def share_out(
    settled: Settled, others: Iterable[Lock], oversell: frozenset[str] = frozenset(), cause: Cause | None = None
) -> Settled:
    """Gives available pieces to the locks that wait, and takes back what is held beyond the pieces on hand.

    The oldest order is served first and keeps its pieces longest. A lock takes what is there, so an order of many
    pieces is not overtaken by orders of few. `others`: the further active locks of SKUs that have pieces to give or to
    take back. `oversell`: the accounts that hold what they need, whatever is available. `cause`: of changes to locks
    that `settled` has no cause for.
    """
    locks = {**{lock.key: lock for lock in others}, **settled.locks}
    levels = dict(settled.levels)
    by_sku: dict[str, list[Lock]] = {}
    for lock in locks.values():
        if lock.short or lock.locked:
            by_sku.setdefault(lock.sku, []).append(lock)
    for sku, active in by_sku.items():
        level = levels[sku]
        active.sort(key=_age)
        is_overdrawn = sku in settled.overdrawn and level.available() < 0
        reserved = level.reserved
        for lock in (_keep_what_fits if is_overdrawn else _give)(active, level, oversell):
            reserved += lock.locked - locks[lock.key].locked
            locks[lock.key] = lock
        levels[sku] = StockLevel(level.on_hand, reserved, level.counted_at)
    causes = dict(settled.causes)
    for key in locks:
        causes.setdefault(key, cause or Cause("stock became available"))
    return Settled(_with_problems(locks, levels), levels, settled.movements, causes, set())


def _age(lock: Lock) -> tuple[datetime, str, str]:
    return lock.ordered_at or LAST, lock.account, lock.item_id


def _give(active: Sequence[Lock], level: StockLevel, oversell: frozenset[str]) -> Iterable[Lock]:
    available = level.available()
    for lock in active:
        given = lock.short if lock.account in oversell else min(lock.short, max(0, available))
        if given:
            available -= given
            yield lock._replace(locked=lock.locked + given, short=lock.short - given)


def _keep_what_fits(active: Sequence[Lock], level: StockLevel, oversell: frozenset[str]) -> Iterable[Lock]:
    remaining = level.on_hand or 0
    for lock in active:
        needed = lock.locked + lock.short
        locked = needed if lock.account in oversell else min(lock.locked, max(0, remaining))
        remaining -= locked
        if locked != lock.locked:
            yield lock._replace(locked=locked, short=needed - locked)


def _with_problems(locks: Mapping[LockKey, Lock], levels: Mapping[str, StockLevel]) -> dict[LockKey, Lock]:
    """Each short lock says why it is short."""
    result: dict[LockKey, Lock] = {}
    for key, lock in locks.items():
        problem = lock.problem
        if lock.short:
            problem = f"{lock.locked} of {lock.locked + lock.short} available"
            if levels[lock.sku].on_hand is None:
                problem = f"SKU {lock.sku} is not in the stock list"
        elif lock.locked:
            problem = None
        result[key] = lock if problem == lock.problem else lock._replace(problem=problem)
    return result
