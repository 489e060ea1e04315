"""Back Market: the seller API as published (OpenAPI 0.1.1), with orders, Care folders and Backship labels.

Facts of the contract that shape this file:

* `page-size` is at most 50, and an order carries its orderlines. No field is required.
* Order states and line states are two different code tables: equal numbers mean different things.
* `next` may name another host, so only its page number is used.
* The Care list has 10 folders per page, and its `count` is that of the page.
* `labelUrl` may be a path.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

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
from orders_sync.marketplaces.kit.decoding import (
    check_field_order,
    decoded,
    json_object,
    path_part,
    record_reader,
    repairing,
    rfc3339,
)
from orders_sync.marketplaces.kit.documents import DocumentsReading, missing_value, no_endless_tries
from orders_sync.marketplaces.kit.errors import BadAnswerError, RecordNotFoundError
from orders_sync.marketplaces.kit.http import HttpAdapter, MarketplaceClient
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.lenient import (
    CARE_ITEM,
    CREATED_AT,
    ITEM_ID,
    ITEMS,
    QUANTITY,
    SKU,
    decode_leniently,
)
from orders_sync.marketplaces.kit.linked_pages import read_linked
from orders_sync.marketplaces.kit.page import FetchPage, Page
from orders_sync.marketplaces.kit.pages import first_record_reader, page_decoder
from orders_sync.marketplaces.kit.paging import read_counted
from orders_sync.marketplaces.kit.rate_limits import RateLimit, rate_limiter_for
from orders_sync.marketplaces.kit.states import meaning, published
from orders_sync.model.device_numbers import device_number
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

BASE_URLS: Final = {
    ("eu", False): "https://www.backmarket.fr",
    ("eu", True): "https://preprod.backmarket.fr",
    ("na", False): "https://www.backmarket.com",
    ("na", True): "https://preprod.backmarket.com",
    ("ap", False): "https://www.backmarket.co.jp",
    ("ap", True): "https://preprod.backmarket.co.jp",
}

#: All endpoints: "above 200 requests in 10 seconds being blocked for 10 seconds".
EDGE = RateLimit("edge", 200, 10.0)
PENALTY_SECONDS = 10.0
#: GET /ws/sav and GET /ws/sav/{id} have further limits, per minute and per day.
CARE_LIST = RateLimit("care_list", 520, 60.0, per_day=4_000)
CARE_DETAIL = RateLimit("care_detail", 600, 60.0, per_day=40_000)
MAX_PAGE_SIZE = 50
MAX_DELIVERY_PAGES = 10
"""Pages of an order's deliveries, of 10 each: more show that the filter by the order is ignored."""
DELIVERY_NOTE = "delivery_note"
"""The key of an order's delivery note: it has one."""

#: Order states (schema OrderState).
ORDER_STATUS: Final = {
    0: Status.AWAITING_PAYMENT,
    10: Status.AWAITING_PAYMENT,
    1: Status.PENDING,
    3: Status.ACCEPTED,
    8: Status.UNPAID,
    9: Status.SHIPPED,
}
#: The order state that `waiting` lists: paid, the merchant must accept or cancel.
WAITING_STATE = 1
#: Line states (schema OrderLineState): another table, in which equal numbers mean different things.
ITEM_STATUS: Final = {
    0: Status.AWAITING_PAYMENT,
    8: Status.AWAITING_PAYMENT,
    9: Status.AWAITING_PAYMENT,
    1: Status.PENDING,
    2: Status.ACCEPTED,
    3: Status.SHIPPED,
    4: Status.CANCELLED,
    5: Status.REFUNDED_BEFORE_SHIPPING,
    6: Status.REFUNDED_AFTER_SHIPPING,
    7: Status.UNPAID,
}
#: The `new_state` of POST /ws/orders/{order_id} that accepts lines, and the one that cancels them. No other state may
#: follow that of a line that waits (schema OrderLineState).
ACCEPTED_LINE_STATE = 2
CANCELLED_LINE_STATE = 4
#: States of a Care folder.
CARE_STATE: Final = {0: "open", 9: "closed"}
#: The buyer's choice (schema claim, resolution_choice) and the kind of care record that it means.
CARE_KIND: Final = {
    "REPLACE": "replacement",
    "REPAIR_REPLACE": "replacement",
    "REFUND": "refund",
    "REPAIR": "other",
    "REMOTE_ASSISTANCE": "other",
}

