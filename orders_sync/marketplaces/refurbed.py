"""refurbed: the merchant API as published, over its HTTP/JSON transport (each method is a POST of one JSON object).

Facts of the contract that shape this file:

* Lists are paged by `pagination.starting_after` (an id) and `has_more`, with at most 100 records per page. In this
  JSON, a missing or null `has_more` is false; after a full page, one call more shows it.
* Orders can be filtered by `released_at` and `state`, not by a modified time: `modified` lists the orders released in
  the range again, and their fingerprints show which ones have changed.
* Every order item is one piece. Its SKU may be empty.
* Ids are int64, written as text.
* Three X-RateLimit headers give the limit. Errors are google.rpc.Status.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

import msgspec
from pydantic import Field

from orders_sync.config.account import SellerAccount, TokenSettings
from orders_sync.marketplaces.kit.adapter import (
    AcceptanceAnswer,
    AcceptanceTarget,
    DocumentAccess,
    DocumentsAnswer,
    MissingDocuments,
    OrderListing,
    RawRecord,
    RegisteredMarketplace,
    check_filter,
)
from orders_sync.marketplaces.kit.auth import HeaderToken
from orders_sync.marketplaces.kit.cursors import IdPage, read_after_ids
from orders_sync.marketplaces.kit.decoding import (
    check_field_order,
    decoded,
    is_set,
    json_object,
    record_reader,
    repairing,
    rfc3339,
)
from orders_sync.marketplaces.kit.documents import DocumentsReading, no_endless_tries
from orders_sync.marketplaces.kit.errors import RecordNotFoundError
from orders_sync.marketplaces.kit.http import HttpAdapter, MarketplaceClient, RateLimitHeaders
from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.lenient import CARE_ITEM, CREATED_AT, ITEM_ID, ITEMS, SKU, decode_leniently
from orders_sync.marketplaces.kit.made_skus import sku_or_made
from orders_sync.marketplaces.kit.pages import first_record_reader, page_decoder
from orders_sync.marketplaces.kit.rate_limits import RateLimit, rate_limiter_for
from orders_sync.marketplaces.kit.states import meaning, published
from orders_sync.model.device_numbers import device_numbers, is_imei, without_signs
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
)
from orders_sync.model.statuses import Status

BASE_URL: Final = "https://api.refurbed.com"
MAX_PAGE_SIZE = 100
#: No number is published: a moderate limit, until the first answer's headers give the real one.
DEFAULT = RateLimit("api", 600, 60.0)
PENALTY_SECONDS = 30.0
"""Our choice: the contract does not publish how long to wait after a 429."""

#: Order states, derived by refurbed from those of the items (definition OrderState).
ORDER_STATUS: Final = {
    "UNSPECIFIED": Status.UNKNOWN,
    "NEW": Status.PENDING,
    "ACCEPTED": Status.ACCEPTED,
    "REJECTED": Status.CANCELLED,
    "CANCELLED": Status.CANCELLED,
    "SHIPPED": Status.SHIPPED,
    "RETURNED": Status.RETURNED,
    "FULFILLED": Status.SHIPPED,
    "UNFULFILLED": Status.CANCELLED,
    "PARTIALLY_FULFILLED": Status.SHIPPED,
}
#: Item states (definition OrderItemState).
ITEM_STATUS: Final = {
    "UNSPECIFIED": Status.UNKNOWN,
    "NEW": Status.PENDING,
    "ACCEPTED": Status.ACCEPTED,
    "REJECTED": Status.CANCELLED,
    "CANCELLED": Status.CANCELLED,
    "SHIPPED": Status.SHIPPED,
    "RETURNED": Status.RETURNED,
}
#: The status of a refunded item by that of its state, which a refund does not change.
REFUNDED: Final = {
    Status.PENDING: Status.REFUNDED_BEFORE_SHIPPING,
    Status.ACCEPTED: Status.REFUNDED_BEFORE_SHIPPING,
    Status.SHIPPED: Status.REFUNDED_AFTER_SHIPPING,
}
#: States of returns (definition OrderItemReturnState).
RETURN_STATE: Final = {
    "UNSPECIFIED": "unknown",
    "UNKNOWN": "unknown",
    "INITIATED": "open",
    "IN_TRANSIT": "open",
    "DELIVERED": "open",
    "REFUNDED": "closed",
    "CONCLUDED": "closed",
}
#: Statuses of tickets (definition TicketStatus).
TICKET_STATE: Final = {
    "UNSPECIFIED": "unknown", "OPEN": "open", "PENDING": "open", "SOLVED": "closed", "CLOSED": "closed",
}  # fmt: skip
#: Words in a ticket's topic and the kind of care record that they mean; the list of topics is not published.
TICKET_KIND: Final = (
    ("replac", "replacement"),
    ("exchange", "replacement"),
    ("refund", "refund"),
    ("return", "return"),
)
RETURNS_BACK = timedelta(days=93)
"""Returns can be filtered by their beginning, not by their last change: the returns of three months are listed."""

LABEL_LIFETIME = timedelta(days=1)
"""How long the URL of a label works: "These will expire" (definition ShippingLabel), observed after a day."""

_FINGERPRINT_VERSION = b"refurbed-4"


#: What stays of a record whose buyer's data is blanked. Not the item's identifiers, tracking, and the customer and the
#: subject of a ticket.
KEPT_FIELDS = KeptFields(
    order=(
        "id", "state", "released_at", "currency_code", "settlement_currency_code", "settlement_exchange_rate",
        "total_charged", "total_discount", "total_paid", "total_refunded", "total_vat_charged", "has_invoice",
        "payment_method", "shipping_address.country_code",
        "items.id", "items.order_id", "items.name", "items.state", "items.sku", "items.currency_code",
        "items.total_charged", "items.total_discount", "items.total_paid", "items.total_refunded",
        "items.settlement_total_commission", "items.taxation",
        "items.settlement_currency_code", "items.settlement_total_charged", "items.settlement_total_paid",
        "items.settlement_total_refunded", "items.settlement_vat_charged", "items.vat_charged", "items.vat_rate",
        "items.vat_country", "settlement_total_charged", "settlement_total_discount", "settlement_total_paid",
        "settlement_total_refunded", "settlement_total_vat_charged",
        "items.offer_data.offer_id", "items.offer_data.offer_grading", "items.offer_data.shipping_costs",
    ),
    care=(
        "id", "order_id", "order_item_id", "state", "status", "topic_slug", "country", "return_initiated_at",
        "delivered_at", "created_at", "updated_at",
        "marketplace_order_item.order_item_id", "marketplace_order_item.order_id",
    ),
)  # fmt: skip


class RefurbedSettings(TokenSettings):
    """An account at refurbed."""

    page_size: int = Field(default=100, ge=1, le=MAX_PAGE_SIZE, description="Orders per call.")


class _TicketHead(msgspec.Struct, gc=False):
    marketplace_order_item: msgspec.Raw | None = None


class _Orders(msgspec.Struct, gc=False):
    orders: list[msgspec.Raw] = []
    has_more: Any = None


class _Returns(msgspec.Struct, gc=False):
    returns: list[msgspec.Raw] = []
    has_more: Any = None


class _Tickets(msgspec.Struct, gc=False):
    tickets: list[msgspec.Raw] = []
    has_more: Any = None


class _OneOrder(msgspec.Struct, gc=False):
    order: msgspec.Raw


class _Address(msgspec.Struct, gc=False):
    first_name: str | None = None
    family_name: str | None = None
    company_name: str | None = None
    street_name: str | None = None
    house_no: str | None = None
    supplement: str | None = None
    post_code: str | None = None
    town: str | None = None
    country_code: str | None = None
    phone_number: str | None = None


class _Identifier(msgspec.Struct, gc=False):
    identifier_type: str | None = None
    value: str | None = None


class _Offer(msgspec.Struct, gc=False):
    offer_id: int | str | None = None
    shipping_costs: Decimal | None = None


class _Item(msgspec.Struct, gc=False):
    id: Annotated[int | str | None, ITEM_ID] = None
    name: str | None = None
    state: Annotated[str | None, published(ITEM_STATUS)] = None
    sku: Annotated[str | None, SKU] = None
    currency_code: str | None = None
    total_charged: Decimal | None = None
    total_paid: Decimal | None = None
    total_refunded: Decimal | None = None
    settlement_total_commission: Decimal | None = None
    offer_data: _Offer | None = None
    parcel_tracking_url: str | None = None
    item_identifier: str | None = None
    item_identifiers: list[_Identifier] | None = None


class _Order(msgspec.Struct, gc=False):
    id: int | str
    released_at: Annotated[datetime | None, CREATED_AT] = None
    state: Annotated[str | None, published(ORDER_STATUS)] = None
    customer_email: str | None = None
    shipping_address: _Address | None = None
    invoice_address: _Address | None = None
    currency_code: str | None = None
    total_charged: Decimal | None = None
    total_vat_charged: Decimal | None = None
    items: Annotated[list[_Item] | None, ITEMS] = None
    payment_method: str | None = None


class _MarketplaceItem(msgspec.Struct, gc=False):
    order_item_id: Annotated[int | str | None, CARE_ITEM] = None


class _Care(msgspec.Struct, gc=False):
    """A return, or a ticket: only tickets have a status, a topic and a `marketplace_order_item`."""

    id: int | str
    order_item_id: Annotated[int | str | None, CARE_ITEM] = None
    marketplace_order_item: Annotated[_MarketplaceItem | None, CARE_ITEM] = None
    state: Annotated[str | None, published(RETURN_STATE)] = None
    status: Annotated[str | None, published(TICKET_STATE)] = None
    topic_slug: str | None = None
    return_initiated_at: datetime | None = None
    delivered_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _PrinterUrls(msgspec.Struct, gc=False):
    top_left: str | None = None
    top_right: str | None = None
    bottom_left: str | None = None
    bottom_right: str | None = None


class _TrackingData(msgspec.Struct, gc=False):
    carrier: str | None = None
    tracking_number: str | None = None


class _Label(msgspec.Struct, gc=False):
    id: int | str | None = None
    label_printer_url: str | None = None
    normal_printer_urls: _PrinterUrls | None = None
    tracking_data: _TrackingData | None = None


class _Labels(msgspec.Struct, gc=False):
    shipping_labels: list[msgspec.Raw] = []


_UNREADABLE_END = re.compile(rb'"has_more"\s*:\s*+(?!true\b|false\b|null\b)')
_List = TypeVar("_List", _Orders, _Returns, _Tickets)


def _list_decoder(decode: Callable[[bytes], _List]) -> Callable[[bytes], _List]:
    """A decoder of pages that keeps in mind that `has_more` was no JSON, e.g. `True`: repaired, it would be null."""

    def decode_list(body: bytes) -> _List:
        page = decode(body)
        if page.has_more is None and _UNREADABLE_END.search(body):
            page.has_more = "unreadable"
        return page

    return decode_list


_order_record = record_reader(_FINGERPRINT_VERSION, record_id="id", created="released_at", modified=None)
_return_record = record_reader(
    _FINGERPRINT_VERSION, record_id="id", created="return_initiated_at", modified=None, prefix="return-"
)
_ticket_record = record_reader(
    _FINGERPRINT_VERSION, record_id="id", created="created_at", modified="updated_at", prefix="ticket-"
)
_first_order_record = first_record_reader(_Orders, _order_record)
_first_return_record = first_record_reader(_Returns, _return_record)
_first_ticket_record = first_record_reader(_Tickets, _ticket_record)
_decode_ticket_head = msgspec.json.Decoder(_TicketHead).decode
_decode_orders = _list_decoder(page_decoder(_Orders, "id", "items"))
_decode_returns = _list_decoder(page_decoder(_Returns))
_decode_tickets = _list_decoder(page_decoder(_Tickets))
_decode_one = repairing(msgspec.json.Decoder(_OneOrder).decode)
_decode_order = msgspec.json.Decoder(_Order).decode
_decode_care = msgspec.json.Decoder(_Care).decode
_decode_labels = page_decoder(_Labels)
_decode_label = msgspec.json.Decoder(_Label).decode

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
        "shipping_price", "fee", "product", "listing_id", "imeis", "serial_numbers", "kind",
    ),
)  # fmt: skip
check_field_order(
    Address,
    (
        "first_name", "last_name", "company", "street", "street2", "postal_code", "city", "state", "country", "phone",
    ),
)  # fmt: skip
check_field_order(
    CareRecord,
    (
        "care_id", "items", "kind", "state", "marketplace_state", "opened_at", "modified_at", "closed_at", "received",
    ),
)  # fmt: skip


def open_refurbed(account: SellerAccount[RefurbedSettings], page_size: int | None = None) -> "Refurbed":
    """The adapter of a refurbed account. Raises AccountConfigError when its token is not set."""
    settings = account.settings
    client = MarketplaceClient(
        settings.base_url or BASE_URL,
        {"Accept": "application/json", "User-Agent": "orders-sync"},
        rate_limiter_for(account, [DEFAULT]),
        auth=HeaderToken(f"Plain {account.credential()}"),
        connections=settings.limits.connections,
        penalty_seconds=PENALTY_SECONDS,
        outage_minutes=settings.limits.outage_minutes,
        answer_megabytes=settings.limits.answer_megabytes,
        rate_limit_headers=RateLimitHeaders(),
    )
    return Refurbed(client, min(page_size or settings.page_size, MAX_PAGE_SIZE))


class Refurbed(HttpAdapter):
    """One refurbed account; `kit.adapter.Adapter` says what each method returns."""

    order_struct: type[msgspec.Struct] | None = _Order
    care_struct: type[msgspec.Struct] | None = _Care
    new_order_listings: Sequence[OrderListing] = ("waiting", "created")
    document_limits: Sequence[RateLimit] = (DEFAULT,)

    def __init__(self, client: MarketplaceClient, page_size: int) -> None:
        super().__init__(client)
        self.page_size = page_size

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        filters: dict[str, Any] = {}
        if listing == "waiting":
            filters["state"] = {"any_of": ["NEW"]}
        elif since is not None:
            filters["released_at"] = {"ge": rfc3339(since)}

        def fetch(cursor: str | None, size: int) -> IdPage:
            answer = self._list("OrderService/ListOrders", filters, "ID", cursor, _decode_orders, size)
            records = [_order_record(bytes(raw)) for raw in answer.orders]
            return IdPage(records, answer.has_more)

        whole = read_after_ids(fetch, _id_of, self.page_size, MAX_PAGE_SIZE, _first_order_record)
        # There is no modified time: both listings filter by release.
        yield from check_filter(whole, "created", since)

    def order(self, order_id: str) -> RawRecord | None:
        try:
            answer = self._query("OrderService/GetOrder", {"id": order_id}, _decode_one)
        except RecordNotFoundError:
            return None
        return _order_record(bytes(answer.order))

    def decode_order(self, raw: bytes) -> Order:
        order = decoded(_decode_order, raw, "refurbed")
        state, items = order.state, order.items
        tracking = next((item.parcel_tracking_url for item in items or [] if item.parcel_tracking_url), None)
        shipping, invoice = order.shipping_address, order.invoice_address
        return Order(
            str(order.id),  # order_id
            meaning(ORDER_STATUS, state, Status.UNKNOWN),  # status
            None if items is None else [_item(item) for item in items],  # items
            state,  # marketplace_state
            order.released_at,  # created_at
            None,  # modified_at
            None,  # paid_at
            None,  # shipped_at
            None,  # dispatch_due_at
            order.currency_code,  # currency
            order.total_charged,  # items_total
            None,  # shipping_total
            order.total_vat_charged,  # sales_taxes
            shipping.country_code if shipping is not None else None,  # country_code
            order.payment_method,  # payment_method
            None,  # marketplace_shipping
            False,  # marketplace_delivery_note
            None,  # carrier
            None,  # tracking_number
            tracking,  # tracking_url
            None,  # delivery_note_url
            None,  # label_url
            order.customer_email,  # buyer_email
            _address(shipping) if shipping is not None else NO_ADDRESS,  # shipping
            _address(invoice) if invoice is not None else NO_ADDRESS,  # billing
            None,  # documents
        )

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        began_since = min(since, self.now() - RETURNS_BACK)
        filters = {"return_initiated_at": {"ge": rfc3339(began_since)}}

        def returns(cursor: str | None, size: int) -> IdPage:
            method = "OrderItemReturnService/ListOrderItemReturns"
            answer = self._list(method, filters, "ID", cursor, _decode_returns, size)
            records = [_return_record(bytes(raw)) for raw in answer.returns]
            return IdPage(records, answer.has_more)

        def tickets(cursor: str | None, size: int) -> IdPage:
            # Sorted by creation, oldest first: a ticket that changes during the reading keeps its place.
            method, sold = "TicketService/ListTickets", {"is_buyback": {"value": False}}
            answer = self._list(method, sold, "CREATED_AT", cursor, _decode_tickets, size)
            return IdPage([_ticket_record(bytes(raw)) for raw in answer.tickets], answer.has_more)

        whole = read_after_ids(returns, _id_of, MAX_PAGE_SIZE, MAX_PAGE_SIZE, _first_return_record)
        yield from check_filter(whole, "created", began_since)
        for page in read_after_ids(tickets, _id_of, MAX_PAGE_SIZE, MAX_PAGE_SIZE, _first_ticket_record):
            # The contract has no filter by change, nor one for tickets about an order item.
            yield [t for t in page if _is_about_an_item(t) and (t.modified_at is None or t.modified_at >= since)]

    def care_record(self, record: RawRecord) -> bytes:
        return record.raw

    def decode_care_record(self, raw: bytes) -> CareRecord:
        care = decoded(_decode_care, raw, "refurbed")
        # Not by the item's id: a record without a readable one would become the other kind, with another care id.
        is_ticket = any(x is not None for x in (care.marketplace_order_item, care.status, care.topic_slug))
        return _ticket(care) if is_ticket else _return(care)

    def documents(self, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        for order in missing:
            reading = DocumentsReading()
            with reading.attempt():
                body, decode = {"order_id": order.order_id}, no_endless_tries(_decode_labels)
                answer = self._query("OrderService/ListShippingLabels", body, decode)
                expires_at = self.now() + LABEL_LIFETIME
                for raw in answer.shipping_labels:
                    with reading.attempt():
                        label = decode_leniently(_decode_label, _Label, bytes(raw))
                        reading.add(_label(label.value, expires_at), label.flaws)
            yield order.order_id, reading.answer()

    def accept(self, target: AcceptanceTarget, item_ids: Sequence[str]) -> AcceptanceAnswer:
        return self._set_state(target, "ACCEPTED")

    def refuse(
        self, target: AcceptanceTarget, item_ids: Sequence[str], accepted_ids: Sequence[str] = ()
    ) -> AcceptanceAnswer:
        # "REJECTED: Order item cannot be fulfilled. Final state."; CANCELLED is for what the buyer asked for.
        return self._set_state(target, "REJECTED")

    def _set_state(self, target: AcceptanceTarget, state: str) -> AcceptanceAnswer:
        path, body = _path("OrderItemService/UpdateOrderItemState"), {"id": target.item_id, "state": state}
        status, _ = self.client.post(path, body, [DEFAULT], json_object)
        return AcceptanceAnswer(status, None)  # the answer is the item alone

    def probes(self) -> Mapping[str, Callable[[], object]]:
        one = {"pagination": {"limit": 1}}
        return {
            "ListOrders": lambda: self._query("OrderService/ListOrders", one, _decode_orders),
            "ListShippingLabels": lambda: self._query(
                "OrderService/ListShippingLabels", {"order_id": "1"}, _decode_labels
            ),
            "ListOrderItemReturns": lambda: self._query(
                "OrderItemReturnService/ListOrderItemReturns", one, _decode_returns
            ),
            "ListTickets": lambda: self._query("TicketService/ListTickets", one, _decode_tickets),
        }

    def _query(self, method: str, body: object, decode: Callable[[bytes], Any]) -> Any:
        return self.client.query(_path(method), body, [DEFAULT], decode)

    def _list(
        self,
        method: str,
        filters: Mapping[str, Any],
        sort_by: str,
        cursor: str | None,
        decode: Callable[[bytes], Any],
        page_size: int,
    ) -> Any:
        pagination: dict[str, Any] = {"limit": page_size}
        if cursor is not None:
            pagination["starting_after"] = cursor
        body = {"pagination": pagination, "sort": {"by": sort_by, "order": "ASC"}, "filter": filters}
        return self._query(method, body, decode)


def _path(method: str) -> str:
    """The path of a method of the HTTP/JSON transport, e.g. of `OrderService/ListOrders`."""
    return f"/refb.merchant.v1.{method}"


def _id_of(record: RawRecord) -> str:
    """The id for `starting_after`: an int64, as the contract has it, without our prefix; "" for any other."""
    found = re.fullmatch(r"(?:return-|ticket-)?([0-9]{1,19})", record.record_id)
    return found.group(1) if found else ""


def _is_about_an_item(ticket: RawRecord) -> bool:
    """False for a readable ticket that names no order item, e.g. a general question."""
    try:
        return _decode_ticket_head(ticket.raw).marketplace_order_item is not None
    except DECODE_ERRORS:
        return True  # it is read leniently, or rejected, with its reasons


def _item(item: _Item) -> OrderItem:
    offer = item.offer_data
    offer_id = None if offer is None or offer.offer_id is None else str(offer.offer_id)
    status = meaning(ITEM_STATUS, item.state, Status.UNKNOWN)
    if _is_zero(item.total_paid) and item.total_refunded is not None and not _is_zero(item.total_refunded):
        status = REFUNDED.get(status, status)
    imeis, serial_numbers = _device_numbers(item)
    return OrderItem(
        "" if item.id is None else str(item.id),  # item_id
        # An offer may have no SKU; its id replaces it, so that the item can be locked and named in stock imports.
        sku_or_made(item.sku, "offer-", offer_id),  # sku
        1,  # quantity
        status,  # status
        item.state,  # marketplace_state
        None,  # created_at
        item.currency_code,  # currency
        item.total_charged,  # price
        offer.shipping_costs if offer is not None else None,  # shipping_price
        item.settlement_total_commission,  # fee
        item.name,  # product
        offer_id,  # listing_id
        imeis,  # imeis
        serial_numbers,  # serial_numbers
        _kind(item),  # kind
    )


def _device_numbers(item: _Item) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The IMEIs and the serial numbers of an item. "UNSPECIFIED", and the deprecated field, do not say which it is."""
    found = [(each.identifier_type, each.value) for each in item.item_identifiers or ()]
    found = [(kind, value) for kind, value in found if value] or [(None, item.item_identifier)]
    imeis = [value for kind, value in found if _is_imei(kind, value)]
    return device_numbers(imeis), device_numbers(value for kind, value in found if not _is_imei(kind, value))


