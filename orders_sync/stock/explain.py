"""Why a lock is as it is: the events that made, consumed or released it, in order."""

from datetime import datetime
from typing import NamedTuple

from orders_sync.database.engine import Connection


class LockHistoryEntry(NamedTuple):
    """One step of one lock. `event_id` is None where no event but an import caused it."""

    at: datetime
    account: str
    order_id: str
    item_id: str
    sku: str
    quantity: int
    from_state: str | None
    to_state: str
    cause: str
    event_id: int | None


class SkuLevel(NamedTuple):
    sku: str
    on_hand: int | None
    reserved: int
    short: int


def explain(connection: Connection, item_or_sku: str) -> tuple[list[SkuLevel], list[LockHistoryEntry]]:
    """The levels and the steps of all locks of an item id, an `account/item id`, or a SKU; oldest first."""
    account, _, item = item_or_sku.rpartition("/")
    rows = connection.execute(
        """
        SELECT step.at, step.account, coalesce(lock.order_id, ''), step.item_id, step.sku, step.quantity,
               step.from_state, step.to_state, step.cause, step.event_id
        FROM stock_lock_history step LEFT JOIN stock_locks lock USING (account, item_id)
        WHERE step.sku = %(asked)s OR step.item_id = %(asked)s
           OR (step.account = %(account)s AND step.item_id = %(item)s)
        ORDER BY step.entry_id
        """,
        {"asked": item_or_sku, "account": account, "item": item},
    ).fetchall()
    steps = [LockHistoryEntry(*row) for row in rows]
    skus = sorted({step.sku for step in steps} | {item_or_sku})
    levels = connection.execute(
        """
        SELECT level.sku, level.on_hand, level.reserved,
          (SELECT count(*) FROM stock_locks lock WHERE lock.sku = level.sku AND lock.state = 'short')
        FROM stock_levels level WHERE level.sku = ANY(%s) ORDER BY level.sku
        """,
        [skus],
    ).fetchall()
    return [SkuLevel(*row) for row in levels], steps
