"""Handing the authority over stock back to V1, and taking it over from V1.

While V1 has the authority, V2 keeps its locks in the schema `shadow` (see orders_sync/stock/connection.py).
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from psycopg.sql import SQL, Identifier

from orders_sync.database.engine import Connection
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.connection import StockConnection, StockSchema
from orders_sync.stock.decision import LAST, Cause, Lock, LockKey, Settled
from orders_sync.stock.needs import ItemKey
from orders_sync.stock.reconcile import StockResult, finish, reconcile, release_all
from orders_sync.stock.share_out import age
from orders_sync.stock.store import active_locks, load_levels
from orders_sync.stock.unreadable_accounts import check_taken_back

ITEMS_AT_ONCE = 5_000
FROM_V1 = Cause("taken over from V1")


class V1Lock(NamedTuple):
    """That V1 holds pieces for an item, or what it has consumed of it; an item may have several."""

    account: str
    item_id: str
    consumed: int = 0
    """Pieces of the item that V1 has consumed at that time; 0: V1 holds some."""
    consumed_at: datetime | None = None
    """When V1 consumed them; None: not known."""


def hand_back(connection: Connection) -> StockResult:
    """Releases V2's locks before V1 gets the authority; the shadow starts as a copy of what they were.

    Call it in the move's transaction.
    """
    public = StockConnection(connection, StockSchema.PUBLIC)
    _replace(connection, StockSchema.SHADOW, by=StockSchema.PUBLIC)
    connection.execute(_SHADOW_HAS_APPLIED)
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
    # Read first: the index of what the shadow has not applied serves it, and the events count as applied afterwards.
    open_items = _open_items(connection, v1_locks)
    connection.execute("DROP INDEX IF EXISTS order_events_shadow_pending")
    public.execute("UPDATE {events} SET applied_at = now(), problem = NULL WHERE applied_at IS NULL")
    _replace(connection, StockSchema.PUBLIC, by=StockSchema.SHADOW)
    held_by_v1 = {(lock.account, lock.item_id) for lock in v1_locks if not lock.consumed}
    result = StockResult()
    for consumed in _one_after_the_other(v1_locks):
        connection.execute(_SHIPPED_BY_V1, [list(column) for column in zip(*consumed, strict=True)])
        for start in range(0, len(consumed), ITEMS_AT_ONCE):
            some = consumed[start : start + ITEMS_AT_ONCE]
            causes = {(lock.account, lock.item_id): FROM_V1 for lock in some}
            result += reconcile(public, causes, oversell)
    for start in range(0, len(open_items), ITEMS_AT_ONCE):
        causes = {
            (account, item_id): FROM_V1 if (account, item_id) in held_by_v1 else Cause(f"going live: {status}")
            for account, item_id, status in open_items[start : start + ITEMS_AT_ONCE]
        }
        result += reconcile(public, causes, oversell, had_lock=held_by_v1)
    return result + _keep_promises(public, held_by_v1, oversell)


def _open_items(connection: Connection, v1_locks: Sequence[V1Lock]) -> list[tuple[str, str, str]]:
    """The items whose lock may change, with what their status is: (account, item id, status).

    Those that need a lock or may keep one, that the shadow has one for or has not looked at yet, and those of V1's
    locks. All others have what the shadow gave them: the history of years is not walked while stock stands still.
    """
    of_v1 = sorted({(lock.account, lock.item_id) for lock in v1_locks})
    parameters = {
        "open": [str(status) for status, meaning in LOCK_ACTIONS.items() if meaning.action in _NEEDING],
        "accounts": [account for account, _ in of_v1],
        "items": [item_id for _, item_id in of_v1],
    }
    return connection.execute(_OPEN_ITEMS, parameters).fetchall()


def _keep_promises(public: StockConnection, held_by_v1: Collection[ItemKey], oversell: frozenset[str]) -> StockResult:
    """Gives the pieces that V1 holds for an item to it, from those of the newest other orders.

    By the age of the orders alone, the shadow may have given them to others.
    """
    waiting = public.execute("SELECT sku, account, item_id FROM {locks} WHERE state = 'short'")
    skus = sorted({sku for sku, *key in waiting if tuple(key) in held_by_v1})
    active = sorted(active_locks(public, skus), key=lambda lock: (lock.sku, age(lock)))
    levels = load_levels(public, skus)
    changed: dict[LockKey, Lock] = {
        lock.key: lock
        for _, locks in groupby(active, key=lambda lock: lock.sku)
        for lock in _shared_anew(list(locks), held_by_v1, oversell)
    }
    before = {lock.key: lock for lock in active}
    check_taken_back(before, before | changed)
    causes = {key: FROM_V1 if key[:2] in held_by_v1 else Cause("V1 holds the pieces for others") for key in changed}
    return finish(public, active, levels, Settled(changed, levels, [], causes, frozenset()), oversell)


def _shared_anew(locks: Sequence[Lock], held_by_v1: Collection[ItemKey], oversell: frozenset[str]) -> Iterable[Lock]:
    """Those of the locks of a SKU that get pieces, or lose some. `locks`: the oldest order's is the first."""
    promised = [lock for lock in locks if lock.short and lock.key[:2] in held_by_v1]
    waited_for = sum(lock.short for lock in promised)
    taken = 0
    for lock in reversed(locks):
        if lock.key[:2] not in held_by_v1 and lock.account not in oversell:
            pieces = min(lock.locked, waited_for - taken)
            taken += pieces
            if pieces:
                yield lock._replace(locked=lock.locked - pieces, short=lock.short + pieces)
    for lock in promised:
        pieces = min(lock.short, taken)
        taken -= pieces
        if pieces:
            yield lock._replace(locked=lock.locked + pieces, short=lock.short - pieces)


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


