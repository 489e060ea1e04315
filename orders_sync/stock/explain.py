"""Why a lock is as it is: the events that made, consumed or released it, in order."""

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import HISTORY, LockHistoryEntry, SkuLevel


def explain(stock: StockConnection, item_or_sku: str) -> tuple[list[SkuLevel], list[LockHistoryEntry]]:
    """The levels and the steps of all locks of an item id, an `account/item id`, or a SKU; the oldest step first."""
    account, _, item_id = item_or_sku.rpartition("/")
    rows = stock.execute(
        HISTORY
        + """
        WHERE step.sku = %(item_or_sku)s OR step.item_id = %(item_or_sku)s
           OR (step.account = %(account)s AND step.item_id = %(item_id)s)
        ORDER BY step.entry_id
        """,
        {"item_or_sku": item_or_sku, "account": account, "item_id": item_id},
    )
    steps = [LockHistoryEntry(*row) for row in rows]
    skus = sorted({step.sku for step in steps} | {item_or_sku})
    levels = stock.execute(
        """
        SELECT level.sku, level.on_hand, level.reserved,
          (SELECT count(*) FROM {locks} lock WHERE lock.sku = level.sku AND lock.state = 'short')
        FROM {levels} level WHERE level.sku = ANY(%s) ORDER BY level.sku
        """,
        [skus],
    )
    return [SkuLevel(*row) for row in levels], steps
