"""Late orders: those that the marketplace expects to be shipped by now, or soon."""

from datetime import datetime, timedelta
from typing import NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.model.statuses import Status

RECENT = timedelta(days=92)
"""Orders of this time are looked at: no index has the others, and none of them is shipped now."""
UNSHIPPED = (Status.PENDING, Status.ACCEPTED)


class LateOrder(NamedTuple):
    """An order that is not shipped."""

    account: str
    order_id: str
    status: str
    dispatch_due_at: datetime
    skus: list[str]


def late_orders(connection: Connection, until: datetime, limit: int) -> list[LateOrder]:
    """The orders that are not shipped, and due before `until`, the oldest date first; `limit`: how many at most."""
    values = {"until": until, "recent": RECENT, "unshipped": list(UNSHIPPED), "limit": limit}
    return rows_as(connection, LateOrder, _LATE, values)


_LATE = """
SELECT account, order_id, status, dispatch_due_at,
  ARRAY(SELECT DISTINCT sku FROM order_items item
        WHERE item.account = placed.account AND item.order_id = placed.order_id ORDER BY sku) AS skus
FROM orders placed
WHERE created_at >= now() - %(recent)s AND status = ANY(%(unshipped)s) AND dispatch_due_at < %(until)s
ORDER BY dispatch_due_at, account, order_id LIMIT %(limit)s
"""
