"""Medusa 2: the admin API of a shop of one's own (https://docs.medusajs.com/api/admin), as its server 2.21 answers.

Facts that shape this file, each seen on a running server: lists are paged by `limit` and `offset`, and `count` tells
their length; a filter it does not know is ignored; `updated_at` does not move when an order is paid, nor when a claim
gets its items, so lists by creation are read as well and the hash leaves the unchanged alone; amounts are binary
floats beside exact ones (`raw_…`, a decimal text); a shop has no acceptance: what is paid is to be shipped.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Final, Literal

import msgspec
from pydantic import Field

from orders_sync.config.account import SellerAccount, TokenSettings
from orders_sync.marketplaces.kit.adapter import (
    AcceptanceAnswer,
    AcceptanceTarget,
    Marketplace,
    MissingDocuments,
    OrderListing,
    RawRecord,
    check_filter,
)
from orders_sync.marketplaces.kit.auth import HeaderToken
from orders_sync.marketplaces.kit.decoding import decoded, path_part, record_reader, rfc3339
from orders_sync.marketplaces.kit.errors import RecordNotFoundError, RequestRefusedError
from orders_sync.marketplaces.kit.http import HttpAdapter, MarketplaceClient
from orders_sync.marketplaces.kit.paging import Page, read_counted
from orders_sync.marketplaces.kit.rate_limits import RateLimit, rate_limiter_for
from orders_sync.model.records import Address, CareRecord, Documents, Order, OrderItem
from orders_sync.model.statuses import Status

LARGEST_PAGE = 100
#: A shop of one's own publishes no limit: a pace that leaves it room for its buyers.
OWN_SHOP = RateLimit("api", 600, 60.0)
PENALTY_SECONDS = 10.0
CARE_BACK = timedelta(days=93)
"""Returns, claims and exchanges of three months are listed: their `updated_at` does not tell every change."""
AT_ONCE = 50
"""Orders whose labels are asked for with one call."""

#: Order.status; `pending` and the rest are decided by payment and fulfilment.
ORDER_STATUS: Final = {"canceled": Status.CANCELLED}
#: Order.payment_status, of an order that is not canceled and of which nothing has left.
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
#: Order.fulfillment_status, where it says that all has left; in part, or not yet, is decided by the payment.
FULFILLMENT_STATUS: Final = {"shipped": Status.SHIPPED, "delivered": Status.SHIPPED}
_KNOWN_FULFILLMENT = frozenset(
    [*FULFILLMENT_STATUS, "not_fulfilled", "partially_fulfilled", "fulfilled", "partially_shipped",
     "partially_delivered", "canceled"]
)  # fmt: skip
RETURN_STATE: Final = {
    "open": "open", "requested": "open", "partially_received": "open", "received": "closed", "canceled": "closed",
}  # fmt: skip
CLAIM_KIND: Final = {"replace": "replacement", "refund": "refund"}

_ORDER_FIELDS = (
    "+email,+currency_code,+shipping_total,+tax_total,+canceled_at,*items,*items.detail,*shipping_address,"
    "*billing_address,*fulfillments,*fulfillments.labels,*payment_collections"
)
_CARE_FIELDS = {
    "returns": "*items",
    "claims": "*claim_items,*additional_items",
    "exchanges": "*additional_items,*return,*return.items",
}
_FINGERPRINT_VERSION = b"medusa-1"


class MedusaSettings(TokenSettings):
    """An account at a Medusa shop; the token is a secret API key."""

    base_url: str = Field(description="The shop's address, e.g. https://shop.example.com")  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    overlap_minutes: int = Field(
        default=1440,
        ge=1,
        le=10080,
        description="How far a pass starts before the watermark: a payment does not move `updated_at`.",
    )


class _Orders(msgspec.Struct, gc=False):
    orders: list[msgspec.Raw]
    count: int


class _OneOrder(msgspec.Struct, gc=False):
    order: msgspec.Raw


class _Amount(msgspec.Struct, gc=False):
    value: Decimal


class _Detail(msgspec.Struct, gc=False):
    quantity: int | None = None
    shipped_quantity: int = 0
    delivered_quantity: int = 0
    return_received_quantity: int = 0


class _Item(msgspec.Struct, gc=False):
    id: str
    quantity: int
    variant_sku: str | None = None
    variant_id: str | None = None
    title: str | None = None
    product_title: str | None = None
    raw_total: _Amount | None = None
    created_at: datetime | None = None
    detail: _Detail | None = None


class _Label(msgspec.Struct, gc=False):
    tracking_number: str | None = None
    tracking_url: str | None = None
    label_url: str | None = None


class _Fulfillment(msgspec.Struct, gc=False):
    shipped_at: datetime | None = None
    canceled_at: datetime | None = None
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
    status: str | None = None
    payment_status: str | None = None
    fulfillment_status: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    email: str | None = None
    currency_code: str | None = None
    shipping_total: Decimal | None = None
    tax_total: Decimal | None = None
    items: list[_Item] | None = None
    fulfillments: list[_Fulfillment] | None = None
    payment_collections: list[_PaymentCollection] | None = None
    shipping_address: _Address | None = None
    billing_address: _Address | None = None


class _CareItem(msgspec.Struct, gc=False):
    item_id: str


class _Return(msgspec.Struct, gc=False):
    items: list[_CareItem] | None = None


class _Care(msgspec.Struct, gc=False, rename={"return_": "return"}):
    """A return, a claim or an exchange; their ids tell which."""

    id: str
    status: str | None = None
    type: str | None = None
    items: list[_CareItem] | None = None
    claim_items: list[_CareItem] | None = None
    additional_items: list[_CareItem] | None = None
    return_: _Return | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    canceled_at: datetime | None = None
    received_at: datetime | None = None


_record = record_reader(_FINGERPRINT_VERSION, record_id="id", created="created_at", modified="updated_at")
_decode_orders = msgspec.json.Decoder(_Orders).decode
_decode_one = msgspec.json.Decoder(_OneOrder).decode
_decode_order = msgspec.json.Decoder(_Order).decode
_decode_care = msgspec.json.Decoder(_Care).decode
_decode_any = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


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
        penalty=PENALTY_SECONDS,
    )
    return Medusa(client, min(page_size or settings.page_size, LARGEST_PAGE), settings.limits.connections)


class Medusa(HttpAdapter):
    """One account at a Medusa shop; see base.Adapter for what each method answers."""

    new_order_listings: Sequence[OrderListing] = ("created",)
    acceptance_unit: Literal["sku", "item", "order"] | None = None

    def __init__(self, client: MarketplaceClient, page_size: int, connections: int) -> None:
        super().__init__(client)
        self.page_size = page_size
        self.connections = connections

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        if since is None:
            yield from self._orders("created", None, {})
            return
        moment = rfc3339(since)
        yield from self._orders("created", since, {"created_at[$gte]": moment})
        if listing == "modified":
            yield from self._orders("modified", since, {"updated_at[$gte]": moment, "created_at[$lt]": moment})

    def _orders(
        self, listing: OrderListing, since: datetime | None, wanted: Mapping[str, str]
    ) -> Iterator[list[RawRecord]]:
        query = {**wanted, "fields": _ORDER_FIELDS, "order": "created_at", "limit": str(self.page_size)}

        def fetch(number: int) -> Page:
            offset = (number - 1) * self.page_size
            answer = self.client.get("/admin/orders", {**query, "offset": str(offset)}, [OWN_SHOP], _decode_orders)
            records = [_record(bytes(raw)) for raw in answer.orders]
            check_filter(records, listing, since)
            return Page(records, answer.count, number + 1 if offset + len(records) < answer.count else None)

        return read_counted(fetch, self.page_size, self.connections)

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
        # An item that an edit of the order took out stays in it with quantity 0.
        items = None if order.items is None else [item for item in order.items if item.quantity > 0]
        shipped = [f.shipped_at for f in order.fulfillments or [] if f.shipped_at is not None and f.canceled_at is None]
        paid = [p.completed_at for p in order.payment_collections or [] if p.completed_at is not None]
        labels = [label for f in order.fulfillments or [] if f.canceled_at is None for label in f.labels or []]
        label = next((label for label in labels if label.label_url), labels[0] if labels else _Label())
        status = _order_status(order)
        return Order(
            order.id,
            status,
            None if items is None else [_item(item, order, status, currency) for item in items],
            "/".join(part or "?" for part in (order.status, order.payment_status, order.fulfillment_status)),
            order.created_at,
            order.updated_at,
            max(paid, default=None),
            max(shipped, default=None),
            currency=currency,
            items_total=_total(items),
            shipping_total=order.shipping_total,
            sales_taxes=order.tax_total,
            country_code=order.shipping_address.country_code if order.shipping_address is not None else None,
            marketplace_delivery_note=False,
            tracking_number=label.tracking_number,
            tracking_url=label.tracking_url,
            label_url=label.label_url,
            buyer_email=order.email,
            shipping=_address(order.shipping_address),
            billing=_address(order.billing_address),
        )

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        floor = min(since, self.now() - CARE_BACK)
        yield from chain.from_iterable(self._care(name, floor) for name in _CARE_FIELDS)

    def _care(self, name: str, since: datetime) -> Iterator[list[RawRecord]]:
        query = {
            "created_at[$gte]": rfc3339(since), "fields": _CARE_FIELDS[name], "order": "created_at",
            "limit": str(LARGEST_PAGE),
        }  # fmt: skip

        def fetch(number: int) -> Page:
            offset = (number - 1) * LARGEST_PAGE
            answer = self.client.get(f"/admin/{name}", {**query, "offset": str(offset)}, [OWN_SHOP], _decode_any)
            records = [_record(bytes(raw)) for raw in _decode_raws(bytes(answer[name]))]
            count = int(msgspec.json.decode(answer["count"], type=int))
            check_filter(records, "created", since)
            return Page(records, count, number + 1 if offset + len(records) < count else None)

        for page in read_counted(fetch, LARGEST_PAGE, 1):
            # One that was begun and not requested yet names no item: it comes with the next pass.
            yield [record for record in page if _names_an_item(record)]

    def care_record(self, record: RawRecord) -> bytes:
        return record.raw

    def decode_care_record(self, raw: bytes) -> CareRecord:
        care = decoded(_decode_care, raw, "Medusa")
        if care.id.startswith("claim_"):
            kind, state = CLAIM_KIND.get(care.type or "", "other"), "closed" if care.canceled_at else "open"
        elif care.id.startswith("oexc_"):
            kind, state = "replacement", "closed" if care.canceled_at else "open"
        else:
            kind, state = "return", RETURN_STATE.get(care.status or "", "unknown")
        closed_at = care.canceled_at or (care.received_at if state == "closed" else None)
        return CareRecord(
            care.id, _items_of(care), kind, state, care.status, care.created_at, care.updated_at, closed_at
        )

    def documents(self, lacking: Sequence[MissingDocuments]) -> Iterator[tuple[str, Documents | RequestRefusedError]]:
        for start in range(0, len(lacking), AT_ONCE):
            batch = [wanted.order_id for wanted in lacking[start : start + AT_ONCE]]
            query = [("fields", "id,*fulfillments,*fulfillments.labels"), ("limit", str(AT_ONCE))]
            query += [("id[]", order_id) for order_id in batch]
            try:
                answer = self.client.get("/admin/orders", query, [OWN_SHOP], _decode_orders)
            except RequestRefusedError as problem:
                yield from ((order_id, problem) for order_id in batch)
                continue
            found = {order.id: order for order in (_decode_order(raw) for raw in answer.orders)}
            for order_id in batch:
                fulfillments = (found[order_id].fulfillments if order_id in found else None) or []
                urls = [label.label_url for f in fulfillments for label in f.labels or [] if label.label_url]
                yield order_id, Documents(None, urls[0] if urls else None)

    def accept(self, waiting: AcceptanceTarget) -> AcceptanceAnswer:
        raise RequestRefusedError("A Medusa shop has no acceptance of order lines: what is paid is to be shipped.", 405)

    def probes(self) -> Mapping[str, Callable[[], object]]:
        one = {"limit": "1"}
        return {
            f"GET /admin/{name}": lambda path=f"/admin/{name}": self.client.get(path, one, [OWN_SHOP], _decode_any)
            for name in ("orders", *_CARE_FIELDS)
        }


def _names_an_item(record: RawRecord) -> bool:
    try:
        return bool(_items_of(_decode_care(record.raw)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True  # to be rejected, with its reasons


def _items_of(care: _Care) -> list[str]:
    """The items that it is about: what comes back or is complained of; else what is sent instead."""
    returned = care.return_.items if care.return_ is not None else None
    about = care.items or care.claim_items or returned or care.additional_items or []
    return list(dict.fromkeys(item.item_id for item in about))


def _order_status(order: _Order) -> Status:
    if order.status in ORDER_STATUS:
        return ORDER_STATUS[order.status]
    by_payment = PAYMENT_STATUS.get(order.payment_status or "", Status.UNKNOWN)
    if order.fulfillment_status not in _KNOWN_FULFILLMENT:
        return Status.UNKNOWN
    left = FULFILLMENT_STATUS.get(order.fulfillment_status)
    if left is not None:
        return Status.REFUNDED_AFTER_SHIPPING if by_payment is Status.REFUNDED_BEFORE_SHIPPING else left
    return by_payment


def _item(item: _Item, order: _Order, order_status: Status, currency: str | None) -> OrderItem:
    detail = item.detail or _Detail()
    left, back = max(detail.shipped_quantity, detail.delivered_quantity), detail.return_received_quantity
    status = order_status
    if order_status not in (Status.CANCELLED, Status.UNKNOWN):
        by_payment = PAYMENT_STATUS.get(order.payment_status or "", Status.UNKNOWN)
        if back >= item.quantity:
            status = Status.RETURNED
        elif left >= item.quantity:
            status = Status.REFUNDED_AFTER_SHIPPING if by_payment is Status.REFUNDED_BEFORE_SHIPPING else Status.SHIPPED
        else:
            status = by_payment
    return OrderItem(
        item.id, item.variant_sku or (f"variant-{item.variant_id}" if item.variant_id else item.title or ""),
        item.quantity, status, f"{left} shipped, {back} returned", item.created_at, currency,
        item.raw_total.value if item.raw_total is not None else None, None, None,
        item.product_title or item.title, item.variant_id,
    )  # fmt: skip


def _total(items: Sequence[_Item] | None) -> Decimal | None:
    """The exact sum: the order's own totals are binary floats."""
    amounts = [item.raw_total.value for item in items or [] if item.raw_total is not None]
    return sum(amounts, Decimal(0)) if items is not None and len(amounts) == len(items) else None


def _address(address: _Address | None) -> Address:
    if address is None:
        return Address()
    return Address(
        address.first_name, address.last_name, address.company, address.address_1, address.address_2,
        address.postal_code, address.city, address.province, address.country_code, address.phone,
    )  # fmt: skip


_STATES: Mapping[str, Mapping[Any, Status]] = {
    "order": ORDER_STATUS,
    "payment (of what has not left)": PAYMENT_STATUS,
    "fulfilment": FULFILLMENT_STATUS,
}
MARKETPLACE = Marketplace(
    "Medusa 2",
    MedusaSettings,
    open_medusa,
    _STATES,
    frozenset(["email", "customer", "shipping_address", "billing_address", "delivery_address"]),
    notes=(
        "An order's status is decided by the first of the tables that names its state; an item's by the quantities "
        "that were shipped and came back. A refund of what has left makes it refunded after shipping. Returns, claims "
        "(replace, refund) and exchanges are care records. There is no acceptance and no delivery note; labels are "
        "those of the fulfilments."
    ),
)
