"""Medusa 2: the admin API of a seller's own shop (https://docs.medusajs.com/api/admin), as server 2.21 answers.

Facts that shape this file, each observed on a running server:

* Lists are paged by `limit` and `offset`, and `count` is their length. Unknown filters are ignored.
* `updated_at` does not change when an order is paid, nor when a claim gets its items: the lists by creation are read
  as well, and the fingerprints show which records have changed.
* Amounts are binary floats, with ones of 20 digits beside them (`raw_…`, a decimal text). Where prices include taxes,
  both have up to 16 decimals: taxes such as 8.923613445378152, and 49.8999999999999985 for what costs 49.90.
* There is no acceptance: a paid order is to be shipped.
* An item that was edited out is listed no more, or with quantity 0; an order can be left without items. Gift cards,
  services and store credits are lines too.
* In an order that the merchant created (a draft order), `requires_shipping` and `is_giftcard` are false whatever the
  product, at least where Medusa does not manage its stock. The product itself says what it is.
* An edit of an order whose payment was only authorised cancels the payment: the order is `not_paid` again.
* A cancelled fulfilment stays in the list, with its labels. A shipment without labels removes those of its fulfilment.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from itertools import chain
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field

from orders_sync.config.account import SellerAccount, TokenSettings
from orders_sync.marketplaces.kit.adapter import (
    DocumentAccess,
    DocumentsAnswer,
    MissingDocuments,
    OrderDocuments,
    OrderListing,
    RawRecord,
    RegisteredMarketplace,
    check_filter,
)
from orders_sync.marketplaces.kit.auth import HeaderToken
from orders_sync.marketplaces.kit.decoding import (
    care_items,
    check_field_order,
    decoded,
    is_set,
    latest,
    path_part,
    record_reader,
    repairing,
    rfc3339,
)
from orders_sync.marketplaces.kit.documents import DocumentsReading, no_endless_tries
from orders_sync.marketplaces.kit.errors import (
    MarketplaceError,
    RecordNotFoundError,
)
from orders_sync.marketplaces.kit.halves import answers_for
from orders_sync.marketplaces.kit.http import HttpAdapter, MarketplaceClient
from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.lenient import CARE_ITEM, CREATED_AT, ITEM_ID, ITEMS, QUANTITY, decode_leniently
from orders_sync.marketplaces.kit.made_skus import sku_or_made
from orders_sync.marketplaces.kit.page import FetchPage, Page, offset_page
from orders_sync.marketplaces.kit.pages import first_record_reader, page_decoder
from orders_sync.marketplaces.kit.paging import read_counted
from orders_sync.marketplaces.kit.rate_limits import RateLimit, rate_limiter_for
from orders_sync.marketplaces.kit.states import OddSpellingError, check_spelling, meaning, published
from orders_sync.model.records import (
    NO_ADDRESS,
    Address,
    CareItem,
    CareRecord,
    Document,
    DocumentKind,
    ItemKind,
    Order,
    OrderItem,
    Reason,
    RecordRejectedError,
    Shipment,
)
from orders_sync.model.statuses import Status
from orders_sync.model.times import in_range

MAX_PAGE_SIZE = 100
#: Our choice, since no limit is published: it leaves the shop's server capacity for its buyers.
OWN_SHOP = RateLimit("api", 600, 60.0)
PENALTY_SECONDS = 10.0
"""Our choice: Medusa does not publish how long to wait after a 429."""
CARE_BACK = timedelta(days=93)
"""Returns, claims and exchanges of three months are listed: their `updated_at` does not show every change."""
MAX_LABEL_ORDERS = 50
"""Orders per call when labels are looked up."""
AMOUNT_DECIMALS = 14
"""Further decimals of an amount are noise of its computation by the server."""

#: Order.status; payment and fulfilment decide for `pending` and the others.
ORDER_STATUS: Final = {"canceled": Status.CANCELLED, "draft": Status.AWAITING_PAYMENT}
_ORDER_STATES = frozenset([*ORDER_STATUS, "pending", "completed", "archived", "requires_action"])
#: Order.payment_status, for an order that is not cancelled and of which nothing was shipped.
PAYMENT_STATUS: Final = {
    "not_paid": Status.AWAITING_PAYMENT,
    "awaiting": Status.AWAITING_PAYMENT,
    "requires_action": Status.AWAITING_PAYMENT,
    "authorized": Status.ACCEPTED,
    "partially_authorized": Status.AWAITING_PAYMENT,
    "captured": Status.ACCEPTED,
    "partially_captured": Status.ACCEPTED,
    "partially_refunded": Status.ACCEPTED,
    "refunded": Status.REFUNDED_BEFORE_SHIPPING,
    "canceled": Status.UNPAID,
}
#: Order.fulfillment_status, if everything was shipped; before that, the payment decides.
FULFILLMENT_STATUS: Final = {"shipped": Status.SHIPPED, "delivered": Status.SHIPPED}
_PARTLY_SHIPPED = frozenset(["partially_shipped", "partially_delivered"])
_FULFILLMENT_STATES = frozenset(
    [*FULFILLMENT_STATUS, *_PARTLY_SHIPPED, "not_fulfilled", "partially_fulfilled", "fulfilled", "canceled"]
)
#: Return.status.
RETURN_STATE: Final = {
    "open": "open", "requested": "open", "partially_received": "open", "received": "closed", "canceled": "cancelled",
}  # fmt: skip
#: Claim.type.
CLAIM_KIND: Final = {"replace": "replacement", "refund": "refund"}

_ORDER_FIELDS = (
    "+email,+currency_code,+shipping_total,+tax_total,+canceled_at,*items,*items.detail,"
    "+items.variant.product.is_giftcard,+items.variant.product.shipping_profile.id,*shipping_address,"
    "*billing_address,*fulfillments,*fulfillments.items,*fulfillments.labels,*payment_collections"
)
_CARE_FIELDS = {
    "returns": "*items",
    "claims": "*claim_items,*additional_items",
    "exchanges": "*additional_items,*return,*return.items",
}
_FINGERPRINT_VERSION = b"medusa-4"


#: What stays of a record whose buyer's data is blanked. Not `metadata`, notes, the customer's id, tracking and labels.
KEPT_FIELDS = KeptFields(
    order=(
        "id", "display_id", "status", "payment_status", "fulfillment_status", "created_at", "updated_at", "region_id",
        "sales_channel_id", "currency_code", "shipping_total", "tax_total", "total", "item_total",
        "shipping_address.country_code",
        "items.id", "items.quantity", "items.variant_sku", "items.variant_id", "items.title", "items.product_title",
        "items.is_giftcard", "items.requires_shipping", "items.raw_total.value", "items.created_at",
        "items.variant.product.is_giftcard", "items.variant.product.shipping_profile.id",
        "items.detail.shipped_quantity", "items.detail.delivered_quantity", "items.detail.return_received_quantity",
        "fulfillments.id", "fulfillments.shipped_at", "fulfillments.canceled_at", "fulfillments.items.line_item_id",
        "fulfillments.items.quantity", "payment_collections.completed_at",
    ),
    care=(
        "id", "status", "type", "order_id", "created_at", "updated_at", "canceled_at", "received_at",
        "items.item_id", "items.quantity", "items.damaged_quantity",
        "claim_items.item_id", "claim_items.quantity", "additional_items.item_id", "additional_items.quantity",
        "return.items.item_id", "return.items.quantity",
    ),
)  # fmt: skip


class MedusaSettings(TokenSettings):
    """An account at a Medusa shop; the token is a secret API key."""

    base_url: str = Field(description="The shop's address, e.g. https://shop.example.com")  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    overlap_minutes: int = Field(
        default=1440,
        ge=1,
        le=10080,
        description="How far a pass starts before the watermark: a payment does not change `updated_at`.",
    )


class _Orders(msgspec.Struct, gc=False):
    orders: list[msgspec.Raw]
    count: Any = None


class _Returns(msgspec.Struct, gc=False, rename={"records": "returns"}):
    records: list[msgspec.Raw]
    count: Any = None


class _Claims(msgspec.Struct, gc=False, rename={"records": "claims"}):
    records: list[msgspec.Raw]
    count: Any = None


class _Exchanges(msgspec.Struct, gc=False, rename={"records": "exchanges"}):
    records: list[msgspec.Raw]
    count: Any = None


class _OneOrder(msgspec.Struct, gc=False):
    order: msgspec.Raw


class _Amount(msgspec.Struct, gc=False):
    value: Decimal


_Pieces = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | msgspec.UnsetType
"""Unset: not known. Not None, since Medusa writes no null for it: that is a flaw."""


class _Detail(msgspec.Struct, gc=False):
    shipped_quantity: _Pieces = msgspec.UNSET
    delivered_quantity: _Pieces = msgspec.UNSET
    return_received_quantity: _Pieces = msgspec.UNSET


class _ShippingProfile(msgspec.Struct, gc=False):
    id: str | None = None


class _Product(msgspec.Struct, gc=False):
    is_giftcard: bool | None = None
    shipping_profile: _ShippingProfile | None = None


class _Variant(msgspec.Struct, gc=False):
    product: _Product | None = None


class _LineItem(msgspec.Struct, gc=False):
    id: Annotated[str | None, ITEM_ID] = None
    quantity: Annotated[int | None, QUANTITY] = None
    variant_sku: str | None = None
    variant_id: str | None = None
    title: str | None = None
    product_title: str | None = None
    is_giftcard: bool | None = None
    requires_shipping: bool | None = None
    variant: _Variant | None = None
    raw_total: _Amount | None = None
    created_at: datetime | None = None
    detail: _Detail | None = None


class _Label(msgspec.Struct, gc=False):
    id: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    label_url: str | None = None


class _FulfillmentItem(msgspec.Struct, gc=False):
    line_item_id: str | None = None
    quantity: int | None = None


class _Fulfillment(msgspec.Struct, gc=False):
    id: str | None = None
    shipped_at: datetime | None = None
    canceled_at: datetime | None = None
    items: list[_FulfillmentItem] | None = None
    labels: list[_Label] | None = None


class _PaymentCollection(msgspec.Struct, gc=False):
    completed_at: datetime | None = None


class _Address(msgspec.Struct, gc=False):
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    address_1: str | None = None
    address_2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    province: str | None = None
    country_code: str | None = None
    phone: str | None = None


class _Order(msgspec.Struct, gc=False):
    id: str
    status: Annotated[str, published(_ORDER_STATES)] = ""
    payment_status: Annotated[str, published(PAYMENT_STATUS)] = ""
    fulfillment_status: Annotated[str, published(_FULFILLMENT_STATES)] = ""
    created_at: Annotated[datetime | None, CREATED_AT] = None
    updated_at: datetime | None = None
    email: str | None = None
    currency_code: str | None = None
    shipping_total: Decimal | None = None
    tax_total: Decimal | None = None
    items: Annotated[list[_LineItem] | None, ITEMS] = None
    fulfillments: list[_Fulfillment] | None = None
    payment_collections: list[_PaymentCollection] | None = None
    shipping_address: _Address | None = None
    billing_address: _Address | None = None


class _OrderFulfillments(msgspec.Struct, gc=False):
    id: str
    fulfillments: list[_Fulfillment] | None = None


class _CareItem(msgspec.Struct, gc=False):
    item_id: str
    quantity: int | None = None
    damaged_quantity: int | None = None


class _Return(msgspec.Struct, gc=False):
    items: Annotated[list[_CareItem] | None, CARE_ITEM] = None


class _Care(msgspec.Struct, gc=False, rename={"return_": "return"}):
    """A return, a claim (its id begins with `claim_`) or an exchange (`oexc_`)."""

    id: str
    status: Annotated[str | None, published(RETURN_STATE)] = None
    type: Annotated[str | None, published(CLAIM_KIND)] = None
    items: Annotated[list[_CareItem] | None, CARE_ITEM] = None
    claim_items: Annotated[list[_CareItem] | None, CARE_ITEM] = None
    additional_items: Annotated[list[_CareItem] | None, CARE_ITEM] = None
    return_: _Return | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    canceled_at: datetime | None = None
    received_at: datetime | None = None


_record = record_reader(_FINGERPRINT_VERSION, record_id="id", created="created_at", modified="updated_at")
_decode_orders = page_decoder(_Orders, "id", "items", "currency_code")
_first_order_record = first_record_reader(_Orders, _record)
_first_care_record = {
    name: first_record_reader(struct, _record)
    for name, struct in (("returns", _Returns), ("claims", _Claims), ("exchanges", _Exchanges))
}
_decode_one = repairing(msgspec.json.Decoder(_OneOrder).decode)
_decode_order = msgspec.json.Decoder(_Order).decode
_LOST = re.compile(r"(?:^|\.)(?:fulfillments|labels)(?:\[\d+\])?$").search
"""Whether a value that could not be read, by its place, hides labels."""
_decode_fulfillments = msgspec.json.Decoder(_OrderFulfillments).decode
_decode_care = msgspec.json.Decoder(_Care).decode
_decode_care_page = {
    "returns": page_decoder(_Returns), "claims": page_decoder(_Claims), "exchanges": page_decoder(_Exchanges),
}  # fmt: skip

# The records below are constructed by position, in these orders of fields; a comment names the field of each line.
check_field_order(
    Order,
    (
        "order_id", "status", "items", "marketplace_state", "created_at", "modified_at", "paid_at", "shipped_at",
        "dispatch_due_at", "currency", "items_total", "shipping_total", "sales_taxes", "country_code", "payment_method",
        "marketplace_shipping", "marketplace_delivery_note", "carrier", "tracking_number", "tracking_url",
        "delivery_note_url", "label_url", "buyer_email", "shipping", "billing", "documents",
    ),
)  # fmt: skip
check_field_order(
    OrderItem,
    (
        "item_id", "sku", "quantity", "status", "marketplace_state", "created_at", "currency", "price",
        "shipping_price", "fee", "product", "listing_id", "imeis", "serial_numbers", "kind", "cancelled", "shipped",
        "refunded", "returned", "shipments",
    ),
)  # fmt: skip
check_field_order(
    Address,
    (
        "first_name", "last_name", "company", "street", "street2", "postal_code", "city", "state", "country", "phone",
    ),
)  # fmt: skip
check_field_order(
    Document,
    (
        "key", "kind", "url", "carrier", "tracking_number", "item_ids", "expires_at", "cancelled_at",
    ),
)  # fmt: skip
check_field_order(
    CareRecord,
    (
        "care_id", "items", "kind", "state", "marketplace_state", "opened_at", "modified_at", "closed_at", "received",
    ),
)  # fmt: skip


def open_medusa(account: SellerAccount[MedusaSettings], page_size: int | None = None) -> "Medusa":
    """The adapter of an account at a Medusa shop. Raises AccountConfigError when its key is not set."""
    settings = account.settings
    key = base64.b64encode(f"{account.credential()}:".encode()).decode()
    client = MarketplaceClient(
        settings.base_url,
        {"Accept": "application/json", "User-Agent": "orders-sync"},
        rate_limiter_for(account, [OWN_SHOP]),
        auth=HeaderToken(f"Basic {key}"),
        connections=settings.limits.connections,
        penalty_seconds=PENALTY_SECONDS,
        outage_minutes=settings.limits.outage_minutes,
        answer_megabytes=settings.limits.answer_megabytes,
    )
    return Medusa(client, min(page_size or settings.page_size, MAX_PAGE_SIZE), settings.limits.connections)


class Medusa(HttpAdapter):
    """One account at a Medusa shop; `kit.adapter.Adapter` says what each method returns."""

    order_struct: type[msgspec.Struct] | None = _Order
    care_struct: type[msgspec.Struct] | None = _Care
    new_order_listings: Sequence[OrderListing] = ("created",)
    document_limits: Sequence[RateLimit] = (OWN_SHOP,)

    def __init__(self, client: MarketplaceClient, page_size: int, connections: int) -> None:
        super().__init__(client)
        self.page_size = page_size
        self.connections = connections

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        if since is None:
            yield from self._orders("created", None, {})
            return
        start = rfc3339(since)
        yield from self._orders("created", since, {"created_at[$gte]": start})
        if listing == "modified":
            yield from self._orders("modified", since, {"updated_at[$gte]": start, "created_at[$lt]": start})

    def _orders(
        self, listing: OrderListing, since: datetime | None, filters: Mapping[str, str]
    ) -> Iterator[list[RawRecord]]:
        query = {**filters, "fields": _ORDER_FIELDS, "order": "created_at"}

        def pages(part: Mapping[str, str]) -> FetchPage:
            def fetch(number: int, size: int) -> Page:
                offset = {"limit": str(size), "offset": str((number - 1) * size)}
                answer = self.client.get("/admin/orders", {**query, **part, **offset}, [OWN_SHOP], _decode_orders)
                records = [_record(bytes(raw)) for raw in answer.orders]
                return offset_page(records, answer.count, number, size)

            return fetch

        def split(created_from: datetime | None, created_to: datetime | None) -> FetchPage | None:
            return None if created_from is None else pages({"created_at[$gte]": rfc3339(created_from)})

        whole = read_counted(
            pages({}), self.page_size, self.connections, by_offset=True, split=split, first_record=_first_order_record
        )
        return check_filter(whole, listing, since)

    def order(self, order_id: str) -> RawRecord | None:
        try:
            path = f"/admin/orders/{path_part(order_id)}"
            answer = self.client.get(path, {"fields": _ORDER_FIELDS}, [OWN_SHOP], _decode_one)
        except RecordNotFoundError:
            return None
        return _record(bytes(answer.order))

    def decode_order(self, raw: bytes) -> Order:
        order = decoded(_decode_order, raw, "Medusa")
        currency = order.currency_code.upper() if order.currency_code else None
        # An item that an edit removed from the order may stay in its list, with quantity 0.
        items = None if order.items is None else [item for item in order.items if item.quantity != 0]
        live = [f for f in order.fulfillments or () if not is_set(f.canceled_at)]
        labels = [label for f in live for label in f.labels or []]
        label = next((label for label in labels if _url(label.label_url)), labels[0] if labels else _Label())
        status = _order_status(order)
        state = _state(order, status)
        return Order(
            order.id,  # order_id
            status,  # status
            None if items is None else [_item(item, order, status, state, currency) for item in items],  # items
            state,  # marketplace_state
            order.created_at,  # created_at
            order.updated_at,  # modified_at
            latest([p.completed_at for p in order.payment_collections])
            if order.payment_collections
            else None,  # paid_at
            latest([f.shipped_at for f in live]) if live else None,  # shipped_at
            None,  # dispatch_due_at
            currency,  # currency
            _total(items),  # items_total
            _without_noise(order.shipping_total),  # shipping_total
            _without_noise(order.tax_total),  # sales_taxes
            order.shipping_address.country_code if order.shipping_address is not None else None,  # country_code
            None,  # payment_method
            None,  # marketplace_shipping
            False,  # marketplace_delivery_note
            None,  # carrier
            label.tracking_number,  # tracking_number
            _url(label.tracking_url),  # tracking_url
            None,  # delivery_note_url
            _url(label.label_url),  # label_url
            order.email,  # buyer_email
            _address(order.shipping_address),  # shipping
            _address(order.billing_address),  # billing
            _labels(order.fulfillments) if order.fulfillments else None,  # documents
        )

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        floor = min(since, self.now() - CARE_BACK)
        yield from chain.from_iterable(self._care(name, floor) for name in _CARE_FIELDS)

    def _care(self, name: str, since: datetime) -> Iterator[list[RawRecord]]:
        query = {
            "created_at[$gte]": rfc3339(since), "fields": _CARE_FIELDS[name], "order": "created_at",
        }  # fmt: skip

        decode = _decode_care_page[name]

        def pages(part: Mapping[str, str]) -> FetchPage:
            def fetch(number: int, size: int) -> Page:
                offset = {"limit": str(size), "offset": str((number - 1) * size)}
                answer = self.client.get(f"/admin/{name}", {**query, **part, **offset}, [OWN_SHOP], decode)
                records = [_record(bytes(raw)) for raw in answer.records]
                return offset_page(records, answer.count, number, size)

            return fetch

        def split(created_from: datetime | None, created_to: datetime | None) -> FetchPage | None:
            return None if created_from is None else pages({"created_at[$gte]": rfc3339(created_from)})

        first = _first_care_record[name]
        whole = read_counted(pages({}), MAX_PAGE_SIZE, 1, by_offset=True, split=split, first_record=first)
        for page in check_filter(whole, "created", since):
            # A return that was begun and not requested yet names no item: a later pass stores it.
            yield [record for record in page if _is_to_be_stored(record)]

    def care_record(self, record: RawRecord) -> bytes:
        return record.raw

    def decode_care_record(self, raw: bytes) -> CareRecord:
        care = decoded(_decode_care, raw, "Medusa")
        is_cancelled = is_set(care.canceled_at)
        own_id = care.id.lstrip()
        if own_id.startswith("claim_"):
            kind, state = meaning(CLAIM_KIND, care.type, "other"), "cancelled" if is_cancelled else "open"
        elif own_id.startswith("oexc_"):
            kind, state = "replacement", "cancelled" if is_cancelled else "open"
        else:
            kind, state = "return", meaning(RETURN_STATE, care.status, "unknown")
            state = "cancelled" if is_cancelled else state
        closed_at = care.canceled_at or (care.received_at if state == "closed" else None)
        return CareRecord(
            care.id,  # care_id
            _items_of(care),  # items
            kind,  # kind
            state,  # state
            care.status or ("canceled" if is_cancelled else None),  # marketplace_state
            care.created_at,  # opened_at
            care.updated_at,  # modified_at
            closed_at,  # closed_at
            True if kind == "return" and state == "closed" and _are_undamaged(care) else None,  # received
        )

    def documents(self, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        for start in range(0, len(missing), MAX_LABEL_ORDERS):
            order_ids = [order.order_id for order in missing[start : start + MAX_LABEL_ORDERS]]
            for batch, answer in answers_for(order_ids, self._fulfillments):
                if isinstance(answer, MarketplaceError):
                    yield from ((order_id, answer) for order_id in batch)
                else:
                    yield from ((order_id, answer.get(order_id, answer.get("", []))) for order_id in batch)

    def _fulfillments(self, order_ids: Sequence[str]) -> dict[str, Sequence[Document] | OrderDocuments]:
        """The labels of some orders, by order id; under "" why those of an unknown order can't be read."""
        fields = "id,*fulfillments,*fulfillments.items,*fulfillments.labels"
        query = [("fields", fields), ("limit", str(MAX_LABEL_ORDERS)), *(("id[]", order_id) for order_id in order_ids)]
        answer = self.client.get("/admin/orders", query, [OWN_SHOP], no_endless_tries(_decode_orders))
        found: dict[str, Sequence[Document] | OrderDocuments] = {}
        for raw in answer.orders:
            reading, order_id = DocumentsReading(), _record(bytes(raw)).record_id
            with reading.attempt():
                labels = decode_leniently(_labels_of_order, _OrderFulfillments, bytes(raw))
                for label in labels.value:
                    reading.add(label)
                reading.add_flaws(labels.flaws)
                lost = [Reason(flaw.field, flaw.found, "as published") for flaw in labels.flaws if _LOST(flaw.field)]
                if lost:
                    raise RecordRejectedError(lost)
            found[order_id] = reading.answer()
        return found

    def probes(self) -> Mapping[str, Callable[[], object]]:
        one = {"limit": "1"}
        decoders = {"orders": _decode_orders, **_decode_care_page}
        return {
            f"GET /admin/{name}": partial(self.client.get, f"/admin/{name}", one, [OWN_SHOP], decode)
            for name, decode in decoders.items()
        }


