"""Applying order events to stock locks: each event once, each item one lock, whatever the concurrency.

A worker claims the earliest pending events of some orders (`FOR UPDATE SKIP LOCKED`), applies them and marks them
done in one transaction. Of one order only its earliest pending revision can be claimed, so changes are applied in
the order in which they were stored. The rows of the stock levels concerned are locked first, by SKU, so that two
workers neither lose an update nor wait for each other in a circle.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from orders_sync.database.engine import Connection
from orders_sync.stock.actions import LockAction, lock_action_of

LOCKED, RELEASED, CONSUMED, SHORT = "locked", "released", "consumed", "short"

MAX_EVENTS_PER_TRANSACTION = 500
MAX_ATTEMPTS = 5
"""After so many failures an event is left for a person; a check shows it."""


@dataclass
class StockResult:
    """What a run of the stock job did."""

    events: int = 0
    steps: Counter[str] = field(default_factory=Counter[str])
    """How many locks came into each state."""
    failed: int = 0


@dataclass
class StockLevel:
    on_hand: int | None
    reserved: int
    imported_at: datetime | None

    def counted_after(self, shipped_at: datetime | None) -> bool:
        """Whether the pieces on hand were counted after these had left: then they are not in the count."""
        return self.imported_at is None or (shipped_at is not None and shipped_at <= self.imported_at)

    def available(self) -> int:
        return (self.on_hand or 0) - self.reserved


@dataclass
class _Lock:
    account: str
    item_id: str
    order_id: str
    sku: str
    quantity: int
    state: str | None
    revision: int
    problem: str | None = None
    touched: bool = False


@dataclass(frozen=True)
class _Item:
    sku: str
    quantity: int
    shipped_at: datetime | None


class LockCommand(NamedTuple):
    """What is asked of one item's lock, and by what."""

    account: str
    item_id: str
    order_id: str
    effect: LockAction
    revision: int
    event_id: int | None
    cause: str


def apply_pending(
    connection: Connection, oversell: frozenset[str] = frozenset(), *, batch: int = MAX_EVENTS_PER_TRANSACTION
) -> StockResult:
    """Applies all pending events, then tries short locks again, then mends quantities; returns what it did.

    `oversell`: the accounts that may lock stock below zero. `batch`: how many events are applied in one transaction.
    """
    applied = StockResult()
    while True:
        claimed = _apply_batch(connection, applied, oversell, batch)
        if claimed == 0:
            break
    mend_quantities(connection, applied, oversell)
    retry_short(connection, applied, oversell)
    return applied


def retry_short(connection: Connection, applied: StockResult, oversell: frozenset[str] = frozenset()) -> None:
    """Locks what was short and can be had now, the oldest first."""
    with connection.transaction():
        rows = connection.execute(_LOCKABLE_SHORT).fetchall()
        steps = [
            LockCommand(account, item_id, order_id, LockAction.LOCK, revision, None, "stock became available")
            for account, item_id, order_id, revision in rows
        ]
        apply_steps(connection, steps, applied, oversell)


def mend_quantities(connection: Connection, applied: StockResult, oversell: frozenset[str] = frozenset()) -> None:
    """Active locks follow an item whose quantity or SKU the marketplace changed (which fires no event)."""
    with connection.transaction():
        rows = connection.execute(_OUT_OF_STEP).fetchall()
        steps = [
            step
            for account, item_id, order_id, revision in rows
            for step in (
                LockCommand(account, item_id, order_id, LockAction.RELEASE, revision, None, "quantity or SKU changed"),
                LockCommand(account, item_id, order_id, LockAction.LOCK, revision, None, "quantity or SKU changed"),
            )
        ]
        apply_steps(connection, steps, applied, oversell)


def pending_events(connection: Connection) -> int:
    """How many events wait for the stock job."""
    row = connection.execute(
        "SELECT count(*) FROM order_events WHERE applied_at IS NULL AND attempts < %s", [MAX_ATTEMPTS]
    ).fetchone()
    return int(row[0]) if row else 0


