"""refurbed: the merchant API as published, over its HTTP/JSON transport (POST of one JSON object a method).

Facts of the contract that shape this file: lists are walked by `pagination.starting_after` (an id) and `has_more`, at
most 100 a page; orders can be filtered by `released_at` and `state` but not by a modified time, so `modified` lists
the range of release again and the hash leaves the unchanged alone; every order item is one piece; an item's SKU may
be empty; ids are int64 written as text; limits are told by three X-RateLimit headers; errors are google.rpc.Status.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
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
from orders_sync.marketplaces.kit.decoding import decoded, json_object, record_reader, rfc3339
from orders_sync.marketplaces.kit.errors import RecordNotFoundError, RequestRefusedError
from orders_sync.marketplaces.kit.http import HttpAdapter, MarketplaceClient, RateLimitHeaders
from orders_sync.marketplaces.kit.paging import CursorPage, read_cursor
from orders_sync.marketplaces.kit.rate_limits import RateLimit, rate_limiter_for
from orders_sync.model.records import Address, CareRecord, Documents, Order, OrderItem
from orders_sync.model.statuses import Status

BASE_URL: Final = "https://api.refurbed.com"
LARGEST_PAGE = 100
#: What nobody publishes in numbers: a moderate pace until the first answer's headers tell the real one.
DEFAULT = RateLimit("api", 600, 60.0)
PENALTY_SECONDS = 30.0

#: Order states, derived by refurbed from those of the items (definition OrderState).
ORDER_STATUS: Final = {
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
    "NEW": Status.PENDING,
    "ACCEPTED": Status.ACCEPTED,
    "REJECTED": Status.CANCELLED,
    "CANCELLED": Status.CANCELLED,
    "SHIPPED": Status.SHIPPED,
    "RETURNED": Status.RETURNED,
}
#: A refund leaves an item's state as it is: paid nothing any more, and something refunded, tells it.
REFUNDED: Final = {
    Status.PENDING: Status.REFUNDED_BEFORE_SHIPPING,
    Status.ACCEPTED: Status.REFUNDED_BEFORE_SHIPPING,
    Status.SHIPPED: Status.REFUNDED_AFTER_SHIPPING,
}
RETURN_STATE: Final = {
    "INITIATED": "open",
    "IN_TRANSIT": "open",
    "DELIVERED": "open",
    "REFUNDED": "closed",
    "CONCLUDED": "closed",
}
TICKET_STATE: Final = {"OPEN": "open", "PENDING": "open", "SOLVED": "closed", "CLOSED": "closed"}
#: Words of a ticket's topic that tell its kind; the topics are not published as a list.
TICKET_KIND: Final = (
    ("replac", "replacement"),
    ("exchange", "replacement"),
    ("refund", "refund"),
    ("return", "return"),
)
RETURNS_BACK = timedelta(days=93)
"""Returns can be filtered by when they began, not by when they changed: those of three months are listed."""

_FINGERPRINT_VERSION = b"refurbed-1"


class RefurbedSettings(TokenSettings):
    """An account at refurbed."""

    page_size: int = Field(default=100, ge=1, le=LARGEST_PAGE, description="Orders asked for with one call.")


class _TicketHead(msgspec.Struct, gc=False):
    marketplace_order_item: msgspec.Raw | None = None


class _Orders(msgspec.Struct, gc=False):
    orders: list[msgspec.Raw] = []
    has_more: bool = False


class _Returns(msgspec.Struct, gc=False):
    returns: list[msgspec.Raw] = []
    has_more: bool = False


class _Tickets(msgspec.Struct, gc=False):
    tickets: list[msgspec.Raw] = []
    has_more: bool = False


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
    id: int | str
    name: str | None = None
    state: str | None = None
    sku: str | None = None
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
    released_at: datetime | None = None
    state: str | None = None
    customer_email: str | None = None
    shipping_address: _Address | None = None
    invoice_address: _Address | None = None
    currency_code: str | None = None
    total_charged: Decimal | None = None
    total_vat_charged: Decimal | None = None
    items: list[_Item] | None = None
    payment_method: str | None = None


class _MarketplaceItem(msgspec.Struct, gc=False):
    order_item_id: int | str | None = None


class _Care(msgspec.Struct, gc=False):
    """A return or a ticket: which it is tells `order_item_id` or `marketplace_order_item`."""

    id: int | str
    order_item_id: int | str | None = None
    marketplace_order_item: _MarketplaceItem | None = None
    state: str | None = None
    status: str | None = None
    topic_slug: str | None = None
    return_initiated_at: datetime | None = None
    delivered_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _PrinterUrls(msgspec.Struct, gc=False):
    top_left: str | None = None


class _Label(msgspec.Struct, gc=False):
    label_printer_url: str | None = None
    normal_printer_urls: _PrinterUrls | None = None


class _Labels(msgspec.Struct, gc=False):
    shipping_labels: list[_Label] = []


_order_record = record_reader(_FINGERPRINT_VERSION, record_id="id", created="released_at", modified=None)
_return_record = record_reader(
    _FINGERPRINT_VERSION, record_id="id", created="return_initiated_at", modified=None, prefix="return-"
)
_ticket_record = record_reader(
    _FINGERPRINT_VERSION, record_id="id", created="created_at", modified="updated_at", prefix="ticket-"
)
_decode_ticket_head = msgspec.json.Decoder(_TicketHead).decode
_decode_orders = msgspec.json.Decoder(_Orders).decode
_decode_returns = msgspec.json.Decoder(_Returns).decode
_decode_tickets = msgspec.json.Decoder(_Tickets).decode
_decode_one = msgspec.json.Decoder(_OneOrder).decode
_decode_order = msgspec.json.Decoder(_Order).decode
_decode_care = msgspec.json.Decoder(_Care).decode
_decode_labels = msgspec.json.Decoder(_Labels).decode


def open_refurbed(account: SellerAccount[RefurbedSettings], page_size: int | None = None) -> "Refurbed":
    """The adapter of a refurbed account. Raises AccountConfigError when its token is not set."""
    settings = account.settings
    client = MarketplaceClient(
        settings.base_url or BASE_URL,
        {"Accept": "application/json", "User-Agent": "orders-sync"},
        rate_limiter_for(account, [DEFAULT]),
        auth=HeaderToken(f"Plain {account.credential()}"),
        connections=settings.limits.connections,
        penalty=PENALTY_SECONDS,
        rate_limit_headers=RateLimitHeaders(),
    )
    return Refurbed(client, min(page_size or settings.page_size, LARGEST_PAGE))


class Refurbed(HttpAdapter):
    """One refurbed account; see base.Adapter for what each method answers."""

    new_order_listings: Sequence[OrderListing] = ("waiting", "created")
    acceptance_unit: Literal["sku", "item", "order"] | None = "item"

    def __init__(self, client: MarketplaceClient, page_size: int) -> None:
        super().__init__(client)
        self.page_size = page_size

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        wanted: dict[str, Any] = {}
        if listing == "waiting":
            wanted["state"] = {"any_of": ["NEW"]}
        elif since is not None:
            wanted["released_at"] = {"ge": rfc3339(since)}

        def fetch(cursor: str | None) -> CursorPage:
            answer = self._list("OrderService/ListOrders", wanted, "ID", cursor, _decode_orders, self.page_size)
            page = _page([_order_record(bytes(raw)) for raw in answer.orders], answer.has_more)
            # There is no modified time: of both lists, the filter is that by release.
            check_filter(page.records, "created", since)
            return page

        yield from read_cursor(fetch)

    def order(self, order_id: str) -> RawRecord | None:
        try:
            answer = self._ask("OrderService/GetOrder", {"id": order_id}, _decode_one)
        except RecordNotFoundError:
            return None
        return _order_record(bytes(answer.order))

    def decode_order(self, raw: bytes) -> Order:
        order = decoded(_decode_order, raw, "refurbed")
        state, items = order.state, order.items
        tracking = next((item.parcel_tracking_url for item in items or [] if item.parcel_tracking_url), None)
        shipping, invoice = order.shipping_address, order.invoice_address
        return Order(
            str(order.id),
            Status.UNKNOWN if state is None else ORDER_STATUS.get(state, Status.UNKNOWN),
            None if items is None else [_item(item) for item in items],
            state,
            created_at=order.released_at,
            currency=order.currency_code,
            items_total=order.total_charged,
            sales_taxes=order.total_vat_charged,
            country_code=shipping.country_code if shipping is not None else None,
            payment_method=order.payment_method,
            marketplace_delivery_note=False,
            tracking_url=tracking,
            buyer_email=order.customer_email,
            shipping=_address(shipping) if shipping is not None else Address(),
            billing=_address(invoice) if invoice is not None else Address(),
        )

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        began_since = min(since, self.now() - RETURNS_BACK)
        wanted = {"return_initiated_at": {"ge": rfc3339(began_since)}}

        def returns(cursor: str | None) -> CursorPage:
            method = "OrderItemReturnService/ListOrderItemReturns"
            answer = self._list(method, wanted, "ID", cursor, _decode_returns, LARGEST_PAGE)
            page = _page([_return_record(bytes(raw)) for raw in answer.returns], answer.has_more, "return-")
            check_filter(page.records, "created", began_since)
            return page

        def tickets(cursor: str | None) -> CursorPage:
            # Oldest first, by when they were opened: a ticket that changes meanwhile stays where it is.
            method, sold = "TicketService/ListTickets", {"is_buyback": {"value": False}}
            answer = self._list(method, sold, "CREATED_AT", cursor, _decode_tickets, LARGEST_PAGE)
            return _page([_ticket_record(bytes(raw)) for raw in answer.tickets], answer.has_more, "ticket-")

        yield from read_cursor(returns)
        for page in read_cursor(tickets):
            # There is no filter by change, nor for tickets about an order item: the others are left aside here.
            yield [t for t in page if _is_about_an_item(t) and (t.modified_at is None or t.modified_at >= since)]

    def care_record(self, record: RawRecord) -> bytes:
        return record.raw

    def decode_care_record(self, raw: bytes) -> CareRecord:
        care = decoded(_decode_care, raw, "refurbed")
        if care.marketplace_order_item is not None or care.order_item_id is None:
            item = care.marketplace_order_item
            item_id = item.order_item_id if item is not None else None
            topic = (care.topic_slug or "").lower()
            return CareRecord(
                f"ticket-{care.id}",
                [] if item_id is None else [str(item_id)],
                next((kind for word, kind in TICKET_KIND if word in topic), "other"),
                TICKET_STATE.get(care.status or "", "unknown"),
                care.status,
                care.created_at,
                care.updated_at,
                care.updated_at if TICKET_STATE.get(care.status or "") == "closed" else None,
            )
        state = RETURN_STATE.get(care.state or "", "unknown")
        return CareRecord(
            f"return-{care.id}",
            [str(care.order_item_id)],
            "return",
            state,
            care.state,
            care.return_initiated_at,
            None,
            care.delivered_at if state == "closed" else None,
        )

    def documents(self, lacking: Sequence[MissingDocuments]) -> Iterator[tuple[str, Documents | RequestRefusedError]]:
        for wanted in lacking:
            try:
                answer = self._ask("OrderService/ListShippingLabels", {"order_id": wanted.order_id}, _decode_labels)
            except RequestRefusedError as problem:
                yield wanted.order_id, problem
                continue
            urls = [url for label in answer.shipping_labels for url in _label_urls(label)]
            yield wanted.order_id, Documents(None, urls[0] if urls else None)

    def accept(self, waiting: AcceptanceTarget) -> AcceptanceAnswer:
        path, body = _path("OrderItemService/UpdateOrderItemState"), {"id": waiting.item_id, "state": "ACCEPTED"}
        status, _ = self.client.post(path, body, [DEFAULT], json_object)
        return AcceptanceAnswer(status, None)  # the answer is the item; the order is asked for in the next pass

    def probes(self) -> Mapping[str, Callable[[], object]]:
        one = {"pagination": {"limit": 1}}
        return {
            "ListOrders": lambda: self._ask("OrderService/ListOrders", one, _decode_orders),
            "ListShippingLabels": lambda: self._ask(
                "OrderService/ListShippingLabels", {"order_id": "1"}, _decode_labels
            ),
            "ListOrderItemReturns": lambda: self._ask(
                "OrderItemReturnService/ListOrderItemReturns", one, _decode_returns
            ),
            "ListTickets": lambda: self._ask("TicketService/ListTickets", one, _decode_tickets),
        }

    def _ask(self, method: str, body: object, decode: Callable[[bytes], Any]) -> Any:
        return self.client.ask(_path(method), body, [DEFAULT], decode)

    def _list(
        self,
        method: str,
        wanted: Mapping[str, Any],
        listing: str,
        cursor: str | None,
        decode: Callable[[bytes], Any],
        size: int,
    ) -> Any:
        pagination: dict[str, Any] = {"limit": size}
        if cursor is not None:
            pagination["starting_after"] = cursor
        body = {"pagination": pagination, "sort": {"by": listing, "order": "ASC"}, "filter": wanted}
        return self._ask(method, body, decode)


def _path(method: str) -> str:
    return f"/refb.merchant.v1.{method}"


def _page(records: list[RawRecord], has_more: bool, prefix: str = "") -> CursorPage:
    if not has_more:
        return CursorPage(records, None)
    return CursorPage(records, records[-1].record_id.removeprefix(prefix) if records else "")


def _is_about_an_item(ticket: RawRecord) -> bool:
    """False for a ticket that is readable and names no order item, e.g. a general question."""
    try:
        return _decode_ticket_head(ticket.raw).marketplace_order_item is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True  # to be rejected, with its reasons


def _item(item: _Item) -> OrderItem:
    offer = item.offer_data
    status = Status.UNKNOWN if item.state is None else ITEM_STATUS.get(item.state, Status.UNKNOWN)
    if item.total_paid is not None and item.total_paid == 0 and item.total_refunded:
        status = REFUNDED.get(status, status)
    identifiers = {i.identifier_type: i.value for i in item.item_identifiers or []}
    return OrderItem(
        str(item.id),
        # An offer may have no SKU; its id then stands for it, so that the item is locked and can be named in imports.
        item.sku or (f"offer-{offer.offer_id}" if offer is not None and offer.offer_id is not None else ""),
        1,
        status,
        item.state,
        None,
        item.currency_code,
        item.total_charged,
        offer.shipping_costs if offer is not None else None,
        item.settlement_total_commission,
        item.name,
        None if offer is None or offer.offer_id is None else str(offer.offer_id),
        identifiers.get("IMEI") or None,
        identifiers.get("SERIAL_NUMBER") or (item.item_identifier if not identifiers else None) or None,
    )


def _address(address: _Address) -> Address:
    street = " ".join(part for part in (address.street_name, address.house_no) if part)
    return Address(
        address.first_name, address.family_name, address.company_name, street or address.street_name,
        address.supplement, address.post_code, address.town, None, address.country_code, address.phone_number,
    )  # fmt: skip


def _label_urls(label: _Label) -> list[str]:
    printer = label.normal_printer_urls
    return [url for url in (label.label_printer_url, printer.top_left if printer is not None else None) if url]


MARKETPLACE = Marketplace(
    "refurbed",
    RefurbedSettings,
    open_refurbed,
    {"order": ORDER_STATUS, "item": ITEM_STATUS},
    frozenset(["customer_email", "shipping_address", "invoice_address", "shipping_label_address", "customer"]),
    notes=(
        "An item for which nothing is paid any more and something was refunded counts as refunded, before or after "
        "shipping by its state. refurbed makes no delivery note; labels are those of ListShippingLabels. Items in "
        "state NEW wait for the merchant and are accepted by UpdateOrderItemState, one by one. There is no modified "
        "time: an older copy of an order can't be told from a newer one."
    ),
)