def _is_imei(kind: str | None, value: str | None) -> bool:
    return kind == "IMEI" or (kind != "SERIAL_NUMBER" and is_imei(without_signs(value or "")))


def _kind(item: _Item) -> ItemKind:
    """Goods are offers: "offer_data: set if item was created from an offer"."""
    is_priced_alone = not item.sku and item.offer_data is None and item.total_charged is not None
    return ItemKind.SERVICE if is_priced_alone else ItemKind.GOODS


def _is_zero(amount: Decimal | None) -> bool:
    """Whether an amount is 0. A text like `sNaN` is a Decimal too, and must not be compared."""
    return amount is not None and amount.is_finite() and amount == 0


def _address(address: _Address) -> Address:
    street = " ".join(part for part in (address.street_name, address.house_no) if part)
    return Address(
        address.first_name,  # first_name
        address.family_name,  # last_name
        address.company_name,  # company
        street or address.street_name,  # street
        address.supplement,  # street2
        address.post_code,  # postal_code
        address.town,  # city
        None,  # state
        address.country_code,  # country
        address.phone_number,  # phone
    )


def _return(care: _Care) -> CareRecord:
    state = meaning(RETURN_STATE, care.state, "unknown")
    return CareRecord(
        f"return-{str(care.id).lstrip()}",  # care_id
        [] if care.order_item_id is None else [CareItem(str(care.order_item_id), 1)],  # items
        "return",  # kind
        state,  # state
        care.state,  # marketplace_state
        care.return_initiated_at,  # opened_at
        None,  # modified_at
        care.delivered_at if state == "closed" else None,  # closed_at
        is_set(care.delivered_at) or None,  # received: "when the return parcel was delivered to the merchant"
    )