def _is_to_be_stored(record: RawRecord) -> bool:
    """False for a readable record that names no item; one that is cancelled may be known, and names none any more."""
    try:
        care = _decode_care(record.raw)
        state = meaning(RETURN_STATE, care.status, "unknown")
    except (*DECODE_ERRORS, OddSpellingError):
        return True  # it is read leniently, or rejected with its reasons
    is_cancelled = care.canceled_at is not None and in_range(care.canceled_at)
    return bool(_items_of(care)) or is_cancelled or state == "cancelled"


def _items_of(care: _Care) -> list[CareItem]:
    """The items that come back or that the claim is about; without such, those that are sent instead."""
    returned = care.return_.items if care.return_ is not None else None
    about = care.items or care.claim_items or returned or care.additional_items or []
    return care_items((item.item_id, item.quantity) for item in about)


def _are_undamaged(care: _Care) -> bool:
    """Whether all pieces of a return can be sold again: damaged pieces are received, too."""
    return not any(item.damaged_quantity for item in care.items or ())


def _labels_of_order(raw: bytes) -> list[Document]:
    return _labels(_decode_fulfillments(raw).fulfillments or [])


def _labels(fulfillments: Sequence[_Fulfillment]) -> list[Document]:
    """The labels of an order's fulfilments. Those of a cancelled fulfilment are cancelled with it."""
    return [
        Document(
            label.id or f"{fulfillment.id or ''}/{position}",  # key
            DocumentKind.LABEL,  # kind
            _url(label.label_url),  # url
            None,  # carrier
            label.tracking_number,  # tracking_number
            tuple([item.line_item_id for item in fulfillment.items or () if item.line_item_id]),  # item_ids
            None,  # expires_at
            fulfillment.canceled_at if is_set(fulfillment.canceled_at) else None,  # cancelled_at
            fulfillment.shipped_at if is_set(fulfillment.shipped_at) else None,  # shipped_at
        )
        for fulfillment in fulfillments
        for position, label in enumerate(fulfillment.labels or ())
    ]