def _apply_batch(connection: Connection, applied: StockResult, oversell: frozenset[str], size: int) -> int:
    """Claims and applies up to `size` events; returns how many it claimed.

    When a batch fails, its events are tried one by one, so that a bad one stops no other.
    """
    claimed: list[int] = []
    try:
        with connection.transaction():
            events = connection.execute(_CLAIM, [MAX_ATTEMPTS, size]).fetchall()
            claimed = [event[0] for event in events]
            attempt = StockResult()
            apply_steps(connection, list(_steps_of(connection, events)), attempt, oversell)
            connection.execute(
                "UPDATE order_events SET applied_at = now(), attempts = attempts + 1, problem = NULL "
                "WHERE event_id = ANY(%s)",
                [claimed],
            )
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
        return max(1, len(claimed))
    except (psycopg.Error, ValueError, KeyError) as error:
        if isinstance(error, psycopg.OperationalError) or not claimed:
            raise
        if size > 1:
            for _ in claimed:
                _apply_batch(connection, applied, oversell, 1)
        else:
            applied.failed += 1
            connection.execute(
                "UPDATE order_events SET attempts = attempts + 1, problem = %s WHERE event_id = ANY(%s)",
                [type(error).__name__, claimed],
            )
        return len(claimed)
    applied.events += len(claimed)
    applied.steps.update(attempt.steps)
    return len(claimed)


def _steps_of(connection: Connection, events: list[tuple[Any, ...]]) -> Iterable[LockCommand]:
    for event_id, account, order_id, item_id, kind, revision, new_status, items in events:
        cause = f"{kind} {new_status}"
        if items is not None:
            for created_id, status in items.items():
                effect = lock_action_of(status, new_status)
                yield LockCommand(account, created_id, order_id, effect, revision, event_id, f"{kind} {status}")
        elif item_id:
            yield LockCommand(account, item_id, order_id, lock_action_of(new_status), revision, event_id, cause)
        else:
            unknown = connection.execute(
                "SELECT item_id FROM order_items WHERE account = %s AND order_id = %s AND status = 'unknown'",
                [account, order_id],
            )
            for (unknown_id,) in unknown:
                effect = lock_action_of("unknown", new_status)
                yield LockCommand(account, unknown_id, order_id, effect, revision, event_id, cause)


def apply_steps(
    connection: Connection, steps: list[LockCommand], applied: StockResult, oversell: frozenset[str]
) -> None:
    """Moves the locks of these items, and the levels with them, in the caller's transaction; notes what it did."""
    steps = [step for step in steps if step.effect is not LockAction.KEEP]
    if not steps:
        return
    keys = sorted({(step.account, step.item_id) for step in steps})
    items = {(row[0], row[1]): _Item(*row[2:]) for row in connection.execute(_ITEMS, _columns(keys, 2))}
    skus = {item.sku for item in items.values()}
    skus |= {sku for (sku,) in connection.execute(_LOCK_SKUS, _columns(keys, 2))}
    levels = _lock_levels(connection, sorted(skus))
    locks = {(row[0], row[1]): _Lock(*row) for row in connection.execute(_LOCKS, _columns(keys, 2)).fetchall()}
    history: list[tuple[Any, ...]] = []
    for step in steps:
        key = (step.account, step.item_id)
        if key not in items:
            continue  # the item is not stored (any more): there is nothing to lock
        lock = locks.get(key)
        if lock is None:
            item = items[key]
            lock = locks[key] = _Lock(step.account, step.item_id, step.order_id, item.sku, item.quantity, None, 0)
        before = lock.state
        if step.event_id is not None and step.revision < lock.revision:
            continue
        _step(lock, step, items[key], levels, allowed=step.account in oversell)
        lock.revision = max(lock.revision, step.revision)
        if lock.state != before and lock.state is not None:
            lock.touched = True
            cause = step.cause if lock.problem is None else f"{step.cause}: {lock.problem}"
            history.append(
                (
                    step.account,
                    step.item_id,
                    lock.sku,
                    step.event_id,
                    cause,
                    before,
                    lock.state,
                    lock.quantity,
                )
            )
            applied.steps[lock.state] += 1
        else:
            lock.touched = lock.touched or lock.state is not None
    _store(connection, locks.values(), levels, history)


def _step(lock: _Lock, step: LockCommand, item: "_Item", levels: dict[str, StockLevel], *, allowed: bool) -> None:
    """Moves one lock, and the levels with it."""
    if lock.state == CONSUMED:
        return  # the goods have left; nothing later brings them back but an import
    if step.effect is LockAction.LOCK:
        if lock.state == LOCKED:
            return
        lock.sku, lock.quantity = item.sku, item.quantity
        level = levels[lock.sku]
        if level.on_hand is None and not allowed:
            lock.state, lock.problem = SHORT, f"SKU {lock.sku} is not in the stock list"
        elif level.available() < lock.quantity and not allowed:
            lock.state = SHORT
            lock.problem = f"{max(0, level.available())} of {lock.quantity} available"
        else:
            level.reserved += lock.quantity
            lock.state, lock.problem = LOCKED, None
        return
    level = levels[lock.sku]
    if step.effect is LockAction.CONSUME:
        if lock.state == LOCKED:
            level.reserved -= lock.quantity
            level.on_hand = (level.on_hand or 0) - lock.quantity
            lock.problem = None
        elif level.counted_after(item.shipped_at):
            lock.problem = None
        else:
            taken = min(lock.quantity, max(0, level.available()))
            if level.on_hand is not None:
                level.on_hand -= taken
            missing = lock.quantity - taken
            lock.problem = f"{missing} of {lock.quantity} left the warehouse without a lock" if missing else None
        lock.state = CONSUMED
        return
    if lock.state == LOCKED:
        level.reserved -= lock.quantity
    if lock.state in (LOCKED, SHORT):
        lock.state, lock.problem = RELEASED, None