def _ticket(care: _Care) -> CareRecord:
    item = care.marketplace_order_item
    item_id = item.order_item_id if item is not None else None
    topic = (care.topic_slug or "").lower()
    state = meaning(TICKET_STATE, care.status, "unknown")
    return CareRecord(
        f"ticket-{str(care.id).lstrip()}",  # care_id
        [] if item_id is None else [CareItem(str(item_id), 1)],  # items
        next((kind for word, kind in TICKET_KIND if word in topic), "other"),  # kind
        state,  # state
        care.status,  # marketplace_state
        care.created_at,  # opened_at
        care.updated_at,  # modified_at
        care.updated_at if state == "closed" else None,  # closed_at
        None,  # received: a ticket does not say it
    )


def _label(label: _Label, expires_at: datetime) -> Document:
    """The label of one parcel; that for a label printer, if there is one."""
    printer, tracking = label.normal_printer_urls or _PrinterUrls(), label.tracking_data or _TrackingData()
    sheets = (printer.top_left, printer.top_right, printer.bottom_left, printer.bottom_right)
    url = next((url for url in (label.label_printer_url, *sheets) if url), None)
    return Document(
        key=str(label.id or tracking.tracking_number or url or ""),
        kind=DocumentKind.LABEL,
        url=url,
        carrier=tracking.carrier,
        tracking_number=tracking.tracking_number,
        expires_at=expires_at,
    )


MARKETPLACE = RegisteredMarketplace(
    title="refurbed",
    settings=RefurbedSettings,
    open=open_refurbed,
    rate_limits=(DEFAULT,),
    status_tables={"order": ORDER_STATUS, "item": ITEM_STATUS},
    kept_fields=KEPT_FIELDS,
    document_access={
        DocumentKind.LABEL: DocumentAccess(
            False, 'The URLs of a ShippingLabel carry their own access: "These will expire".'
        ),
    },
    acceptance_unit=lambda _: "item",
    refusal_unit="item",
    # https://refurbed.notion.site/Cancellations-and-Returns-e80755c3abea4bb6a86157cda677dbcf
    after_refusal="refund it, and tell the buyer why by a ticket: refurbed does neither",
    notes=(
        "An item counts as refunded if `total_paid` is 0 and something was refunded; its state says whether before or "
        "after shipping. refurbed makes no delivery note; labels are those of ListShippingLabels. Items in "
        "state NEW wait for the merchant and are accepted or refused (REJECTED) by UpdateOrderItemState, one by one. "
        "There is no modified time: nothing shows which of two copies of an order is older."
    ),
)