def _url(url: str | None) -> str | None:
    """A URL of a label; None for `#`, which Medusa's own admin writes where its user gave none."""
    return None if url in ("", "#") else url


def _order_status(order: _Order) -> Status:
    """The status by the first of these that decides: the order's own state, the fulfilment, the payment."""
    check_spelling(order.status, _ORDER_STATES)
    check_spelling(order.fulfillment_status, _FULFILLMENT_STATES)
    if order.status in ORDER_STATUS:
        return ORDER_STATUS[order.status]
    if order.status and order.status not in _ORDER_STATES:
        return Status.UNKNOWN
    by_payment = meaning(PAYMENT_STATUS, order.payment_status, Status.UNKNOWN)
    if order.fulfillment_status not in _FULFILLMENT_STATES:
        return Status.UNKNOWN
    by_fulfillment = FULFILLMENT_STATUS.get(order.fulfillment_status)
    if by_fulfillment is not None:
        refunded = by_payment is Status.REFUNDED_BEFORE_SHIPPING
        return Status.REFUNDED_AFTER_SHIPPING if refunded else by_fulfillment
    return by_payment


def _state(order: _Order, status: Status) -> str | None:
    """The order's three states; None if one is left out that its status depends on: then the stored status is kept."""
    states = (order.status, order.payment_status, order.fulfillment_status)
    if not order.status or (status is Status.UNKNOWN and "" in states):
        return None
    return "/".join(state or "?" for state in states)


