"""Orders that are written straight into the tables, with the events and rechecks that a merge would write.

For tests that need many orders, or numbers of pieces that no sandbox marketplace gives.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection

ACCOUNT = "shop"
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
"""When the orders of these tests begin."""


def at(minutes: float) -> datetime:
    """So many minutes after START."""
    return START + timedelta(minutes=minutes)


class StoredItem(NamedTuple):
    """What is stored about an order item."""

    item_id: str
    sku: str = "PHONE"
    quantity: int = 1
    status: str = "accepted"
    cancelled: int | None = None
    shipped: int | None = None
    kind: str = "goods"
    parcels: tuple[tuple[int, datetime], ...] = ()
    """Pieces that left, and when, where the marketplace says it of the item."""

    def columns(self) -> tuple[object, ...]:
        """The values of the columns sku, quantity, status, cancelled, shipped, kind, shipments."""
        shipments = [{"pieces": pieces, "at": left_at.isoformat()} for pieces, left_at in self.parcels]
        return (*self[1:-1], Jsonb(shipments) if shipments else None)


class StoredOrder(NamedTuple):
    """What is stored about an order. Times are the marketplace's."""

    order_id: str
    items: Sequence[StoredItem]
    status: str = "accepted"
    created_at: datetime = START
    modified_at: datetime = START
    shipped_at: datetime | None = None
    account: str = ACCOUNT


def store_order(connection: Connection, order: StoredOrder) -> None:
    """Creates or changes an order, its items and its events in one transaction, as the merge does."""
    with connection.transaction():
        stored = connection.execute(
            "SELECT status FROM orders WHERE account = %s AND order_id = %s FOR UPDATE", [order.account, order.order_id]
        ).fetchone()
        if stored is None:
            _create(connection, order)
        else:
            _change(connection, order, stored[0])


def _create(connection: Connection, order: StoredOrder) -> None:
    connection.execute(
        "INSERT INTO orders (account, order_id, status, created_at, modified_at, shipped_at, raw, fingerprint) "
        "VALUES (%s, %s, %s, %s, %s, %s, '{}', '')",
        [order.account, order.order_id, order.status, order.created_at, order.modified_at, order.shipped_at],
    )
    for item in order.items:
        _insert_item(connection, order, item)
    connection.execute(
        "INSERT INTO order_events (account, order_id, kind, revision, new_status, items) "
        "VALUES (%s, %s, 'OrderCreated', 1, %s, %s)",
        [order.account, order.order_id, order.status, Jsonb({item.item_id: item.status for item in order.items})],
    )


def _change(connection: Connection, order: StoredOrder, status_before: str) -> None:
    row = connection.execute(
        "UPDATE orders SET status = %s, modified_at = %s, shipped_at = %s, revision = revision + 1 "
        "WHERE account = %s AND order_id = %s RETURNING revision",
        [order.status, order.modified_at, order.shipped_at, order.account, order.order_id],
    ).fetchone()
    revision = row[0] if row else 0
    if order.status != status_before:
        _publish(connection, order, "", revision, status_before, order.status)
    rows = connection.execute(
        "SELECT item_id, sku, quantity, status, cancelled, shipped, kind, shipments FROM order_items "
        "WHERE account = %s AND order_id = %s",
        [order.account, order.order_id],
    )
    before = {item_id: _stored_item(item_id, *columns) for item_id, *columns in rows}
    for item in order.items:
        stored = before.get(item.item_id)
        if stored is None:
            _insert_item(connection, order, item)
        elif stored != item:
            connection.execute(
                "UPDATE order_items SET sku = %s, quantity = %s, status = %s, cancelled = %s, shipped = %s, kind = %s, "
                "shipments = %s WHERE account = %s AND item_id = %s",
                [*item.columns(), order.account, item.item_id],
            )
        if stored is None or stored.status != item.status:
            _publish(connection, order, item.item_id, revision, stored and stored.status, item.status)
        elif stored != item:
            connection.execute(
                "INSERT INTO stock_rechecks (account, item_id) VALUES (%s, %s)", [order.account, item.item_id]
            )


def _stored_item(item_id: str, *columns: Any) -> StoredItem:
    facts: Sequence[Any] = columns[:-1]
    shipments = columns[-1]
    parcels = tuple((each["pieces"], datetime.fromisoformat(each["at"])) for each in shipments or ())
    return StoredItem._make([item_id, *facts, parcels])


def _insert_item(connection: Connection, order: StoredOrder, item: StoredItem) -> None:
    connection.execute(
        "INSERT INTO order_items "
        "(account, order_id, item_id, sku, quantity, status, cancelled, shipped, kind, shipments) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [order.account, order.order_id, item.item_id, *item.columns()],
    )


def _publish(
    connection: Connection, order: StoredOrder, item_id: str, revision: int, old: str | None, new: str
) -> None:
    connection.execute(
        "INSERT INTO order_events (account, order_id, item_id, kind, revision, old_status, new_status) "
        "VALUES (%s, %s, %s, 'OrderStatusChanged', %s, %s, %s)",
        [order.account, order.order_id, item_id, revision, old, new],
    )


def store_care_record(connection: Connection, care_id: str, pieces: int | None, item_id: str = "100") -> None:
    """Stores an open return of so many pieces of an item, if it is not stored; None: it does not say how many."""
    connection.execute(
        "INSERT INTO care_records (account, care_id, kind, state, raw, fingerprint) "
        "VALUES (%s, %s, 'return', 'open', '{}', '') ON CONFLICT DO NOTHING",
        [ACCOUNT, care_id],
    )
    connection.execute(
        "INSERT INTO care_record_items (account, care_id, item_id, quantity) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [ACCOUNT, care_id, item_id, pieces],
    )


def store_label(connection: Connection, order_id: str, **columns: object) -> None:
    """Stores a label of an order, for all its items unless `item_ids` are given."""
    values = {
        "account": ACCOUNT, "order_id": order_id, "kind": "label", "document_key": "L1", "url": "https://x.example/l",
        **columns,
    }  # fmt: skip
    parameters = [Jsonb(value) if isinstance(value, list) else value for value in values.values()]
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    connection.execute(f"INSERT INTO order_documents ({names}) VALUES ({places})".encode(), parameters)
