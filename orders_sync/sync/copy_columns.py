"""Orders, items and events as columns for COPY. A first load spends much of its time here."""

from collections.abc import Sequence
from typing import cast

import msgspec

from orders_sync.database.copy import Column
from orders_sync.model.records import Address, Order, Shipment
from orders_sync.sync.columnar import ORDER_TIMES, OrderColumns, by_field, texts_of
from orders_sync.sync.record_types import plain

_ADDRESS_PARTS = Address.__struct_fields__
ORDER_COLUMNS = (
    "account", "order_id", "status", "marketplace_state", "created_at", "modified_at", "paid_at", "shipped_at",
    "dispatch_due_at", "currency", "items_total", "shipping_total", "sales_taxes", "country_code",
    "payment_method", "marketplace_shipping", "marketplace_delivery_note", "carrier", "tracking_number",
    "tracking_url", "delivery_note_url", "label_url", "buyer_email",
    *(f"shipping_{part}" for part in _ADDRESS_PARTS),
    *(f"billing_{part}" for part in _ADDRESS_PARTS),
    "raw", "fingerprint",
)  # fmt: skip
ITEM_COLUMNS = (
    "account", "item_id", "order_id", "sku", "quantity", "status", "marketplace_state", "created_at", "currency",
    "price", "shipping_price", "fee", "product", "listing_id", "imeis", "serial_numbers", "kind",
    "cancelled", "shipped", "refunded", "returned", "shipments",
)  # fmt: skip
EVENT_COLUMNS = (
    "account", "order_id", "item_id", "kind", "revision", "old_status", "new_status", "items",
)  # fmt: skip
ORDERS_EMPTY_IS_NULL = [True] * len(ORDER_COLUMNS[:-2])
ITEMS_EMPTY_IS_NULL = [column != "sku" for column in ITEM_COLUMNS]
"""Which columns are NULL where the text is empty: an empty text must not replace a stored value. An empty SKU is one,
until the marketplace names it."""
EventRow = tuple[str | None, ...]
"""One event: the texts of EVENT_COLUMNS."""

CREATED = "OrderCreated"
STATUS_CHANGED = "OrderStatusChanged"


def order_columns(account: str, fields: OrderColumns) -> list[Column]:
    """The columns ORDER_COLUMNS without `raw` and `fingerprint`, which stay bytes."""
    columns = dict(fields.orders)
    columns["account"] = [account] * len(columns["order_id"])
    for time in ORDER_TIMES:
        columns[time] = texts_of(columns[time])
    for flag in ("marketplace_shipping", "marketplace_delivery_note"):
        columns[flag] = [None if value is None else str(value) for value in columns[flag]]
    for address in ("shipping", "billing"):
        for part, column in by_field(Address, columns[address]).items():
            columns[f"{address}_{part}"] = column
    return [columns[name] for name in ORDER_COLUMNS[:-2]]


def item_columns(account: str, fields: OrderColumns) -> list[Column]:
    """The columns ITEM_COLUMNS of all items."""
    columns = dict(fields.items)
    columns["account"] = [account] * len(columns["item_id"])
    columns["order_id"] = fields.order_id_of_items
    columns["created_at"] = texts_of(columns["created_at"])
    columns["quantity"] = [str(quantity) for quantity in columns["quantity"]]
    for pieces in ("cancelled", "shipped", "refunded", "returned"):
        columns[pieces] = _number_texts(columns[pieces])
    for numbers in ("imeis", "serial_numbers"):
        columns[numbers] = _array_texts(columns[numbers])
    columns["shipments"] = _json_texts(columns["shipments"])
    return [columns[name] for name in ITEM_COLUMNS]


def _number_texts(column: Sequence[int | None]) -> Column:
    # Most marketplaces do not say.
    return cast(Column, column) if not any(column) and 0 not in column else [n if n is None else str(n) for n in column]


def _array_texts(column: Sequence[tuple[str, ...] | None]) -> Column:
    """As PostgreSQL reads an array of texts."""
    return [f"{{{','.join(map(_quoted, value))}}}" if value else None for value in column]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _json_texts(column: Sequence[tuple[Shipment, ...] | None]) -> Column:
    if not any(column):
        return [None] * len(column)
    return [msgspec.json.encode(value, enc_hook=plain).decode() if value else None for value in column]


def event_columns(rows: Sequence[EventRow]) -> list[Column]:
    """The columns EVENT_COLUMNS."""
    return list(zip(*rows, strict=True))


def created_row(account: str, order: Order) -> EventRow:
    """The event that an order was created, with the status of each item."""
    items = msgspec.json.encode({item.item_id: item.status for item in order.items or ()}).decode()
    return (account, order.order_id, "", CREATED, "1", None, order.status, items)


def changed_row(account: str, order_id: str, item_id: str, revision: int, old: str | None, new: str) -> EventRow:
    """The event that a status changed; `item_id` is empty if it is the order's own. `old` is None for an added item."""
    return (account, order_id, item_id, STATUS_CHANGED, str(revision), old, new, None)