def _item(
    item: _LineItem, order: _Order, order_status: Status, order_state: str | None, currency: str | None
) -> OrderItem:
    detail = item.detail or _Detail()
    # A negative quantity says nothing: no number of pieces that were shipped or returned is less.
    pieces = item.quantity if item.quantity is not None and item.quantity > 0 else None
    shipped, returned = _shipped_pieces(detail, pieces), detail.return_received_quantity
    status = _item_status(pieces, shipped, returned, order, order_status)
    is_left_out = order_state is None or (status is Status.UNKNOWN and shipped is msgspec.UNSET)
    kind = _kind(item)
    return OrderItem(
        item.id or "",  # item_id
        sku_or_made(item.variant_sku, "variant-", item.variant_id if kind is ItemKind.GOODS else None),  # sku
        item.quantity,  # quantity
        status,  # status
        None if is_left_out else f"{_text(shipped)} shipped, {_text(returned)} returned",  # marketplace_state
        item.created_at,  # created_at
        currency,  # currency
        _without_noise(item.raw_total.value) if item.raw_total is not None else None,  # price
        None,  # shipping_price
        None,  # fee
        item.product_title or item.title,  # product
        item.variant_id,  # listing_id
        None,  # imeis
        None,  # serial_numbers
        kind,  # kind
        None,  # cancelled
        None if shipped is msgspec.UNSET else max(shipped, 0 if returned is msgspec.UNSET else returned),  # shipped
        None,  # refunded
        None if returned is msgspec.UNSET else returned,  # returned
        _shipments(item.id, order.fulfillments) if order.fulfillments else None,  # shipments
    )


