"""Orders, items and events as rows for COPY: the hot path of a first load."""

from collections.abc import Sequence

import msgspec

from orders_sync.database.copy import Row
from orders_sync.database.tables import ADDRESS_PARTS
from orders_sync.sync.records import NO_ADDRESS, Address, Order, OrderItem

ORDER_COLUMNS = (
    "account", "order_id", "status", "marketplace_state", "created_at", "modified_at", "paid_at", "shipped_at",
    "dispatch_due_at", "currency", "items_total", "shipping_total", "sales_taxes", "country_code",
    "payment_method", "marketplace_shipping", "marketplace_delivery_note", "carrier", "tracking_number",
    "tracking_url", "delivery_note_url", "label_url", "buyer_email",
    *(f"shipping_{part}" for part in ADDRESS_PARTS),
    *(f"billing_{part}" for part in ADDRESS_PARTS),
    "raw", "fingerprint",
)  # fmt: skip
ITEM_COLUMNS = (
    "account", "item_id", "order_id", "sku", "quantity", "status", "marketplace_state", "created_at", "currency",
    "price", "shipping_price", "fee", "product", "listing_id", "imei", "serial_number",
)  # fmt: skip
EVENT_COLUMNS = (
    "account", "order_id", "item_id", "kind", "revision", "old_status", "new_status", "items",
)  # fmt: skip

CREATED = "OrderCreated"
STATUS_CHANGED = "OrderStatusChanged"

_texts = msgspec.to_builtins
"""Times and amounts as PostgreSQL reads them, several at a time: five times as fast as str() of each."""
_NO_ADDRESS = (None,) * len(ADDRESS_PARTS)


def order_row(account: str, o: Order) -> Row:
    """All of an order's columns but `raw` and `fingerprint`."""
    created_at, modified_at, paid_at, shipped_at, dispatch_due_at, items_total, shipping_total, sales_taxes = _texts(
        (o.created_at, o.modified_at, o.paid_at, o.shipped_at, o.dispatch_due_at,
         o.items_total, o.shipping_total, o.sales_taxes)
    )  # fmt: skip
    return (
        account, o.order_id, o.status, o.marketplace_state, created_at, modified_at, paid_at, shipped_at,
        dispatch_due_at, o.currency, items_total, shipping_total, sales_taxes, o.country_code, o.payment_method,
        _flag(o.marketplace_shipping), _flag(o.marketplace_delivery_note), o.carrier, o.tracking_number,
        o.tracking_url, o.delivery_note_url or None, o.label_url or None, o.buyer_email,
        *_address_fields(o.shipping), *_address_fields(o.billing),
    )  # fmt: skip


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value)


def _address_fields(address: Address) -> tuple[str | None, ...]:
    if address is NO_ADDRESS:
        return _NO_ADDRESS
    return (
        address.first_name, address.last_name, address.company, address.street, address.street2,
        address.postal_code, address.city, address.state, address.country, address.phone,
    )  # fmt: skip


def item_rows(account: str, order_id: str, items: Sequence[OrderItem]) -> list[Row]:
    """The rows of an order's items."""
    texts = _texts([(i.created_at, i.price, i.shipping_price, i.fee) for i in items])
    return [
        (
            account, i.item_id, order_id, i.sku, str(i.quantity), i.status, i.marketplace_state, created_at,
            i.currency, price, shipping_price, fee, i.product, i.listing_id, i.imei, i.serial_number,
        )
        for i, (created_at, price, shipping_price, fee) in zip(items, texts, strict=True)
    ]  # fmt: skip


def created_row(account: str, o: Order) -> Row:
    """The event of an order's creation, with the status of each item."""
    items = msgspec.json.encode({item.item_id: item.status for item in o.items or ()}).decode()
    return (account, o.order_id, "", CREATED, "1", None, o.status, items)


def changed_row(account: str, order_id: str, item_id: str, revision: int, old: str | None, new: str) -> Row:
    """The event of a change of status; `item_id` is empty for the order's own."""
    return (account, order_id, item_id, STATUS_CHANGED, str(revision), old, new, None)
