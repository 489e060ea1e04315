"""What a command does to an item's lock and to the level of its SKU: a table of lock state × action.

Nothing here reads or writes a table, and no argument is changed: all values are immutable, and new ones are returned.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from orders_sync.stock.actions import LockAction

ItemKey = tuple[str, str]
"""(account, item id)."""


class LockState(StrEnum):
    """The state of an item's lock."""

    LOCKED = "locked"
    """The pieces are reserved."""
    SHORT = "short"
    """The pieces can't be reserved: too few are available, or the SKU is not in the stock list."""
    RELEASED = "released"
    """The pieces are no longer needed."""
    CONSUMED = "consumed"
    """The pieces have left the warehouse. This state is final."""


class Lock(NamedTuple):
    """The lock of an order item; its fields are columns of the table stock_locks. `state` None: not stored yet."""

    account: str
    item_id: str
    order_id: str
    sku: str
    quantity: int
    state: LockState | None
    problem: str | None
    revision: int


class StockLevel(NamedTuple):
    """The level of a SKU. `on_hand` is None where the SKU is not in the stock list."""

    on_hand: int | None
    reserved: int
    imported_at: datetime | None

    def available(self) -> int:
        """Pieces on hand that no lock has reserved."""
        return (self.on_hand or 0) - self.reserved

    def counted_after(self, shipped_at: datetime | None) -> bool:
        """Whether the pieces on hand were counted after a shipment: the count then does not include its pieces."""
        return self.imported_at is None or (shipped_at is not None and shipped_at <= self.imported_at)


class Item(NamedTuple):
    """What an order item needs. `shipped_at` is the order's, by the marketplace's clock."""

    sku: str
    quantity: int
    shipped_at: datetime | None
    order_id: str
    """The order that the item belongs to now: an item can move to another order."""
    is_goods: bool = True
    """Whether the item is in stock at all; a discount, say, is not."""


class LockCommand(NamedTuple):
    """An action on an item's lock, and its cause. `event_id` is None where no event but, say, an import caused it."""

    account: str
    item_id: str
    order_id: str
    action: LockAction
    revision: int
    event_id: int | None
    cause: str


class LockTransition(NamedTuple):
    """A change of a lock's state; its fields are columns of the table stock_lock_history."""

    account: str
    item_id: str
    sku: str
    event_id: int | None
    cause: str
    from_state: LockState | None
    to_state: LockState
    quantity: int


class Decision(NamedTuple):
    """A lock after a command, and the level of the lock's SKU. `level` is None where it does not change."""

    lock: Lock
    level: StockLevel | None = None


class Outcome(NamedTuple):
    """What commands change: the locks and levels that differ from before, and each change of state, in order."""

    locks: list[Lock]
    levels: dict[str, StockLevel]
    transitions: list[LockTransition]


Rule = Callable[[Lock, Item, Mapping[str, StockLevel], bool], Decision]


def _keep(lock: Lock, item: Item, levels: Mapping[str, StockLevel], oversell: bool) -> Decision:
    return Decision(lock)


def _reserve(lock: Lock, item: Item, levels: Mapping[str, StockLevel], oversell: bool) -> Decision:
    """Reserves what the item needs now, all of it or nothing."""
    level = levels[item.sku]
    problem = None
    if level.on_hand is None and not oversell:
        problem = f"SKU {item.sku} is not in the stock list"
    elif level.available() < item.quantity and not oversell:
        problem = f"{max(0, level.available())} of {item.quantity} available"
    state = LockState.LOCKED if problem is None else LockState.SHORT
    lock = lock._replace(sku=item.sku, quantity=item.quantity, state=state, problem=problem)
    return Decision(
        lock, StockLevel(level.on_hand, level.reserved + item.quantity, level.imported_at) if problem is None else None
    )


def _consume_reserved(lock: Lock, item: Item, levels: Mapping[str, StockLevel], oversell: bool) -> Decision:
    level = levels[lock.sku]
    return Decision(
        lock._replace(state=LockState.CONSUMED, problem=None),
        StockLevel((level.on_hand or 0) - lock.quantity, level.reserved - lock.quantity, level.imported_at),
    )