def _shipments(item_id: str | None, fulfillments: Sequence[_Fulfillment]) -> tuple[Shipment, ...] | None:
    """The parcels with pieces of an item that have left."""
    own_id = (item_id or "").strip()
    shipped = [each for each in fulfillments if is_set(each.shipped_at) and not is_set(each.canceled_at)]
    return (
        tuple(
            [
                Shipment(part.quantity, parcel.shipped_at)
                for parcel in shipped
                for part in parcel.items or ()
                if part.quantity and (part.line_item_id or "").strip() == own_id and parcel.shipped_at is not None
            ]
        )
        or None
    )


def _kind(item: _LineItem) -> ItemKind:
    """Goods are variants of products that are shipped: only those are in stock."""
    product = item.variant.product if item.variant is not None else None
    if item.is_giftcard or (product is not None and product.is_giftcard):
        return ItemKind.GIFT_CARD
    total = item.raw_total.value if item.raw_total is not None else None
    if total is not None and total.is_signed() and total.is_finite() and total < 0:
        return ItemKind.DISCOUNT
    if item.variant_id is None and not item.variant_sku:
        return ItemKind.SERVICE
    # Orders that the merchant created say that nothing is shipped. What is shipped has a shipping profile; a product
    # that was deleted is not known any more, and its pieces may have to be shipped.
    is_shipped = item.requires_shipping is not False or product is None or product.shipping_profile is not None
    return ItemKind.GOODS if is_shipped else ItemKind.SERVICE


