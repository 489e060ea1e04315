"""What changes locks without an event: stock that became available, and items whose quantity or SKU changed."""

from orders_sync.stock.actions import LockAction
from orders_sync.stock.apply_commands import StockResult, apply_commands
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import LockCommand


def retry_short(stock: StockConnection, oversell: frozenset[str] = frozenset()) -> StockResult:
    """Locks short items for which enough pieces are available now, the oldest first."""
    with stock.transaction():
        rows = stock.execute(_SHORT_BUT_AVAILABLE).fetchall()
        commands = [
            LockCommand(account, item_id, order_id, LockAction.LOCK, revision, None, "stock became available")
            for account, item_id, order_id, revision in rows
        ]
        return apply_commands(stock, commands, oversell)


def relock_changed_items(stock: StockConnection, oversell: frozenset[str] = frozenset()) -> StockResult:
    """Releases and locks items anew whose quantity or SKU the marketplace changed, which fires no event."""
    with stock.transaction():
        rows = stock.execute(_CHANGED_ITEMS).fetchall()
        commands = [
            LockCommand(account, item_id, order_id, action, revision, None, "quantity or SKU changed")
            for account, item_id, order_id, revision in rows
            for action in (LockAction.RELEASE, LockAction.LOCK)
        ]
        return apply_commands(stock, commands, oversell)


_SHORT_BUT_AVAILABLE = """
SELECT lock.account, lock.item_id, lock.order_id, lock.revision
FROM {locks} lock JOIN {levels} level USING (sku)
WHERE lock.state = 'short' AND level.on_hand - level.reserved >= lock.quantity
ORDER BY lock.since, lock.account, lock.item_id
"""
_CHANGED_ITEMS = """
SELECT lock.account, lock.item_id, lock.order_id, lock.revision
FROM {locks} lock JOIN order_items item USING (account, item_id)
WHERE lock.state IN ('locked', 'short')
  AND (lock.quantity <> item.quantity OR lock.sku <> item.sku OR item.kind <> 'goods')
ORDER BY lock.account, lock.item_id
"""