#: Increase it when the fingerprint's content changes; every record is then decoded and compared once.
_FINGERPRINT_VERSION = b"backmarket-2"
#: Names of this module, since it takes four times as long to find a member of an enumeration.
_UNKNOWN, _GOODS = Status.UNKNOWN, ItemKind.GOODS


_Amount = str | int | float
"""Published as a decimal text; a number is accepted as well."""


class _List(msgspec.Struct, gc=False):
    results: list[msgspec.Raw]
    count: Any = None
    next: Any = None


class _Address(Address, frozen=True, gc=False, rename="camel"):
    """The canonical address, decoded by the contract's names of its fields."""

    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    street: str | None = None
    street2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    phone: str | None = msgspec.field(default=None, name="phoneNumber")


class _OrderLine(msgspec.Struct, gc=False):
    id: Annotated[int | str | None, ITEM_ID] = None
    quantity: Annotated[int | None, QUANTITY] = None
    listing: Annotated[str | None, SKU] = None
    state: Annotated[int | None, published(ITEM_STATUS)] = None
    date_creation: datetime | None = None
    price: _Amount | None = None
    shipping_price: _Amount | None = None
    currency: str | None = None
    orderline_fee: _Amount | None = None
    product: str | None = None
    listing_id: int | str | None = None
    imei: str | None = None
    serial_number: str | None = None


class _Order(msgspec.Struct, gc=False):
    order_id: int | str
    state: Annotated[int | None, published(ORDER_STATUS)] = None
    orderlines: Annotated[list[_OrderLine] | None, ITEMS] = None
    date_creation: Annotated[datetime | None, CREATED_AT] = None
    date_modification: datetime | None = None
    date_payment: datetime | None = None
    date_shipping: datetime | None = None
    expected_dispatch_date: datetime | None = None
    currency: str | None = None
    price: _Amount | None = None
    shipping_price: _Amount | None = None
    sales_taxes: _Amount | None = None
    country_code: str | None = None
    payment_method: str | None = None
    is_backship: bool | None = None
    shipper_display: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    delivery_note: str | None = None
    shipping_address: _Address | None = None
    billing_address: _Address | None = None


class _Note(msgspec.Struct, gc=False):
    delivery_note: Any = None


class _ReturnLabel(msgspec.Struct, gc=False):
    kind: str | None = None


class _Claim(msgspec.Struct, gc=False):
    resolution_choice: Annotated[str | None, published(CARE_KIND)] = None
    return_labels: list[_ReturnLabel] | None = None


class _CareLine(msgspec.Struct, gc=False):
    id: Annotated[int | str | None, CARE_ITEM] = None


class _CareFolder(msgspec.Struct, gc=False):
    id: int | str
    orderline: Annotated[_CareLine | int | None, CARE_ITEM] = None
    state: Annotated[int | None, published(CARE_STATE)] = None
    date_creation: datetime | None = None
    date_modification: datetime | None = None
    date_closed: datetime | None = None
    lines: list[_Claim | int] | None = None


class _Delivery(msgspec.Struct, gc=False, rename="camel"):
    order: int | str | None = None
    shipment_id: int | str | None = None
    orderlines: list[int | str] | None = None
    tracking_number: int | str | None = None
    carrier_name: str | None = None
    label_url: str | None = None


class _Deliveries(msgspec.Struct, gc=False):
    results: list[msgspec.Raw]
    next: Any = None