def _shipped_pieces(detail: _Detail, quantity: int | None) -> int | msgspec.UnsetType:
    """The pieces that were shipped or delivered. One of the numbers is enough if it says that all were."""
    numbers = [n for n in (detail.shipped_quantity, detail.delivered_quantity) if n is not msgspec.UNSET]
    is_known = len(numbers) == 2 or (quantity is not None and any(number >= quantity for number in numbers))
    return max(numbers) if is_known else msgspec.UNSET


def _text(pieces: int | msgspec.UnsetType) -> str:
    return "?" if pieces is msgspec.UNSET else str(pieces)


def _item_status(
    quantity: int | None,
    shipped: int | msgspec.UnsetType,
    returned: int | msgspec.UnsetType,
    order: _Order,
    order_status: Status,
) -> Status:
    """The status by the pieces that were shipped and returned; else by the payment of the order.

    If it is not known how many were shipped, or of how many, the order's fulfilment says whether it was all or none.
    """
    if order_status in (Status.CANCELLED, Status.UNKNOWN):
        return order_status
    by_payment = PAYMENT_STATUS.get(order.payment_status, Status.UNKNOWN)
    if quantity is not None and returned is not msgspec.UNSET and returned >= quantity:
        return Status.RETURNED
    if shipped is msgspec.UNSET or quantity is None:
        if order.fulfillment_status in _PARTLY_SHIPPED:
            return Status.UNKNOWN
        is_shipped = order.fulfillment_status in FULFILLMENT_STATUS
    else:
        is_shipped = shipped >= quantity
    if is_shipped:
        return Status.REFUNDED_AFTER_SHIPPING if by_payment is Status.REFUNDED_BEFORE_SHIPPING else Status.SHIPPED
    return by_payment


