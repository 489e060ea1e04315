"""Why a lock is as it is: the events that made, consumed or released it, in order."""

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import HISTORY, LockHistoryEntry, SkuLevel


def explain(stock: StockConnection, item_or_sku: str) -> tuple[list[SkuLevel], list[LockHistoryEntry]]:
    """The levels and the steps of all locks of an item id, an `account/item id`, or a SKU; the oldest step first."""
    account, _, item_id = item_or_sku.rpartition("/")
    steps = stock.rows_as(
        LockHistoryEntry,
        HISTORY
        + """
        WHERE step.sku = %(item_or_sku)s OR step.item_id = %(item_or_sku)s
           OR (step.account = %(account)s AND step.item_id = %(item_id)s)
        ORDER BY step.entry_id
        """,
        {"item_or_sku": item_or_sku, "account": account, "item_id": item_id},
    )
    skus = sorted({step.sku for step in steps} | {item_or_sku})
    levels = stock.rows_as(
        SkuLevel,
        """
        SELECT level.sku, level.on_hand, level.reserved,
          (SELECT count(*) FROM {locks} lock WHERE lock.sku = level.sku AND lock.state = 'short') AS short
        FROM {levels} level WHERE level.sku = ANY(%s) ORDER BY level.sku
        """,
        [skus],
    )
    return levels, steps
