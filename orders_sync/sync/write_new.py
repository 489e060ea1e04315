"""Writing new orders: copied straight into the tables."""

from typing import Any

from psycopg import Cursor

from orders_sync.database.copy import copy_into
from orders_sync.database.engine import Connection
from orders_sync.sync import care_links, documents
from orders_sync.sync.batch import Batch, BatchResult
from orders_sync.sync.copy_columns import EVENT_COLUMNS, ITEM_COLUMNS, ORDER_COLUMNS


def write_new(connection: Connection, batch: Batch) -> BatchResult:
    """Writes orders, items and an OrderCreated for each order, all or nothing.

    Raises UniqueViolation if one of the orders or items is stored already, and DataError if PostgreSQL can't store one
    of the records.
    """
    with connection.transaction(), connection.cursor() as cursor:
        copy_orders_and_items(cursor, batch, "orders", "order_items")
        copy_into(cursor, "order_events", EVENT_COLUMNS, batch.created_events)
        orders = [decoded.order for decoded in batch.checked]
        care_links.link_items(connection, batch.account, orders)
        flaws = documents.store_listed(connection, batch.account, orders)
    return BatchResult(created=[order.order_id for order in orders], events=len(orders), conflicts=flaws)


def copy_orders_and_items(cursor: Cursor[tuple[Any, ...]], batch: Batch, orders: str, items: str) -> None:
    """Copies a batch into two tables that have the columns of `orders` and of `order_items`."""
    copy_into(cursor, orders, ORDER_COLUMNS, batch.orders)
    copy_into(cursor, items, ITEM_COLUMNS, batch.items)