def _total(items: Sequence[_LineItem] | None) -> Decimal | None:
    """The exact sum of the items, since the order's own total is a binary float; None if an item has no amount."""
    amounts = [item.raw_total.value for item in items or [] if item.raw_total is not None]
    if not all(map(Decimal.is_finite, amounts)):
        return None
    return _without_noise(sum(amounts, Decimal(0))) if items is not None and len(amounts) == len(items) else None


def _without_noise(amount: Decimal | None) -> Decimal | None:
    """An amount rounded to `AMOUNT_DECIMALS`, without zeros at its end; one with fewer decimals as it is."""
    exponent = amount.as_tuple().exponent if amount is not None else 0
    if amount is None or not isinstance(exponent, int) or exponent >= -AMOUNT_DECIMALS:
        return amount
    if amount.adjusted() >= AMOUNT_DECIMALS:  # more digits than Decimal's context keeps
        return amount
    return amount.quantize(Decimal(1).scaleb(-AMOUNT_DECIMALS), ROUND_HALF_EVEN).normalize() + 0


def _address(address: _Address | None) -> Address:
    if address is None:
        return NO_ADDRESS
    return Address(
        address.first_name,  # first_name
        address.last_name,  # last_name
        address.company,  # company
        address.address_1,  # street
        address.address_2,  # street2
        address.postal_code,  # postal_code
        address.city,  # city
        address.province,  # state
        address.country_code,  # country
        address.phone,  # phone
    )


MARKETPLACE = RegisteredMarketplace(
    title="Medusa 2",
    settings=MedusaSettings,
    open=open_medusa,
    rate_limits=(OWN_SHOP,),
    status_tables={
        "order": ORDER_STATUS,
        "payment (before shipping)": PAYMENT_STATUS,
        "fulfilment": FULFILLMENT_STATUS,
    },
    kept_fields=KEPT_FIELDS,
    document_access={
        DocumentKind.LABEL: DocumentAccess(
            False, "`label_url` is what the fulfilment provider or the shop's user entered; none is the API's own."
        ),
    },
    notes=(
        "The first of the tables that names an order's state decides its status; the quantities that were shipped and "
        "returned decide an item's. A refund of shipped items makes them refunded after shipping. Returns, claims "
        "(replace, refund) and exchanges are care records. An item is goods if it is a variant of a product and "
        "requires shipping, or its product has a shipping profile; else it is a gift card (`is_giftcard` of the item "
        "or its product), a discount (its total is negative) or a service. "
        "There is no acceptance and no delivery note; labels are those of the fulfilments."
    ),
)
