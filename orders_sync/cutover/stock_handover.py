"""Stock in shadow while V1 is the truth, and how V2 takes it over, and hands it back.

The schema `shadow` has tables of its own for levels, locks and their history, and a view of the events with a mark of
its own for "applied". A connection that looks there first runs the very same code as in earnest.
"""

from collections.abc import Sequence
from typing import NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.stock.actions import LockAction, lock_action_of
from orders_sync.stock.locks import LockCommand, StockResult, apply_steps


class V1Lock(NamedTuple):
    """A lock that V1 holds, or has consumed, for an item."""

    account: str
    item_id: str
    quantity: int
    consumed: bool


def hand_back(connection: Connection) -> int:
    """Before V1 becomes the truth: V2's locks are released, and the shadow begins as they were.

    Returns how many were released. Call it in the move's transaction.
    """
    for table in ("stock_levels", "stock_locks", "stock_lock_history"):
        connection.execute(f"TRUNCATE shadow.{table}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    connection.execute("INSERT INTO shadow.stock_levels SELECT * FROM public.stock_levels")
    connection.execute("INSERT INTO shadow.stock_locks SELECT * FROM public.stock_locks")
    connection.execute(
        "INSERT INTO shadow.stock_lock_history OVERRIDING SYSTEM VALUE SELECT * FROM public.stock_lock_history"
    )
    connection.execute(
        "SELECT setval('shadow.stock_lock_history_entry_id_seq', nextval('stock_lock_history_entry_id_seq'))"
    )
    connection.execute(
        "UPDATE order_events SET shadow_applied_at = applied_at, shadow_attempts = attempts, shadow_problem = problem"
    )
    connection.execute(_INDEX_PENDING)
    rows = connection.execute(
        "SELECT account, item_id, order_id, revision FROM stock_locks WHERE state IN ('locked', 'short')"
    ).fetchall()
    steps = [
        LockCommand(account, item_id, order_id, LockAction.RELEASE, revision, None, "handed back to V1")
        for account, item_id, order_id, revision in rows
    ]
    apply_steps(connection, steps, StockResult(), frozenset())
    return len(steps)


def take_over(connection: Connection, v1_locks: Sequence[V1Lock], oversell: frozenset[str]) -> StockResult:
    """Before V2 becomes the truth: V1's locks become V2's first, then each item's status is done justice to.

    So nothing is locked twice, and a lock is released only if the item's status asks for it. Events up to now count
    as applied. Call it in the move's transaction, once V1 stands still.
    """
    applied = StockResult()
    connection.execute("DROP INDEX IF EXISTS order_events_shadow_pending")
    connection.execute("UPDATE order_events SET applied_at = now(), problem = NULL WHERE applied_at IS NULL")
    known = {
        (account, item_id): (order_id, revision, status)
        for account, item_id, order_id, revision, status in connection.execute(_ITEMS).fetchall()
    }
    taken: list[LockCommand] = []
    for lock in v1_locks:
        if (lock.account, lock.item_id) in known:
            order_id, revision, _ = known[lock.account, lock.item_id]
            step = LockCommand(
                lock.account, lock.item_id, order_id, LockAction.LOCK, revision, None, "taken over from V1"
            )
            taken += [step, step._replace(effect=LockAction.CONSUME)] if lock.consumed else [step]
    asked = [
        LockCommand(account, item_id, order_id, lock_action_of(status), revision, None, f"going live: {status}")
        for (account, item_id), (order_id, revision, status) in known.items()
    ]
    # What V1 has promised beyond what there is is not lost: it is short, and shown as such.
    connection.execute(_COUNT_OF_THE_SHADOW)
    apply_steps(
        connection, [*taken, *(step for step in asked if step.effect is not LockAction.LOCK)], applied, oversell
    )
    # The shadow has followed what left the warehouse all the while: its count is the one that is right.
    connection.execute(_COUNT_OF_THE_SHADOW)
    apply_steps(connection, [step for step in asked if step.effect is LockAction.LOCK], applied, oversell)
    return applied


# While a migration is under way only: for years after it, and where there is none, it would cost every order.
_INDEX_PENDING = """
CREATE INDEX IF NOT EXISTS order_events_shadow_pending ON order_events (event_id) WHERE shadow_applied_at IS NULL
"""
_ITEMS = """
SELECT item.account, item.item_id, item.order_id, placed.revision,
       CASE WHEN item.status = 'unknown' THEN placed.status ELSE item.status END
FROM order_items item JOIN orders placed USING (account, order_id)
"""
_COUNT_OF_THE_SHADOW = """
INSERT INTO stock_levels AS known (sku, on_hand, imported_at)
SELECT sku, on_hand, imported_at FROM shadow.stock_levels
ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, imported_at = excluded.imported_at
"""