#: What stays of a record whose buyer's data is blanked. Not PayPal's reference, IMEI and serial number, the buyer's
#: message, tracking and URLs; of a Care folder, neither client and messages nor what the buyer wrote.
KEPT_FIELDS = KeptFields(
    order=(
        "order_id", "state", "date_creation", "date_modification", "date_payment", "date_shipping",
        "expected_dispatch_date", "currency", "price", "shipping_price", "sales_taxes", "country_code",
        "payment_method", "installment_payment", "is_backship", "shipper_display",
        "orderlines.id", "orderlines.state", "orderlines.date_creation", "orderlines.listing", "orderlines.listing_id",
        "orderlines.product", "orderlines.product_id", "orderlines.brand", "orderlines.condition",
        "orderlines.quantity", "orderlines.currency", "orderlines.price", "orderlines.shipping_price",
        "orderlines.shipping_delay", "orderlines.sales_taxes", "orderlines.orderline_fee", "orderlines.return_reason",
        "orderlines.backcare", "orderlines.backcare_price",
    ),
    care=(
        "id", "state", "date_creation", "date_modification", "date_closed", "country_code", "backcare",
        "orderline", "orderline.id", "orderline.quantity", "orderline.price", "orderline.state",
        "orderline.order.order_id", "orderline.order.state", "orderline.order.currency",
        "lines", "lines.id", "lines.state", "lines.resolution_choice", "lines.declared_warranty_state",
        "lines.return_labels.kind", "lines.return_labels.state", "lines.return_labels.date_creation",
    ),
)  # fmt: skip


class BackMarketSettings(TokenSettings):
    """An account at Back Market."""

    region: Literal["eu", "na", "ap"] = Field(
        default="eu", description="The marketplace's platform: Europe, North America or Asia-Pacific."
    )
    preprod: bool = Field(default=False, description="Use the marketplace's preproduction platform.")
    accept_language: str = Field(
        default="fr-fr",
        pattern=r"^[a-z]{2}-[a-z]{2}$",
        examples=["fr-fr"],
        description="Country code sent with each request.",
    )
    user_agent: str = Field(
        default="BM-OrdersSync-Orders;orders-sync@example.com",
        pattern=r"^BM-[^-;]+-[^;]+;[^@\s]+@[^@\s]+$",
        examples=["BM-Acme-Orders;it@acme.example"],
        description="Mandatory at Back Market: BM-{Company}-{Integration};contact@mail",
    )
    page_size: int = Field(default=50, ge=1, le=MAX_PAGE_SIZE, description="Orders per call.")
    accept_by: Literal["sku", "order"] = Field(
        default="sku",
        description="Accept the waiting lines of each SKU, or a whole order with one call (where nothing is short).",
    )


_order_record = record_reader(
    _FINGERPRINT_VERSION, record_id="order_id", created="date_creation", modified="date_modification"
)
_first_order_record = first_record_reader(_List, _order_record)
_care_list_record = record_reader(
    _FINGERPRINT_VERSION, record_id="id", created="date_creation", modified="date_modification"
)
_decode_list = page_decoder(_List)
_decode_order = msgspec.json.Decoder(_Order).decode
_decode_note = repairing(msgspec.json.Decoder(_Note).decode)
_decode_care = msgspec.json.Decoder(_CareFolder).decode
_decode_deliveries = page_decoder(_Deliveries)
_decode_delivery = msgspec.json.Decoder(_Delivery).decode

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
    CareRecord,
    (
        "care_id", "items", "kind", "state", "marketplace_state", "opened_at", "modified_at", "closed_at", "received",
    ),
)  # fmt: skip


def open_back_market(account: SellerAccount[BackMarketSettings], page_size: int | None = None) -> "BackMarket":
    """The adapter of a Back Market account. Raises AccountConfigError when its token is not set."""
    settings = account.settings
    client = MarketplaceClient(
        settings.base_url or BASE_URLS[settings.region, settings.preprod],
        {
            "Accept": "application/json",
            "Accept-Language": settings.accept_language,
            "User-Agent": settings.user_agent,
        },
        rate_limiter_for(account, [EDGE, CARE_LIST, CARE_DETAIL]),
        auth=HeaderToken(f"Basic {account.credential()}"),
        connections=settings.limits.connections,
        penalty_seconds=PENALTY_SECONDS,
        outage_minutes=settings.limits.outage_minutes,
        answer_megabytes=settings.limits.answer_megabytes,
    )
    return BackMarket(client, settings, min(page_size or settings.page_size, MAX_PAGE_SIZE))


