"""Who gets the available pieces of a SKU, and who gives some back: the second step, after `settle` (decision.py).

`share_out` gives available pieces to the locks that wait, the oldest order first, and takes pieces back from the newest
orders where a step took more than was available.

Nothing here reads or writes a table, and no argument is changed: all values are immutable, and new ones are returned.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from orders_sync.stock.decision import LAST, Cause, Lock, LockKey, Settled, StockLevel


def share_out(
    settled: Settled, others: Iterable[Lock], oversell: frozenset[str] = frozenset(), cause: Cause | None = None
) -> Settled:
    """Gives available pieces to the locks that wait, and takes back what is reserved beyond the pieces on hand.

    The oldest order is served first and keeps its pieces longest. A lock takes what is there, so an order of many
    pieces is not overtaken by orders of few. `others`: the further active locks of SKUs that have pieces to give or to
    take back. `oversell`: the accounts that hold what they need, whatever is available. `cause`: of changes to locks
    that `settled` has no cause for.
    """
    locks = {lock.key: lock for lock in others} | settled.locks
    levels = dict(settled.levels)
    by_sku: dict[str, list[Lock]] = {}
    for lock in locks.values():
        if lock.short or lock.reserved():
            by_sku.setdefault(lock.sku, []).append(lock)
    for sku, active in by_sku.items():
        level = levels[sku]
        active.sort(key=age)
        reserved = level.reserved
        if sku in settled.overdrawn and level.available() < 0:
            shared = _keep_what_fits(active, level.on_hand or 0, oversell)
        else:
            shared = _give(active, level, oversell)
        for lock in shared:
            key = lock.key
            reserved += lock.reserved() - locks[key].reserved()
            locks[key] = lock
        for lock in active:
            if lock.held and locks[lock.key].short:
                locks[lock.key] = _lock_what_is_held(locks[lock.key])
        levels[sku] = StockLevel(level.on_hand, reserved, *level[2:])
    causes = dict.fromkeys(locks, cause or Cause("stock became available")) | settled.causes
    return Settled(_with_problems(locks, levels), levels, settled.movements, causes, frozenset())


def age(lock: Lock) -> tuple[datetime, str, str]:
    """Sorts locks by the age of their orders: the oldest order's is the first."""
    return lock.ordered_at or LAST, lock.account, lock.item_id


def _give(active: Sequence[Lock], level: StockLevel, oversell: frozenset[str]) -> Iterable[Lock]:
    available = level.available()
    for lock in active:
        given = lock.short if lock.account in oversell else min(lock.short, max(0, available))
        if given:
            available -= given
            yield Lock(*lock[:5], lock.locked + given, lock.short - given, *lock[7:])  # fast: nearly every lock passes


def _keep_what_fits(active: Sequence[Lock], pieces: int, oversell: frozenset[str]) -> Iterable[Lock]:
    """Held pieces are the first to go: where the shelf has too few, they are those that have left.

    `pieces`: so many are on hand. An account that may oversell keeps what it needs, and takes it from nobody.
    """
    remaining = pieces - sum(lock.locked for lock in active if lock.account not in oversell)
    after: list[Lock] = []
    for lock in active:
        held = min(lock.held, max(0, remaining))
        remaining -= held
        after.append(lock._replace(held=held))
    remaining = pieces
    for before, lock in zip(active, after, strict=True):
        needed = lock.locked + lock.short
        locked = needed if lock.account in oversell else min(lock.locked, remaining)
        remaining -= 0 if lock.account in oversell else locked
        if locked != lock.locked or lock.held != before.held:
            yield lock._replace(locked=locked, short=needed - locked)


def _lock_what_is_held(lock: Lock) -> Lock:
    """Where nothing is available for an item, it gets what is held of it."""
    found = min(lock.short, lock.held)
    return lock._replace(locked=lock.locked + found, short=lock.short - found, held=lock.held - found)


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
