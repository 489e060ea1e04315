"""Orders, items and events as rows for COPY: the hot path of a first load."""

from collections.abc import Sequence

import msgspec

from orders_sync.database.copy import NULL, escaped
from orders_sync.database.tables import ADDRESS_PARTS
from orders_sync.sync.records import NO_ADDRESS, Address, Order, OrderItem

ORDER_COLUMNS = (
    "account", "order_id", "status", "marketplace_state", "created_at", "modified_at", "paid_at", "shipped_at",
    "dispatch_due_at", "currency", "items_total", "shipping_total", "sales_taxes", "country_code",
    "payment_method", "marketplace_shipping", "carrier", "tracking_number", "tracking_url", "delivery_note_url",
    "label_url", "buyer_email",
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

_UNKNOWN = "\x01"
"""Stands for NULL while a row is put together, so that one look at the whole row finds what needs escaping."""
_NO_ADDRESS = (None,) * len(ADDRESS_PARTS)


def _line(values: Sequence[str | None]) -> str:
    """A row as COPY wants it; `values` are texts, or None for NULL."""
    joined = "\t".join([_UNKNOWN if value is None else value for value in values])
    if (
        "\\" in joined
        or "\n" in joined
        or "\r" in joined
        or joined.count("\t") >= len(values)
        or joined.count(_UNKNOWN) != values.count(None)
    ):
        return "\t".join([NULL if value is None else escaped(value) for value in values])
    return joined.replace(_UNKNOWN, NULL)


def _plain(value: object) -> str | None:
    return None if value is None else str(value)


def order_line(account: str, o: Order, text: str, fingerprint: bytes) -> str:
    values = (
        account, o.order_id, o.status, o.marketplace_state, _plain(o.created_at), _plain(o.modified_at),
        _plain(o.paid_at), _plain(o.shipped_at), _plain(o.dispatch_due_at), o.currency, _plain(o.items_total),
        _plain(o.shipping_total), _plain(o.sales_taxes), o.country_code, o.payment_method,
        _plain(o.marketplace_shipping), o.carrier, o.tracking_number, o.tracking_url, o.delivery_note_url or None,
        o.label_url or None, o.buyer_email, *_address_fields(o.shipping), *_address_fields(o.billing),
    )  # fmt: skip
    return f"{_line(values)}\t{escaped(text)}\t\\\\x{fingerprint.hex()}\n"


def _address_fields(address: Address) -> tuple[str | None, ...]:
    if address is NO_ADDRESS:
        return _NO_ADDRESS
    return (
        address.first_name, address.last_name, address.company, address.street, address.street2,
        address.postal_code, address.city, address.state, address.country, address.phone,
    )  # fmt: skip


def item_line(account: str, order_id: str, i: OrderItem) -> str:
    values = (
        account, i.item_id, order_id, i.sku, str(i.quantity), i.status, i.marketplace_state, _plain(i.created_at),
        i.currency, _plain(i.price), _plain(i.shipping_price), _plain(i.fee), i.product, i.listing_id, i.imei,
        i.serial_number,
    )  # fmt: skip
    return _line(values) + "\n"


def created_line(account: str, o: Order) -> str:
    items = msgspec.json.encode({item.item_id: str(item.status) for item in o.items or ()}).decode()
    return _line((account, o.order_id, "", CREATED, "1", None, o.status, items)) + "\n"


def changed_line(account: str, order_id: str, item_id: str, revision: int, old: str | None, new: str) -> str:
    """The event of a change of status; `item_id` is empty for the order's own."""
    return _line((account, order_id, item_id, STATUS_CHANGED, str(revision), old, new, None)) + "\n"
