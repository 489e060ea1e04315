"""Handing the authority over stock back to V1, and taking it over from V1.

While V1 has the authority, V2 keeps its locks in the schema `shadow` (see orders_sync/stock/connection.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.stock.actions import LockAction, lock_action_of
from orders_sync.stock.apply_commands import StockResult, apply_commands
from orders_sync.stock.connection import StockConnection, StockSchema
from orders_sync.stock.decision import LockCommand


class V1Lock(NamedTuple):
    """A lock that V1 holds, or has consumed, for an item."""

    account: str
    item_id: str
    quantity: int
    consumed: bool


def hand_back(connection: Connection) -> StockResult:
    """Releases V2's locks before V1 gets the authority; the shadow starts as a copy of what they were.

    Call it in the move's transaction.
    """
    public = StockConnection(connection, StockSchema.PUBLIC)
    _copy_to_shadow(connection)
    connection.execute(_CREATE_SHADOW_INDEX)
    rows = public.execute(
        "SELECT account, item_id, order_id, revision FROM {locks} WHERE state IN ('locked', 'short')"
    ).fetchall()
    return apply_commands(
        public,
        [
            LockCommand(account, item_id, order_id, LockAction.RELEASE, revision, None, "handed back to V1")
            for account, item_id, order_id, revision in rows
        ],
    )


def take_over(connection: Connection, v1_locks: Sequence[V1Lock], oversell: frozenset[str]) -> StockResult:
    """Takes V1's locks over before V2 gets the authority, then applies the current status of each item.

    So nothing is locked twice, and a lock is released only where the item's status says so. All stored events count as
    applied. `oversell`: the accounts that may lock stock below zero. Call it in the move's transaction, once V1 has
    stopped.
    """
    public = StockConnection(connection, StockSchema.PUBLIC)
    connection.execute("DROP INDEX IF EXISTS order_events_shadow_pending")
    public.execute("UPDATE {events} SET applied_at = now(), problem = NULL WHERE applied_at IS NULL")
    items = {(item.account, item.item_id): item for item in rows_as(connection, _StoredItem, _ITEMS)}
    by_status = [
        LockCommand(*key, item.order_id, lock_action_of(item.status), item.revision, None, f"going live: {item.status}")
        for key, item in items.items()
    ]
    locking = [command for command in by_status if command.action is LockAction.LOCK]
    others = [command for command in by_status if command.action is not LockAction.LOCK]
    # V1 may have promised more pieces than there are. Such a lock becomes short; it is not dropped.
    connection.execute(_COPY_SHADOW_COUNT)
    taken = apply_commands(public, [*_v1_commands(v1_locks, items), *others], oversell)
    # The shadow has followed what left the warehouse all the time, so its count is the right one.
    connection.execute(_COPY_SHADOW_COUNT)
    return taken + apply_commands(public, locking, oversell)


class _StoredItem(NamedTuple):
    """A stored item; `status` is its order's where its own is unknown."""

    account: str
    item_id: str
    order_id: str
    revision: int
    status: str


def _v1_commands(v1_locks: Sequence[V1Lock], items: dict[tuple[str, str], _StoredItem]) -> list[LockCommand]:
    """Commands that lock what V1 has locked or consumed, and consume what V1 has consumed."""
    return [
        LockCommand(lock.account, lock.item_id, item.order_id, action, item.revision, None, "taken over from V1")
        for lock in v1_locks
        if (item := items.get((lock.account, lock.item_id))) is not None
        for action in ([LockAction.LOCK, LockAction.CONSUME] if lock.consumed else [LockAction.LOCK])
    ]


def _copy_to_shadow(connection: Connection) -> None:
    """Makes the shadow's tables, and what the shadow has applied of the events, equal to the public ones."""
    connection.execute("TRUNCATE shadow.stock_levels, shadow.stock_locks, shadow.stock_lock_history")
    connection.execute("INSERT INTO shadow.stock_levels SELECT * FROM public.stock_levels")
    connection.execute("INSERT INTO shadow.stock_locks SELECT * FROM public.stock_locks")
    connection.execute(
        "INSERT INTO shadow.stock_lock_history OVERRIDING SYSTEM VALUE SELECT * FROM public.stock_lock_history"
    )
    connection.execute(
        "SELECT setval('shadow.stock_lock_history_entry_id_seq', nextval('public.stock_lock_history_entry_id_seq'))"
    )
    connection.execute(
        "UPDATE public.order_events "
        "SET shadow_applied_at = applied_at, shadow_attempts = attempts, shadow_problem = problem"
    )


# Only during a cutover: at any other time the index would cost every order and serve nothing.
_CREATE_SHADOW_INDEX = """
CREATE INDEX IF NOT EXISTS order_events_shadow_pending ON public.order_events (event_id)
WHERE shadow_applied_at IS NULL
"""
_ITEMS = """
SELECT item.account, item.item_id, item.order_id, placed.revision,
       CASE WHEN item.status = 'unknown' THEN placed.status ELSE item.status END AS status
FROM order_items item JOIN orders placed USING (account, order_id)
"""
_COPY_SHADOW_COUNT = """
INSERT INTO public.stock_levels (sku, on_hand, imported_at)
SELECT sku, on_hand, imported_at FROM shadow.stock_levels
ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, imported_at = excluded.imported_at
"""
