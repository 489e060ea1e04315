"""Handing the authority over stock back to V1, and taking it over from V1.

While V1 has the authority, V2 keeps its locks in the schema `shadow` (see orders_sync/stock/connection.py).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

from psycopg.sql import SQL, Identifier

from orders_sync.database.engine import Connection
from orders_sync.stock.connection import StockConnection, StockSchema
from orders_sync.stock.decision import LAST, Cause
from orders_sync.stock.needs import ItemKey
from orders_sync.stock.reconcile import StockResult, reconcile, release_all

ITEMS_AT_ONCE = 5_000


class V1Lock(NamedTuple):
    """What V1 holds, or has consumed, for an item."""

    account: str
    item_id: str
    consumed: int = 0
    """Pieces of the item that V1 has consumed at that time; it may hold more, or have consumed others."""
    consumed_at: datetime | None = None
    """When V1 consumed them; None: not known."""


def hand_back(connection: Connection) -> StockResult:
    """Releases V2's locks before V1 gets the authority; the shadow starts as a copy of what they were.

    Call it in the move's transaction.
    """
    public = StockConnection(connection, StockSchema.PUBLIC)
    _copy_to_shadow(connection)
    connection.execute(_CREATE_SHADOW_INDEX)
    with public.changing():
        return release_all(public, Cause("handed back to V1"))


def take_over(connection: Connection, v1_locks: Sequence[V1Lock], oversell: frozenset[str]) -> StockResult:
    """Takes V1's locks over before V2 gets the authority, then gives every other item the lock that it needs.

    So nothing is locked twice, and a lock is released only where the item's status says so. A status that keeps a lock
    keeps the one that V1 or the shadow has. All stored events count as applied. Pieces that V1 has consumed count as
    shipped when V1 consumed them, where the marketplace has not reported it yet. `oversell`: the accounts that may lock
    stock below zero. Call it in the move's transaction, once V1 has stopped.
    """
    public = StockConnection(connection, StockSchema.PUBLIC)
    with public.changing():
        return _take_over(public, connection, v1_locks, oversell)


def _take_over(
    public: StockConnection, connection: Connection, v1_locks: Sequence[V1Lock], oversell: frozenset[str]
) -> StockResult:
    connection.execute("DROP INDEX IF EXISTS order_events_shadow_pending")
    public.execute("UPDATE {events} SET applied_at = now(), problem = NULL WHERE applied_at IS NULL")
    _copy_from_shadow(public)
    held_by_v1 = {(lock.account, lock.item_id) for lock in v1_locks}
    stored = connection.execute(_ITEMS).fetchall()
    had_lock = {(lock.account, lock.item_id) for lock in v1_locks if not lock.consumed}
    had_lock.update(connection.execute(_LOCKED_IN_SHADOW))
    result = StockResult()
    for consumed in _one_after_the_other(v1_locks):
        connection.execute(_SHIPPED_BY_V1, [list(column) for column in zip(*consumed, strict=True)])
        for start in range(0, len(consumed), ITEMS_AT_ONCE):
            some = consumed[start : start + ITEMS_AT_ONCE]
            causes = {(lock.account, lock.item_id): Cause("taken over from V1") for lock in some}
            result += reconcile(public, causes, oversell, had_lock=had_lock)
    # What V1 holds, it has promised: no older order takes it away.
    for is_held in (True, False):
        items = [item for item in stored if (item[:2] in held_by_v1) is is_held]
        for start in range(0, len(items), ITEMS_AT_ONCE):
            causes = {
                (account, item_id): Cause("taken over from V1" if is_held else f"going live: {status}")
                for account, item_id, status in items[start : start + ITEMS_AT_ONCE]
            }
            result += reconcile(public, causes, oversell, had_lock=had_lock)
    return result


def _one_after_the_other(v1_locks: Sequence[V1Lock]) -> list[list[V1Lock]]:
    """What V1 has consumed, each with the pieces of its item until then: first what was first of each item, and so on.

    So each piece gets its own time.
    """
    steps: list[list[V1Lock]] = []
    done: dict[ItemKey, tuple[int, int]] = {}
    for lock in sorted(v1_locks, key=lambda lock: lock.consumed_at or LAST):
        if lock.consumed:
            step, pieces = done.get((lock.account, lock.item_id), (0, 0))
            steps += [[]] if step == len(steps) else []
            steps[step].append(lock._replace(consumed=pieces + lock.consumed))
            done[lock.account, lock.item_id] = step + 1, pieces + lock.consumed
    return steps


def _copy_from_shadow(public: StockConnection) -> None:
    """Gives the public tables the shadow's pieces on hand, what led to them, and what has left or is held of each item.

    The shadow began as a copy of the public tables, which have not changed since but for the release of the locks, and
    where SKUs were merged.
    """
    for statement in (
        _DELETE_MOVEMENTS,
        _COPY_MOVEMENTS,
        _CONTINUE_NUMBERS,
        _CLEAR_LEVELS,
        _COPY_LEVELS,
        _COPY_HISTORY,
        _COPY_LOCKS,
        _COPY_SINCE,
        _RESERVE,
    ):
        public.execute(statement)


def _copy_to_shadow(connection: Connection) -> None:
    """Makes the shadow's tables, and what the shadow has applied of the events, equal to the public ones."""
    connection.execute(
        "TRUNCATE shadow.stock_levels, shadow.stock_movements, shadow.stock_locks, shadow.stock_lock_history"
    )
    connection.execute("INSERT INTO shadow.stock_levels SELECT * FROM public.stock_levels")
    connection.execute("INSERT INTO shadow.stock_locks SELECT * FROM public.stock_locks")
    for table, key in (("stock_lock_history", "entry_id"), ("stock_movements", "movement_id")):
        copy = SQL("INSERT INTO {to} OVERRIDING SYSTEM VALUE SELECT * FROM {source}")
        connection.execute(copy.format(to=Identifier("shadow", table), source=Identifier("public", table)))
        sequence = f"{table}_{key}_seq"
        connection.execute(
            "SELECT setval(%s::regclass, nextval(%s::regclass))", [f"shadow.{sequence}", f"public.{sequence}"]
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
SELECT account, item_id, CASE WHEN item.status = 'unknown' THEN placed.status ELSE item.status END
FROM order_items item JOIN orders placed USING (account, order_id) ORDER BY account, item_id
"""
_LOCKED_IN_SHADOW = "SELECT DISTINCT account, item_id FROM shadow.stock_locks WHERE locked + short > 0"
_SHIPPED_BY_V1 = """
INSERT INTO stock_decisions (account, item_id, decision, item_status, reason, made_by, pieces, left_at)
SELECT account, item_id, 'shipped', item.status, 'V1 has consumed it', 'cutover', pieces, left_at
FROM order_items item
JOIN unnest(%s::text[], %s::text[], %s::int[], %s::timestamptz[]) AS consumed (account, item_id, pieces, left_at)
  USING (account, item_id)
"""
# To merge SKUs that differ only in case adds movements to both schemas: those of the shadow count.
_DELETE_MOVEMENTS = """
DELETE FROM public.stock_movements stored WHERE NOT EXISTS (
  SELECT FROM shadow.stock_movements own
  WHERE own.movement_id = stored.movement_id AND own::text = stored::text)
"""
_COPY_MOVEMENTS = """
INSERT INTO public.stock_movements OVERRIDING SYSTEM VALUE
SELECT * FROM shadow.stock_movements own
WHERE NOT EXISTS (SELECT FROM public.stock_movements stored WHERE stored.movement_id = own.movement_id)
ORDER BY movement_id
"""
_CONTINUE_NUMBERS = """
SELECT setval('public.stock_movements_movement_id_seq', nextval('shadow.stock_movements_movement_id_seq'))
"""
_CLEAR_LEVELS = "UPDATE public.stock_levels SET on_hand = NULL"
_COPY_LEVELS = """
INSERT INTO public.stock_levels (sku, on_hand, missing, imported_at, counted_at)
SELECT sku, on_hand, missing, imported_at, counted_at FROM shadow.stock_levels
ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, missing = excluded.missing,
  imported_at = excluded.imported_at, counted_at = excluded.counted_at
"""
# What an item needs beside its held pieces waits, or those would be taken for it.
_CHANGED: LiteralString = """
SELECT own.account, own.item_id, own.sku, own.order_id, own.quantity, own.consumed, own.item_pieces, own.problem,
  own.ordered_at, own.held, CASE WHEN own.held > 0 THEN own.locked + own.short ELSE 0 END AS short,
  CASE WHEN own.held > 0 AND own.locked + own.short > 0 THEN 'short' WHEN own.held > 0 THEN 'held'
    WHEN own.consumed > 0 THEN 'consumed' ELSE 'released' END AS state, stored.state AS from_state
FROM shadow.stock_locks own LEFT JOIN public.stock_locks stored USING (account, item_id, sku)
WHERE (own.consumed, own.item_pieces, own.held)
  IS DISTINCT FROM (coalesce(stored.consumed, 0), coalesce(stored.item_pieces, 0), coalesce(stored.held, 0))
"""
_COPY_HISTORY: LiteralString = (
    """
INSERT INTO public.stock_lock_history
  (account, item_id, sku, cause, from_state, to_state, quantity, locked, short, consumed, held)
SELECT account, item_id, sku, 'going live: as in the shadow', from_state, state, quantity, 0, short, consumed, held
FROM ({changed}) changed
"""
).replace("{changed}", _CHANGED)
_COPY_LOCKS: LiteralString = (
    """
INSERT INTO public.stock_locks
  (account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, held, state, problem,
    ordered_at)
SELECT account, item_id, sku, order_id, quantity, 0, short, consumed, item_pieces, held, state, problem, ordered_at
FROM ({changed}) changed
ON CONFLICT (account, item_id, sku) DO UPDATE SET order_id = excluded.order_id, quantity = excluded.quantity,
  short = excluded.short, consumed = excluded.consumed, item_pieces = excluded.item_pieces, held = excluded.held,
  state = excluded.state, problem = excluded.problem, ordered_at = excluded.ordered_at, since = now()
"""
).replace("{changed}", _CHANGED)
# Since when pieces are released says whether a label was known by then: see orders_sync/stock/labels.py.
_COPY_SINCE = """
UPDATE public.stock_locks stored SET since = own.since FROM shadow.stock_locks own
WHERE (own.account, own.item_id, own.sku) = (stored.account, stored.item_id, stored.sku)
  AND stored.state = 'released' AND own.state = 'released' AND own.since > stored.since
"""
_RESERVE = """
UPDATE public.stock_levels level SET reserved = held.pieces
FROM (SELECT sku, sum(held) AS pieces FROM public.stock_locks WHERE held > 0 GROUP BY sku) held
WHERE level.sku = held.sku
"""
