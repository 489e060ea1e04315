"""What an order event says: the contract with its consumers, the same in Dagster, in webhooks and in SQL.

The SQL function `order_event` builds it (alembic revision 0036) from what is stored, as it was when the event was
written, however late it is delivered. Within a version, fields are added and never removed or changed.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from orders_sync.model.statuses import Status

VERSION = 1
"""The version of the contract."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment in UTC."""


class EventItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the order, as it was when the event was written. Amounts are texts with a decimal point."""

    item_id: str
    """The marketplace's id of the order item (orderline)."""
    sku: str
    """The SKU as the marketplace names it; '': it does not yet."""
    kind: str
    """goods, gift_card, discount, fee, gift_wrap, shipping or service."""
    quantity: int
    """Ordered pieces."""
    status: Status
    """The item's status; removed: the order does not list it any more."""
    cancelled: int | None
    """Pieces that will not ship; null: the marketplace does not say."""
    shipped: int | None
    """Pieces that have left; null: the marketplace does not say."""
    refunded: int | None
    """Refunded pieces; null: the marketplace does not say."""
    returned: int | None
    """Pieces that came back; null: the marketplace does not say."""
    currency: str | None
    """ISO 4217 code of the item's amounts."""
    price: Decimal | None
    """Price of the whole quantity, tax included, shipping not included."""
    shipping_price: Decimal | None
    """Price of the item's shipping, tax included."""
    fee: Decimal | None
    """The marketplace's commission."""


class EventOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order, as it was when the event was written. Times are the marketplace's, in UTC."""

    status: Status
    """The order's status."""
    created_at: Moment | None
    """When the buyer ordered."""
    modified_at: Moment | None
    """When the order last changed."""
    paid_at: Moment | None
    """When the order was paid."""
    shipped_at: Moment | None
    """When the order was shipped."""
    dispatch_due_at: Moment | None
    """When the marketplace expects the dispatch at the latest."""
    currency: str | None
    """ISO 4217 code of the order's amounts."""
    items_total: Decimal | None
    """Price of all items, tax included, shipping not included."""
    shipping_total: Decimal | None
    """Price of the shipping, tax included."""
    sales_taxes: Decimal | None
    """Sales taxes; null: the marketplace does not report them."""
    country_code: str | None
    """The country as the marketplace writes it."""


class ChangedFields(msgspec.Struct, frozen=True, kw_only=True):
    """The names of what has changed; of buyer's data, the names alone are known."""

    order: list[str]
    """Columns of `orders`, e.g. shipped_at or shipping_street."""
    items: dict[str, list[str]]
    """Columns of `order_items`, by the item's id."""


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An order event. It has no buyer's data."""

    version: int
    """The version of this contract."""
    id: str
    """The same each time the event is delivered: a consumer that has it already ignores it."""
    kind: str
    """OrderCreated, OrderStatusChanged or OrderChanged."""
    account: str
    """The seller account."""
    order_id: str
    """The marketplace's id of the order, unique within the account."""
    item_id: str | None
    """The item whose status has changed; null: the event is about the order."""
    revision: int
    """Counts the stored versions of the order from 1. Several events may belong to one."""
    old_status: Status | None
    """The status before; null: the order or the item is new."""
    new_status: Status
    """The status after; of OrderChanged, the order's status, which has not changed."""
    recorded_at: Moment
    """When the change was stored, by the clock of the orders database, in UTC."""
    order: EventOrder | None
    """null: somebody has deleted the order from the database since."""
    items: list[EventItem]
    """All items of the order, with those that it does not list any more (status `removed`)."""
    changed: ChangedFields
    """What the revision has changed; empty for OrderCreated."""


def event_from(content: Any) -> OrderEvent:
    """The event from its JSON. Raises msgspec.ValidationError for anything else."""
    return msgspec.convert(content, OrderEvent)
