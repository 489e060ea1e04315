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


class EventDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document that can be fetched. Its URL is buyer's data, and so not in here."""

    kind: str
    """delivery_note or label."""
    number: int
    """Counts the order's documents of the kind from 1, e.g. the labels of its parcels."""
    carrier: str | None
    """The carrier of the parcel; null: the marketplace does not say."""
    item_ids: list[str]
    """The items in the parcel; empty: the marketplace does not say."""


class EventCareItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that a care case is about."""

    item_id: str
    """The marketplace's id of the order item."""
    quantity: int | None
    """Pieces that the case is about; null: the marketplace does not say."""


class EventCare(msgspec.Struct, frozen=True, kw_only=True):
    """A care case, as it was when the event was written."""

    care_id: str
    """The marketplace's id of the care case."""
    kind: str
    """replacement, return, refund or other."""
    state: str
    """open, closed, cancelled or unknown."""
    opened_at: Moment | None
    """When the case was opened, by the marketplace's clock."""
    closed_at: Moment | None
    """When the case was closed, by the marketplace's clock."""
    items: list[EventCareItem]
    """The items of this order that it is about."""


class EventLock(msgspec.Struct, frozen=True, kw_only=True):
    """A stock lock, as it was when the event was written."""

    item_id: str
    """The marketplace's id of the order item."""
    sku: str
    """The SKU of the stock list; an item of a bundle has a lock for each of them."""
    quantity: int
    """Pieces of the SKU that the item needs."""
    locked: int
    """Pieces that are locked for the item."""
    short: int
    """Pieces that are missing."""


class EventAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address of the buyer; null: the marketplace does not say."""

    first_name: str | None
    """First name."""
    last_name: str | None
    """Last name."""
    company: str | None
    """Company."""
    street: str | None
    """Street."""
    street2: str | None
    """Second line of the street."""
    postal_code: str | None
    """Postal code."""
    city: str | None
    """City."""
    state: str | None
    """State or province."""
    country: str | None
    """Country, as the marketplace writes it."""
    phone: str | None
    """Phone number."""


class EventBuyer(msgspec.Struct, frozen=True, kw_only=True):
    """The buyer's data, as they are when the event is delivered: no earlier ones are kept."""

    email: str | None
    """E-mail address."""
    shipping_address: EventAddress
    """Where the order goes."""
    billing_address: EventAddress
    """Where the invoice goes."""
    tracking_number: str | None
    """The carrier's tracking number."""
    tracking_url: str | None
    """URL of the carrier's tracking page."""
    delivery_note_url: str | None
    """URL of the delivery note to use; may need the account's credential."""
    label_url: str | None
    """URL of the shipping label to use; may need the account's credential."""


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An order event. It has no buyer's data, but for subscriptions that ask for them and may have them."""

    version: int
    """The version of this contract."""
    id: str
    """The same each time the event is delivered: a consumer that has it already ignores it."""
    kind: str
    """What has happened, e.g. OrderCreated."""
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
    """The status after; of a kind that changes none, the order's status."""
    recorded_at: Moment
    """When the change was stored, by the clock of the orders database, in UTC."""
    order: EventOrder | None
    """null: somebody has deleted the order from the database since."""
    items: list[EventItem]
    """All items of the order, with those that it does not list any more (status `removed`)."""
    changed: ChangedFields
    """What the revision has changed; empty for OrderCreated, and for what is no change of the order itself."""
    document: EventDocument | None
    """DocumentAvailable: the document."""
    care: EventCare | None
    """CareOpened and CareClosed: the care case."""
    lock: EventLock | None
    """StockLocked and StockShort: the lock."""
    buyer: EventBuyer | None
    """null: the subscription does not ask for it, the account does not share it, or it was erased."""


def event_from(content: Any) -> OrderEvent:
    """The event from its JSON. Raises msgspec.ValidationError for anything else."""
    return msgspec.convert(content, OrderEvent)