def _consume_unreserved(lock: Lock, item: Item, levels: Mapping[str, StockLevel], oversell: bool) -> Decision:
    """Takes pieces that were shipped without a lock, but none that other locks have reserved."""
    level = levels[lock.sku]
    lock = lock._replace(state=LockState.CONSUMED, problem=None)
    if level.counted_after(item.shipped_at):
        return Decision(lock)
    taken = min(lock.quantity, max(0, level.available()))
    missing = lock.quantity - taken
    if missing:
        lock = lock._replace(problem=f"{missing} of {lock.quantity} left the warehouse without a lock")
    if level.on_hand is None:
        return Decision(lock)
    return Decision(lock, level._replace(on_hand=level.on_hand - taken))


def _release_reserved(lock: Lock, item: Item, levels: Mapping[str, StockLevel], oversell: bool) -> Decision:
    level = levels[lock.sku]
    return Decision(
        lock._replace(state=LockState.RELEASED, problem=None), level._replace(reserved=level.reserved - lock.quantity)
    )


def _release_short(lock: Lock, item: Item, levels: Mapping[str, StockLevel], oversell: bool) -> Decision:
    return Decision(lock._replace(state=LockState.RELEASED, problem=None))


_LOCK, _CONSUME, _RELEASE, _KEEP = LockAction.LOCK, LockAction.CONSUME, LockAction.RELEASE, LockAction.KEEP
#: The rule for each state of a lock and each action.
RULES: dict[LockState | None, dict[LockAction, Rule]] = {
    None: {_LOCK: _reserve, _CONSUME: _consume_unreserved, _RELEASE: _keep, _KEEP: _keep},
    LockState.LOCKED: {_LOCK: _keep, _CONSUME: _consume_reserved, _RELEASE: _release_reserved, _KEEP: _keep},
    LockState.SHORT: {_LOCK: _reserve, _CONSUME: _consume_unreserved, _RELEASE: _release_short, _KEEP: _keep},
    LockState.RELEASED: {_LOCK: _reserve, _CONSUME: _consume_unreserved, _RELEASE: _keep, _KEEP: _keep},
    LockState.CONSUMED: {_LOCK: _keep, _CONSUME: _keep, _RELEASE: _keep, _KEEP: _keep},
}


def decide(
    lock: Lock, action: LockAction, item: Item, levels: Mapping[str, StockLevel], *, oversell: bool = False
) -> Decision:
    """What one action does to one lock.

    `levels` holds the SKUs of the lock and of the item. `oversell`: whether stock may be locked below zero. Raises
    KeyError where a SKU has no level.
    """
    return RULES[lock.state][action](lock, item, levels, oversell)


def decide_all(
    commands: Iterable[LockCommand],
    locks: Mapping[ItemKey, Lock],
    items: Mapping[ItemKey, Item],
    levels: Mapping[str, StockLevel],
    oversell: frozenset[str] = frozenset(),
) -> Outcome:
    """What commands do, one after the other, to the stored locks and levels.

    `oversell`: the accounts that may lock stock below zero. A command for an item that is not stored or that has moved
    to another order, and an event's command that is older than the lock, change nothing. What is not in stock needs no
    lock, whatever its status.
    """
    decided = dict(locks)
    levels_after = dict(levels)
    transitions: list[LockTransition] = []
    for command in commands:
        key = (command.account, command.item_id)
        item = items.get(key)
        if item is None or item.order_id != command.order_id:
            continue
        before = decided.get(key) or Lock(*key, command.order_id, item.sku, item.quantity, None, None, command.revision)
        if before.order_id != command.order_id:  # moved here: the revisions are those of another order
            before = before._replace(order_id=command.order_id, revision=command.revision)
        if command.event_id is not None and command.revision < before.revision:
            continue
        action = command.action if item.is_goods else LockAction.RELEASE
        after, level = decide(before, action, item, levels_after, oversell=command.account in oversell)
        state = after.state
        if state is None:
            continue  # nothing was locked, and nothing is
        if after.revision < command.revision:
            after = after._replace(revision=command.revision)
        decided[key] = after
        if level is not None:
            levels_after[after.sku] = level
        if state is not before.state:
            cause = command.cause if after.problem is None else f"{command.cause}: {after.problem}"
            transitions.append(
                LockTransition(*key, after.sku, command.event_id, cause, before.state, state, after.quantity)
            )
    return Outcome(
        locks=[lock for key, lock in decided.items() if lock != locks.get(key)],
        levels={sku: level for sku, level in levels_after.items() if level != levels[sku]},
        transitions=transitions,
    )
