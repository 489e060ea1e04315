"""Why a lock is as it is: the events that made, consumed or released it, in order."""

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import HISTORY, SkuLevel, StoredTransition


def explain(stock: StockConnection, item_or_sku: str) -> tuple[list[SkuLevel], list[StoredTransition]]:
    """The levels and the transitions of all locks of an item id, an `account/item id`, or a SKU; the oldest first."""
    account, _, item_id = item_or_sku.rpartition("/")
    transitions = stock.rows_as(
        StoredTransition,
        HISTORY
        + """
        WHERE entry.sku = %(item_or_sku)s OR entry.item_id = %(item_or_sku)s
           OR (entry.account = %(account)s AND entry.item_id = %(item_id)s)
        ORDER BY entry.entry_id
        """,
        {"item_or_sku": item_or_sku, "account": account, "item_id": item_id},
    )
    skus = sorted({transition.sku for transition in transitions} | {item_or_sku})
    levels = stock.rows_as(
        SkuLevel,
        """
        SELECT level.sku, level.on_hand, level.reserved,
          (SELECT count(*) FROM {locks} lock WHERE lock.sku = level.sku AND lock.state = 'short') AS short
        FROM {levels} level WHERE level.sku = ANY(%s) ORDER BY level.sku
        """,
        [skus],
    )
    return levels, transitions
