"""The canonical records: adapters turn a marketplace's own records into these."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec.structs import astuple

from orders_sync.model.errors import OrdersSyncError
from orders_sync.model.keys import with_valid_characters
from orders_sync.model.statuses import Status

Amount = Decimal | str
"""A decimal amount, or its text as the marketplace wrote it. Both reach PostgreSQL's numeric exactly, and the record
check has the same rules for both. With texts, a first load need not create millions of Decimals."""


class Address(msgspec.Struct, frozen=True, gc=False):
    """The parts of a buyer's address; None if the marketplace leaves one out."""

    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    street: str | None = None
    street2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    phone: str | None = None


NO_ADDRESS = Address()


class ItemKind(StrEnum):
    """What an orderline sells. Only goods are in stock: an item of another kind needs neither SKU nor lock."""

    GOODS = "goods"
    GIFT_CARD = "gift_card"
    DISCOUNT = "discount"
    """A voucher, a promotion or a store credit: it lowers what the buyer pays."""
    FEE = "fee"
    GIFT_WRAP = "gift_wrap"
    SHIPPING = "shipping"
    SERVICE = "service"
    """Anything else that is not shipped, e.g. a warranty or a download."""


class Shipment(msgspec.Struct, frozen=True, gc=False):
    """Pieces of an order item that left together."""

    pieces: int
    at: datetime
    """When they left, by the marketplace's clock."""


class OrderItem(msgspec.Struct, frozen=True, gc=False):
    """An orderline. `price` is for the whole quantity, in `currency`, tax included."""

    item_id: str
    sku: str
    """The seller's own id of the product; only goods that can still ship need one."""
    quantity: int | None
    """Pieces; 0 if nothing of the line is left to ship. None if the record does not say: only goods that can still
    ship need it, and the record check stores 0 for the others."""
    status: Status
    marketplace_state: str | None = None
    created_at: datetime | None = None
    currency: str | None = None
    price: Amount | None = None
    shipping_price: Amount | None = None
    fee: Amount | None = None
    product: str | None = None
    listing_id: str | None = None
    imeis: tuple[str, ...] | None = None
    """The IMEIs of the item's pieces; a device with two SIMs has two. None if the marketplace names none."""
    serial_numbers: tuple[str, ...] | None = None
    """The serial numbers of the item's pieces, likewise."""
    kind: ItemKind = ItemKind.GOODS
    cancelled: int | None = None
    """Pieces of `quantity` that will not ship; None if the marketplace does not say. So are the next three."""
    shipped: int | None = None
    """Pieces of `quantity` that have left."""
    refunded: int | None = None
    """Pieces that were refunded, before or after the shipping."""
    returned: int | None = None
    """Pieces that came back."""
    shipments: tuple[Shipment, ...] | None = None
    """When the item's own pieces left; None if the marketplace says it of the whole order alone, or not at all."""


class DocumentKind(StrEnum):
    """What a document of an order is for."""

    DELIVERY_NOTE = "delivery_note"
    LABEL = "label"


class Document(msgspec.Struct, frozen=True, gc=False):
    """A delivery note or a shipping label of an order. An order has one label for each parcel."""

    key: str
    """The marketplace's id of the document, unique among the order's documents of its kind."""
    kind: DocumentKind
    url: str | None
    carrier: str | None = None
    tracking_number: str | None = None
    item_ids: tuple[str, ...] = ()
    """The ids of the items that it is for; empty if the marketplace does not say."""
    expires_at: datetime | None = None
    """When the URL stops working; None if it does not."""
    cancelled_at: datetime | None = None
    """When the marketplace cancelled it; a cancelled document is never offered."""
    shipped_at: datetime | None = None
    """When the parcel of the label left; None if it has not, or if the marketplace does not say it of the parcel."""


class Order(msgspec.Struct, frozen=True, gc=False):
    """An order with its items. None means that the record leaves a value out; a stored value is kept then.

    `items` is None if the record leaves the items out: those that are stored are kept as they are.
    """

    order_id: str
    status: Status
    items: list[OrderItem] | None
    marketplace_state: str | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    dispatch_due_at: datetime | None = None
    currency: str | None = None
    items_total: Amount | None = None
    shipping_total: Amount | None = None
    sales_taxes: Amount | None = None
    country_code: str | None = None
    payment_method: str | None = None
    marketplace_shipping: bool | None = None
    """Whether the marketplace makes the shipping label."""
    marketplace_delivery_note: bool | None = None
    """Whether the marketplace makes the delivery note."""
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    delivery_note_url: str | None = None
    label_url: str | None = None
    buyer_email: str | None = None
    shipping: Address = NO_ADDRESS
    billing: Address = NO_ADDRESS
    documents: list[Document] | None = None
    """The documents that the record lists, cancelled ones included; None if it lists none. `delivery_note_url` and
    `label_url` are enough for a marketplace that has one of each."""
    lists_all_items: bool = True
    """Whether `items` are all that the record lists: then the order's other stored items are removed. The record check
    makes it false where it leaves out an item that can't be read."""


class CareItem(msgspec.Struct, frozen=True, gc=False):
    """An order item that a care record is about."""

    item_id: str
    quantity: int | None = None
    """The pieces that come back, or that the case is about; None if the marketplace does not say."""


class CareRecord(msgspec.Struct, frozen=True, gc=False):
    """A care case.

    `kind` is `replacement`, `return`, `refund` or `other`; `state` is `open`, `closed`, `cancelled` (nothing comes of
    it) or `unknown`.
    """

    care_id: str
    items: list[CareItem]
    """The order items that it is about, each once; empty if it names none."""
    kind: str
    state: str
    marketplace_state: str | None = None
    opened_at: datetime | None = None
    modified_at: datetime | None = None
    closed_at: datetime | None = None
    received: bool | None = None
    """Whether the seller has received the pieces that come back; None if the record does not say."""


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why a record was rejected: where in the record, what is wrong, what is allowed. Contains no buyer's data."""

    where: str
    what: str
    allowed: str


class Flaw(msgspec.Struct, frozen=True, gc=False):
    """What was wrong with a record that is stored nevertheless. Contains no buyer's data."""

    field: str
    """Where in the record, e.g. `items[1].fee`."""
    found: str
    """What the record has there, e.g. `is not a number`."""
    stored: str
    """What is stored instead, e.g. `unknown`."""
    canonical: str = ""
    """The field of the canonical record, if the record may have to be rejected without it, e.g. `items[1].sku`."""


class RecordRejectedError(OrdersSyncError):
    """A record that can't be stored; `reasons` lists everything that is wrong with it.

    An adapter may quote in a reason what can't be stored either: U+FFFD stands for such a character.
    """

    def __init__(self, reasons: list[Reason]) -> None:
        reasons = [Reason(*map(with_valid_characters, astuple(reason))) for reason in reasons]
        super().__init__("; ".join(f"{reason.where}: {reason.what}" for reason in reasons))
        self.reasons = reasons