def _replace(connection: Connection, tables: StockSchema, *, by: StockSchema) -> None:
    """Makes the stock tables of a schema equal to those of the other one; their running numbers go on from there.

    No lock is new by that: none of them becomes an event (the trigger `note_new`, revision 0038).
    """
    connection.execute("SET LOCAL orders_sync.replaces_stock TO 'on'")
    for table, key in (
        ("stock_levels", None),
        ("stock_locks", None),
        ("stock_lock_history", "entry_id"),
        ("stock_movements", "movement_id"),
    ):
        to, source = Identifier(tables, table), Identifier(by, table)
        connection.execute(SQL("DELETE FROM {}").format(to))  # TRUNCATE would stop all readers until the move is done
        connection.execute(SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM {}").format(to, source))
        if key is not None:
            number = f"{table}_{key}_seq"
            connection.execute(
                "SELECT setval(%s::regclass, nextval(%s::regclass))", [f"{tables}.{number}", f"{by}.{number}"]
            )
    connection.execute("SET LOCAL orders_sync.replaces_stock TO 'off'")


# Only during a cutover: at any other time the index would cost every order and serve nothing.
_CREATE_SHADOW_INDEX = """
CREATE INDEX IF NOT EXISTS order_events_shadow_pending ON public.order_events (event_id)
WHERE shadow_applied_at IS NULL
"""
_SHADOW_HAS_APPLIED = """
UPDATE public.order_events
SET shadow_applied_at = applied_at, shadow_attempts = attempts, shadow_problem = problem
"""
_NEEDING = (LockAction.LOCK, LockAction.KEEP)
_OPEN_ITEMS = """
WITH open_items AS (
  SELECT account, item_id FROM order_items WHERE status = ANY (%(open)s)
  UNION SELECT account, item_id FROM shadow.stock_locks WHERE state IN ('locked', 'short', 'held')
  UNION SELECT account, item_id FROM unnest(%(accounts)s::text[], %(items)s::text[]) AS of_v1 (account, item_id)
  UNION SELECT account, item_id FROM stock_rechecks
  UNION SELECT item.account, item.item_id FROM order_events event JOIN order_items item USING (account, order_id)
  WHERE event.shadow_applied_at IS NULL)
SELECT account, item_id, CASE WHEN item.status = 'unknown' THEN placed.status ELSE item.status END
FROM open_items JOIN order_items item USING (account, item_id) JOIN orders placed USING (account, order_id)
ORDER BY account, item_id
"""
_SHIPPED_BY_V1 = """
INSERT INTO stock_decisions (account, item_id, decision, item_status, reason, made_by, pieces, left_at)
SELECT account, item_id, 'shipped', item.status, 'V1 has consumed it', 'cutover', pieces, left_at
FROM order_items item
JOIN unnest(%s::text[], %s::text[], %s::int[], %s::timestamptz[]) AS consumed (account, item_id, pieces, left_at)
  USING (account, item_id)
"""