class BackMarket(HttpAdapter):
    """One Back Market account; `kit.adapter.Adapter` says what each method returns."""

    order_struct: type[msgspec.Struct] | None = _Order
    care_struct: type[msgspec.Struct] | None = _CareFolder
    new_order_listings: Sequence[OrderListing] = ("waiting", "created")
    document_limits: Sequence[RateLimit] = (EDGE,)

    def __init__(self, client: MarketplaceClient, settings: BackMarketSettings, page_size: int) -> None:
        super().__init__(client)
        self.page_size = page_size
        self.connections = settings.limits.connections

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        query: dict[str, str] = {}
        if listing == "waiting":
            query["state"] = str(WAITING_STATE)
        elif since is not None:
            name = "date_creation" if listing == "created" else "date_modification"
            query[name] = rfc3339(since)

        def pages(part: Mapping[str, str]) -> FetchPage:
            def fetch(number: int, size: int) -> Page:
                its_size = {"page-size": str(size)}
                return self._page("/ws/orders", {**query, **part, **its_size}, number, [EDGE], _order_record)

            return fetch

        def split(created_from: datetime | None, created_to: datetime | None) -> FetchPage | None:
            # The contract has no filter by an upper bound.
            return None if created_from is None else pages({"date_creation": rfc3339(created_from)})

        whole = read_counted(pages({}), self.page_size, self.connections, split=split, first_record=_first_order_record)
        yield from check_filter(whole, listing, since)

    def order(self, order_id: str) -> RawRecord | None:
        try:
            raw = self.client.get(f"/ws/orders/{path_part(order_id)}", {}, [EDGE], json_object)
        except RecordNotFoundError:
            return None
        return _order_record(raw)

    def decode_order(self, raw: bytes) -> Order:
        order = decoded(_decode_order, raw, "Back Market")
        status = _UNKNOWN if order.state is None else ORDER_STATUS.get(order.state, _UNKNOWN)
        shipping, billing = order.shipping_address, order.billing_address
        return Order(
            str(order.order_id),  # order_id
            status,  # status
            None if order.orderlines is None else [_item(line, status) for line in order.orderlines],  # items
            None if order.state is None else str(order.state),  # marketplace_state
            order.date_creation,  # created_at
            order.date_modification,  # modified_at
            order.date_payment,  # paid_at
            order.date_shipping,  # shipped_at
            _in_utc(order.expected_dispatch_date),  # dispatch_due_at
            order.currency,  # currency
            _amount(order.price),  # items_total
            _amount(order.shipping_price),  # shipping_total
            _amount(order.sales_taxes),  # sales_taxes
            order.country_code,  # country_code
            order.payment_method,  # payment_method
            order.is_backship,  # marketplace_shipping
            None,  # marketplace_delivery_note
            order.shipper_display,  # carrier
            order.tracking_number,  # tracking_number
            order.tracking_url,  # tracking_url
            order.delivery_note,  # delivery_note_url
            None,  # label_url
            None,  # buyer_email
            NO_ADDRESS if shipping is None else shipping,  # shipping
            NO_ADDRESS if billing is None else billing,  # billing
            None,  # documents
        )

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        changed_since = _to_the_minute(since)

        def fetch(number: int) -> Page:
            query = {"last_modification_date": changed_since}
            return self._page("/ws/sav", query, number, [EDGE, CARE_LIST], _care_list_record)

        yield from read_linked(fetch, self.client.now)

    def care_record(self, record: RawRecord) -> bytes:
        path = f"/ws/sav/{path_part(record.record_id)}"
        return self.client.get(path, {}, [EDGE, CARE_DETAIL], json_object)

    def decode_care_record(self, raw: bytes) -> CareRecord:
        folder = decoded(_decode_care, raw, "Back Market")
        line = folder.orderline
        line_id = line.id if isinstance(line, _CareLine) else line
        return CareRecord(
            str(folder.id),  # care_id
            [] if line_id is None else [CareItem(str(line_id))],  # items: the contract does not say how many pieces
            _care_kind(folder.lines or []),  # kind
            "unknown" if folder.state is None else CARE_STATE.get(folder.state, "unknown"),  # state
            None if folder.state is None else str(folder.state),  # marketplace_state
            folder.date_creation,  # opened_at
            folder.date_modification,  # modified_at
            folder.date_closed,  # closed_at
            None,  # received: a folder says that it is closed, not what came back
        )

    def documents(self, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        for order in missing:
            reading = DocumentsReading()
            if order.delivery_note:
                with reading.attempt():
                    self._read_delivery_note(order.order_id, reading)
            if order.label:
                with reading.attempt():
                    self._read_labels(order.order_id, reading)
            yield order.order_id, reading.answer()

    def _read_delivery_note(self, order_id: str, reading: DocumentsReading) -> None:
        path = f"/ws/orders/{path_part(order_id)}"
        with suppress(RecordNotFoundError):
            note = self.client.get(path, {}, [EDGE], no_endless_tries(_decode_note)).delivery_note
            if note:  # text or not: the check of documents says what is wrong with it
                reading.add(Document(DELIVERY_NOTE, DocumentKind.DELIVERY_NOTE, str(note)))

    def _read_labels(self, order_id: str, reading: DocumentsReading) -> None:
        """Reads the labels of all deliveries of an order: one for each parcel. Each page leads to a later one."""
        number: int | None = 1
        while number is not None:
            if number > MAX_DELIVERY_PAGES:
                raise BadAnswerError(f"An order's deliveries have more than {MAX_DELIVERY_PAGES} pages.")
            query = {"order_id": order_id, "page": str(number)}
            decode = no_endless_tries(_decode_deliveries)
            page = self.client.get("/ws/shipping/v1/deliveries", query, [EDGE], decode)
            for raw in page.results:
                with reading.attempt():
                    self._read_label(order_id, bytes(raw), reading)
            following, is_guessed = _next_page(page.next, number)
            if following is not None and following <= number:
                raise BadAnswerError(f"Page {number} of an order's deliveries names page {following} as its next one.")
            number = following if page.results or not is_guessed else None

    def _read_label(self, order_id: str, raw: bytes, reading: DocumentsReading) -> None:
        """Reads a delivery. The filter may be ignored: only one that names the order counts."""
        delivery = decode_leniently(_decode_delivery, _Delivery, raw)
        if delivery.value.order is None:
            raise missing_value("order", "the id of the order")
        if str(delivery.value.order).strip() == order_id:
            reading.add(self._label(delivery.value), delivery.flaws)

    def _label(self, delivery: _Delivery) -> Document:
        url = self._absolute(delivery.label_url) if delivery.label_url else None
        return Document(
            key=str(delivery.shipment_id or url or ""),
            kind=DocumentKind.LABEL,
            url=url,
            carrier=delivery.carrier_name,
            tracking_number=None if delivery.tracking_number is None else str(delivery.tracking_number),
            item_ids=tuple(str(line_id) for line_id in delivery.orderlines or ()),
        )

    def accept(self, target: AcceptanceTarget, item_ids: Sequence[str]) -> AcceptanceAnswer:
        return self._set_line_state(target, ACCEPTED_LINE_STATE)

    def refuse(
        self, target: AcceptanceTarget, item_ids: Sequence[str], accepted_ids: Sequence[str] = ()
    ) -> AcceptanceAnswer:
        return self._set_line_state(target, CANCELLED_LINE_STATE)

    def _set_line_state(self, target: AcceptanceTarget, new_state: int) -> AcceptanceAnswer:
        order_id = target.order_id
        number = int(order_id) if order_id.isdecimal() else order_id
        # Schema UpdateOrder requires `id`, but what it describes is `order_id`: both readings get theirs.
        body: dict[str, int | str] = {"id": number, "order_id": number, "new_state": new_state}
        if target.sku:
            body["sku"] = target.sku
        status, raw = self.client.post(f"/ws/orders/{path_part(order_id)}", body, [EDGE], json_object)
        record = _order_record(raw) if raw is not None else None
        return AcceptanceAnswer(status, record if record is not None and record.record_id == order_id else None)

    def probes(self) -> Mapping[str, Callable[[], object]]:
        now = datetime.now(UTC)
        orders = {"page-size": "1", "date_modification": rfc3339(now)}
        folders = {"last_modification_date": _to_the_minute(now)}
        return {
            "GET /ws/orders": lambda: self.client.get("/ws/orders", orders, [EDGE], _decode_list),
            "GET /ws/sav": lambda: self.client.get("/ws/sav", folders, [EDGE, CARE_LIST], _decode_list),
            "GET /ws/shipping/v1/deliveries": lambda: self.client.get(
                "/ws/shipping/v1/deliveries", {"order_id": "1"}, [EDGE], _decode_deliveries
            ),
        }

    def _page(
        self,
        path: str,
        query: Mapping[str, str],
        number: int,
        limits: list[RateLimit],
        record: Callable[[bytes], RawRecord],
    ) -> Page:
        answer = self.client.get(path, {**query, "page": str(number)}, limits, _decode_list)
        records = [record(bytes(raw)) for raw in answer.results]
        following, is_guessed = _next_page(answer.next, number)
        return Page(records, answer.count, following if records or not is_guessed else None, is_guessed)

    def _absolute(self, url: str) -> str:
        return self.client.base_url + url if url.startswith("/") else url


def _item(line: _OrderLine, order_status: Status) -> OrderItem:
    state = line.state  # a line without a state has the order's status
    return OrderItem(
        "" if line.id is None else str(line.id),  # item_id
        line.listing or "",  # sku
        line.quantity,  # quantity
        order_status if state is None else ITEM_STATUS.get(state, _UNKNOWN),  # status
        None if state is None else str(state),  # marketplace_state
        line.date_creation,  # created_at
        line.currency,  # currency
        _amount(line.price),  # price
        _amount(line.shipping_price),  # shipping_price
        _amount(line.orderline_fee),  # fee
        line.product,  # product
        None if line.listing_id is None else str(line.listing_id),  # listing_id
        device_number(line.imei) if line.imei else None,  # imeis
        device_number(line.serial_number) if line.serial_number else None,  # serial_numbers
        _GOODS,  # kind
    )


def _amount(value: _Amount | None) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _care_kind(claims: list[_Claim | int]) -> str:
    """The kind by the buyers' choices; without a choice, a return if there is a label for one."""
    kinds = {
        meaning(CARE_KIND, claim.resolution_choice, "other")
        for claim in claims
        if isinstance(claim, _Claim) and claim.resolution_choice
    }
    for kind in ("replacement", "refund"):
        if kind in kinds:
            return kind
    returned = any(
        label.kind == "CUSTOMER_TO_MERCHANT"
        for claim in claims
        if isinstance(claim, _Claim)
        for label in claim.return_labels or []
    )
    return "return" if returned else "other"


def _in_utc(value: datetime | None) -> datetime | None:
    """A time without a zone, as `expected_dispatch_date` is published, read as UTC."""
    return _with_utc(value) if value is not None and value.tzinfo is None else value


@lru_cache(maxsize=10_000)  # many orders are due at the same time
def _with_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


def _to_the_minute(at: datetime) -> str:
    """A time in UTC as the filter of the Care list has it: YYYY-MM-DD-hh-mm."""
    return at.astimezone(UTC).strftime("%Y-%m-%d-%H-%M")


_PAGE = re.compile(r"[?&]page=([0-9]{1,9})\b")


def _next_page(link: object, number: int) -> tuple[int | None, bool]:
    """The number of the page after this one, by its `next` link, and whether it is guessed: the link can't be read.

    None without a link; the contract's examples also have the text "null".
    """
    if link is None or link is False or link in ("", "null"):
        return None, False
    found = _PAGE.search(link) if isinstance(link, str) else None
    return (int(found.group(1)), False) if found else (number + 1, True)


MARKETPLACE = RegisteredMarketplace(
    title="Back Market",
    settings=BackMarketSettings,
    open=open_back_market,
    rate_limits=(EDGE, CARE_LIST, CARE_DETAIL),
    status_tables={"order": ORDER_STATUS, "item": ITEM_STATUS},
    kept_fields=KEPT_FIELDS,
    document_access={
        DocumentKind.DELIVERY_NOTE: DocumentAccess(
            False, "`delivery_note` (schema Order) is a URL; the contract names no credential for it."
        ),
        DocumentKind.LABEL: DocumentAccess(
            False,
            "`labelUrl` (schema Delivery) may be a path of the API's host; the contract names no credential for it.",
        ),
    },
    acceptance_unit=lambda settings: settings.accept_by,
    refusal_unit="sku",
    notes=(
        "Order states and line states are two different tables: equal numbers mean different things. The list of "
        "orders leaves out 0 and 8. Lines in state 1 wait for the merchant; `POST /ws/orders/{order_id}` with "
        "`new_state` 2 accepts them, by SKU or for the whole order (`accept_by`), and `new_state` 4 cancels those of a "
        "SKU: the buyer is refunded. "
        "`PATCH /ws/orderlines/{orderline_id}` takes IMEI and serial number only, as published."
    ),
)