def _lock_levels(connection: Connection, skus: list[str]) -> dict[str, StockLevel]:
    connection.execute("INSERT INTO stock_levels (sku) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [skus])
    rows = connection.execute(
        "SELECT sku, on_hand, reserved, imported_at FROM stock_levels WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE",
        [skus],
    )
    return {row[0]: StockLevel(*row[1:]) for row in rows}


def _store(
    connection: Connection, locks: Iterable[_Lock], levels: dict[str, StockLevel], history: list[tuple[Any, ...]]
) -> None:
    touched = sorted(
        (
            (k.account, k.item_id, k.order_id, k.sku, k.quantity, k.state, k.problem, k.revision)
            for k in locks
            if k.touched
        ),
        key=lambda row: row[:2],
    )
    if touched:
        connection.execute(_STORE_LOCKS, _columns(touched, 8))
    if history:
        connection.execute(_STORE_HISTORY, _columns(history, 8))
    connection.execute(
        _STORE_LEVELS,
        _columns([(sku, level.on_hand, level.reserved) for sku, level in levels.items()], 3),
    )


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[position] for row in rows] for position in range(width)]


_CLAIM = """
SELECT event_id, account, order_id, item_id, kind, revision, new_status, items
FROM order_events event
WHERE applied_at IS NULL AND attempts < %s
  AND NOT EXISTS (
    SELECT FROM order_events earlier
    WHERE earlier.account = event.account AND earlier.order_id = event.order_id
      AND earlier.revision < event.revision AND earlier.applied_at IS NULL)
ORDER BY event_id LIMIT %s FOR UPDATE OF event SKIP LOCKED
"""
_ITEMS = """
SELECT item.account, item.item_id, item.sku, item.quantity, placed.shipped_at
FROM order_items item
JOIN unnest(%s::text[], %s::text[]) AS asked (account, item_id) USING (account, item_id)
JOIN orders placed ON placed.account = item.account AND placed.order_id = item.order_id
"""
_LOCK_SKUS = """
SELECT sku FROM stock_locks
JOIN unnest(%s::text[], %s::text[]) AS asked (account, item_id) USING (account, item_id)
"""
_LOCKS = """
SELECT account, item_id, order_id, sku, quantity, state, revision, problem FROM stock_locks
JOIN unnest(%s::text[], %s::text[]) AS asked (account, item_id) USING (account, item_id)
ORDER BY account, item_id FOR UPDATE OF stock_locks
"""
_STORE_LOCKS = """
INSERT INTO stock_locks AS known (account, item_id, order_id, sku, quantity, state, problem, revision)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::int[])
ON CONFLICT (account, item_id) DO UPDATE SET
  sku = excluded.sku, quantity = excluded.quantity, state = excluded.state, problem = excluded.problem,
  revision = excluded.revision, since = CASE WHEN known.state = excluded.state THEN known.since ELSE now() END
"""
_STORE_HISTORY = """
INSERT INTO stock_lock_history (account, item_id, sku, event_id, cause, from_state, to_state, quantity)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[])
"""
_STORE_LEVELS = """
UPDATE stock_levels known SET on_hand = now_known.on_hand, reserved = now_known.reserved
FROM unnest(%s::text[], %s::int[], %s::int[]) AS now_known (sku, on_hand, reserved)
WHERE known.sku = now_known.sku
  AND (known.on_hand, known.reserved) IS DISTINCT FROM (now_known.on_hand, now_known.reserved)
"""
_LOCKABLE_SHORT = """
SELECT lock.account, lock.item_id, lock.order_id, lock.revision
FROM stock_locks lock JOIN stock_levels level USING (sku)
WHERE lock.state = 'short' AND level.on_hand - level.reserved >= lock.quantity
ORDER BY lock.since, lock.account, lock.item_id
"""
_OUT_OF_STEP = """
SELECT lock.account, lock.item_id, lock.order_id, lock.revision
FROM stock_locks lock JOIN order_items item USING (account, item_id)
WHERE lock.state IN ('locked', 'short') AND (lock.quantity <> item.quantity OR lock.sku <> item.sku)
ORDER BY lock.account, lock.item_id
"""
