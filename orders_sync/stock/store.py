"""Loading what commands need, and storing what they change: one statement for each table, whatever their number.

The rows of the stock levels are locked first, in the order of their SKUs. So two workers neither lose an update nor
wait for each other in a circle.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Item, ItemKey, Lock, LockState, LockTransition, Outcome, StockLevel


class Loaded(NamedTuple):
    """The rows that commands on some items need, as they are stored. The levels and locks are locked for update."""

    locks: dict[ItemKey, Lock]
    items: dict[ItemKey, Item]
    levels: dict[str, StockLevel]


def load(stock: StockConnection, keys: Iterable[ItemKey]) -> Loaded:
    """Loads the locks, items and levels of these items. Call it in the transaction that stores the outcome."""
    accounts_and_ids = _columns(sorted(set(keys)), 2)
    items = {
        (account, item_id): Item(sku, quantity, shipped_at, order_id, is_goods)
        for account, item_id, sku, quantity, shipped_at, order_id, is_goods in stock.execute(_ITEMS, accounts_and_ids)
    }
    skus = {item.sku for item in items.values()}
    skus |= {sku for (sku,) in stock.execute(_SKUS_OF_LOCKS, accounts_and_ids)}
    levels = _lock_levels(stock, sorted(skus))
    locks = {
        (account, item_id): Lock(account, item_id, order_id, sku, quantity, LockState(state), problem, revision)
        for account, item_id, order_id, sku, quantity, state, problem, revision in stock.execute(
            _LOCKS, accounts_and_ids
        )
    }
    return Loaded(locks, items, levels)


def store(stock: StockConnection, outcome: Outcome) -> None:
    """Stores the locks and levels that changed, and each change of a lock's state."""
    if outcome.locks:
        stock.execute(_STORE_LOCKS, _columns(sorted(outcome.locks), len(Lock._fields)))
    if outcome.transitions:
        stock.execute(_STORE_HISTORY, _columns(outcome.transitions, len(LockTransition._fields)))
    if outcome.levels:
        rows = [(sku, level.on_hand, level.reserved) for sku, level in outcome.levels.items()]
        stock.execute(_STORE_LEVELS, _columns(rows, 3))


def _lock_levels(stock: StockConnection, skus: list[str]) -> dict[str, StockLevel]:
    """The levels of these SKUs; a SKU that had none gets an empty one."""
    stock.execute("INSERT INTO {levels} (sku) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [skus])
    rows = stock.execute(
        "SELECT sku, on_hand, reserved, imported_at FROM {levels} WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE", [skus]
    )
    return {sku: StockLevel(on_hand, reserved, imported_at) for sku, on_hand, reserved, imported_at in rows}


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as one array per column, which `unnest` takes."""
    return [[row[position] for row in rows] for position in range(width)]


_ITEMS = """
SELECT item.account, item.item_id, item.sku, item.quantity, placed.shipped_at, item.order_id, item.kind = 'goods'
FROM order_items item
JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
JOIN orders placed ON placed.account = item.account AND placed.order_id = item.order_id
"""
_SKUS_OF_LOCKS = """
SELECT sku FROM {locks}
JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
"""
_LOCKS = """
SELECT account, item_id, order_id, sku, quantity, state, problem, revision FROM {locks} lock
JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
ORDER BY account, item_id FOR UPDATE OF lock
"""
_STORE_LOCKS = """
INSERT INTO {locks} AS stored (account, item_id, order_id, sku, quantity, state, problem, revision)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::int[])
ON CONFLICT (account, item_id) DO UPDATE SET
  order_id = excluded.order_id, sku = excluded.sku, quantity = excluded.quantity, state = excluded.state,
  problem = excluded.problem, revision = excluded.revision,
  since = CASE WHEN stored.state = excluded.state THEN stored.since ELSE now() END
"""
_STORE_HISTORY = """
INSERT INTO {history} (account, item_id, sku, event_id, cause, from_state, to_state, quantity)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[])
"""
_STORE_LEVELS = """
UPDATE {levels} stored SET on_hand = changed.on_hand, reserved = changed.reserved
FROM unnest(%s::text[], %s::int[], %s::int[]) AS changed (sku, on_hand, reserved)
WHERE stored.sku = changed.sku
"""
