"""Mirakl: the seller API of any operator's instance, as published (OR11, OR21, OR72, RT11).

Facts of the contract that shape this file:

* OR11 is paged by `max` (at most 100) and `offset`, is sorted by creation, and answers with `total_count`.
* The server moves `start_update_date` back, so repeats are expected.
* RT11 is paged by page tokens.
* Each operation has a maximum frequency of use; a listing with all its pages is one use.
* OR21 decides every waiting line of an order with one request, and answers without the order.
* New fields and new states may appear at any time. Amounts are JSON numbers.
* Times are RFC 3339. One without a zone is read as UTC, the zone of all times in the contract's examples.
* A cancelled line may have the quantity 0. Each line is an offer of the shop: fees and promotions are no lines.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode

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
from orders_sync.marketplaces.kit.cursors import CursorPage, read_cursor
from orders_sync.marketplaces.kit.decoding import (
    care_items,
    check_field_order,
    decoded,
    latest,
    path_part,
    record_reader,
    rfc3339,
)
from orders_sync.marketplaces.kit.documents import DocumentsReading, missing_value, no_endless_tries, unreadable
from orders_sync.marketplaces.kit.errors import MarketplaceError
from orders_sync.marketplaces.kit.halves import answers_for
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
from orders_sync.marketplaces.kit.page import FetchPage, Page, offset_page
from orders_sync.marketplaces.kit.pages import first_record_reader, page_decoder
from orders_sync.marketplaces.kit.paging import read_counted
from orders_sync.marketplaces.kit.rate_limits import RateLimit, rate_limiter_for
from orders_sync.marketplaces.kit.states import check_spelling, meaning, published
from orders_sync.model.device_numbers import device_numbers
from orders_sync.model.records import (
    Address,
    CareRecord,
    Document,
    DocumentKind,
    ItemKind,
    Order,
    OrderItem,
    RecordRejectedError,
    Shipment,
)
from orders_sync.model.statuses import Status

MAX_PAGE_SIZE = 100
#: "Maximum usage: once per minute" (OR11) and "every 5 minutes" (RT11). A listing with all its pages is one use.
ORDERS_USE = RateLimit("or11", 1, 60.0)
RETURNS_USE = RateLimit("rt11", 1, 300.0)
#: Further pages of a listing, and operations allowed "at each page display" (OR72) or "at each document download"
#: (OR73): no number is published.
PAGES = RateLimit("pages", 300, 60.0)
PENALTY_SECONDS = 60.0
SERVER_DELTA = timedelta(days=1)
"""How much earlier than the filter a record may lie: "Mirakl will subtract a time delta", of unpublished length."""
MAX_DOCUMENT_ORDERS = 50
"""Orders per call of OR72; keeps the URL below 4 kB."""
DELIVERY_BILL = "SYSTEM_DELIVERY_BILL"
"""OR72's type of a delivery note."""

#: States of orders (schema OR11, order_state). The last two are published as deprecated.
ORDER_STATUS: Final = {
    "STAGING": Status.AWAITING_PAYMENT,
    "WAITING_ACCEPTANCE": Status.PENDING,
    "WAITING_DEBIT": Status.ACCEPTED,
    "WAITING_DEBIT_PAYMENT": Status.ACCEPTED,
    "SHIPPING": Status.ACCEPTED,
    "SHIPPED": Status.SHIPPED,
    "TO_COLLECT": Status.SHIPPED,
    "RECEIVED": Status.SHIPPED,
    "CLOSED": Status.SHIPPED,
    "REFUSED": Status.CANCELLED,
    "CANCELED": Status.CANCELLED,
    "WAITING_REFUND": Status.REFUNDED_AFTER_SHIPPING,
    "WAITING_REFUND_PAYMENT": Status.REFUNDED_AFTER_SHIPPING,
}
#: States of order lines (schema OR11, order_line_state): those of orders, and two of their own.
LINE_STATUS: Final = {
    **ORDER_STATUS,
    "INCIDENT_OPEN": Status.SHIPPED,
    "REFUNDED": Status.REFUNDED_AFTER_SHIPPING,
}
#: States that say nothing about the shipping, and what they mean as long as nothing was shipped.
NOT_SHIPPED_STATUS: Final = {
    "INCIDENT_OPEN": Status.ACCEPTED,
    "REFUNDED": Status.REFUNDED_BEFORE_SHIPPING,
    "WAITING_REFUND": Status.REFUNDED_BEFORE_SHIPPING,
    "WAITING_REFUND_PAYMENT": Status.REFUNDED_BEFORE_SHIPPING,
}
#: The status of a refunded line by that of its state, which a refund does not change.
REFUNDED: Final = {
    Status.ACCEPTED: Status.REFUNDED_BEFORE_SHIPPING,
    Status.SHIPPED: Status.REFUNDED_AFTER_SHIPPING,
}
#: States of returns (schema RT11, state).
RETURN_STATE: Final = {
    "WAITING_ACCEPTANCE": "open",
    "IN_PROGRESS": "open",
    "RECEIVED": "open",
    "NO_RECEPTION": "open",
    "REFUSED": "closed",
    "CLOSED": "closed",
    "CANCELED": "cancelled",
}
#: The states of returns that say whether the pieces were received. CLOSED does not: NO_RECEPTION may have come before.
RETURN_RECEIVED: Final = {"RECEIVED": True, "NO_RECEPTION": False, "REFUSED": False, "CANCELED": False}
#: The method of a return (schema RT11, method_code) without anything that is sent back, and all methods.
RETURNLESS = "RETURN_METHOD_RETURNLESS"
RETURN_METHODS = (
    "RETURN_METHOD_BY_MAIL", "RETURN_METHOD_DROP_OFF_POINT", "RETURN_METHOD_HOME_PICKUP", "RETURN_METHOD_IN_STORE",
    RETURNLESS,
)  # fmt: skip

_SHIPPED_STATES = frozenset(state for state, status in ORDER_STATUS.items() if status is Status.SHIPPED)
_FINGERPRINT_VERSION = b"mirakl-4"


#: What stays of a record whose buyer's data is blanked. Not the additional fields, in which an operator asks for what
#: it wants, IMEIs among it; not the references that buyers give, transactions, tracking and the pick-up point.
KEPT_FIELDS = KeptFields(
    order=(
        "order_id", "commercial_id", "order_state", "created_date", "last_updated_date", "customer_debited_date",
        "acceptance_decision_date", "shipping_deadline", "leadtime_to_ship", "currency_iso_code", "price",
        "shipping_price", "total_price", "total_commission", "fully_refunded", "payment_type", "payment_workflow",
        "order_tax_mode", "shipping_type_code", "shipping_zone_code", "shipping_company", "shipping_carrier_code",
        "channel.code", "fulfillment.center.code",
        "order_lines.order_line_id", "order_lines.order_line_index", "order_lines.order_line_state",
        "order_lines.order_line_state_reason_code", "order_lines.created_date", "order_lines.last_updated_date",
        "order_lines.shipped_date", "order_lines.received_date", "order_lines.quantity", "order_lines.offer_id",
        "order_lines.offer_sku", "order_lines.offer_state_code", "order_lines.product_sku",
        "order_lines.product_title", "order_lines.category_code", "order_lines.price", "order_lines.price_unit",
        "order_lines.shipping_price", "order_lines.total_price", "order_lines.total_commission",
        "order_lines.commission_fee", "order_lines.commission_vat",
        "order_lines.refunds.id", "order_lines.refunds.quantity", "order_lines.refunds.amount",
        "order_lines.refunds.shipping_amount", "order_lines.refunds.state", "order_lines.refunds.reason_code",
        "order_lines.refunds.created_date",
        "order_lines.cancelations.id", "order_lines.cancelations.quantity", "order_lines.cancelations.amount",
        "order_lines.cancelations.reason_code", "order_lines.cancelations.created_date",
    ),
    care=(
        "id", "order_id", "order_commercial_id", "state", "method_code", "reason_code", "date_created", "last_updated",
        "return_lines.order_line_id", "return_lines.quantity",
    ),
)  # fmt: skip


class MiraklSettings(TokenSettings):
    """An account at an operator's Mirakl instance."""

    base_url: str = Field(description="The operator's instance, e.g. https://operator.mirakl.net")  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    shop_id: int | None = Field(default=None, description="The shop, where the key's user has access to several.")
    page_size: int = Field(default=100, ge=1, le=MAX_PAGE_SIZE, description="Orders per call.")
    label_document_types: list[str] = Field(
        default_factory=lambda: ["SHIPPING_LABEL", "SYSTEM_SHIPPING_LABEL"],
        description="Codes of the order documents that are shipping labels (the operator sets them); [] for none.",
    )
    imei_fields: list[str] = Field(
        default_factory=list[str],
        description="Codes of the order lines' additional fields that hold IMEIs (the operator sets them). After a "
        "change, `orders-sync redecode` reads the stored orders again.",
    )
    serial_number_fields: list[str] = Field(
        default_factory=list[str],
        description="Codes of the order lines' additional fields that hold serial numbers, likewise.",
    )


class _Orders(msgspec.Struct, gc=False):
    orders: list[msgspec.Raw]
    total_count: Any = None


class _Returns(msgspec.Struct, gc=False):
    data: list[msgspec.Raw]
    next_page_token: Any = None


class _Refund(msgspec.Struct, gc=False):
    """A refund, or a cancellation of some pieces."""

    quantity: int | None = None


class _AdditionalField(msgspec.Struct, gc=False):
    """A field that the operator defines. `value`: a text, a number, a truth value, or a list of texts."""

    code: str | None = None
    value: Any = None


class _Line(msgspec.Struct, gc=False):
    order_line_id: Annotated[str | None, ITEM_ID] = None
    quantity: Annotated[int | None, QUANTITY] = None
    offer_sku: Annotated[str | None, SKU] = None
    order_line_state: Annotated[str | None, published(LINE_STATUS)] = None
    created_date: datetime | None = None
    price: Decimal | None = None
    shipping_price: Decimal | None = None
    total_commission: Decimal | None = None
    product_title: str | None = None
    offer_id: int | str | None = None
    refunds: list[_Refund] | None = None
    cancelations: list[_Refund] | None = None
    shipped_date: datetime | None = None
    order_line_additional_fields: list[_AdditionalField] | None = None


class _Address(msgspec.Struct, gc=False):
    firstname: str | None = None
    lastname: str | None = None
    company: str | None = None
    street_1: str | None = None
    street_2: str | None = None
    zip_code: str | None = None
    city: str | None = None
    state: str | None = None
    country_iso_code: str | None = None
    country: str | None = None
    phone: str | None = None


class _Customer(msgspec.Struct, gc=False):
    firstname: str | None = None
    lastname: str | None = None
    shipping_address: _Address | None = None
    billing_address: _Address | None = None


class _Channel(msgspec.Struct, gc=False):
    code: str | None = None


class _Order(msgspec.Struct, gc=False):
    order_id: str
    order_state: Annotated[str | None, published(ORDER_STATUS)] = None
    order_lines: Annotated[list[_Line] | None, ITEMS] = None
    created_date: Annotated[datetime | None, CREATED_AT] = None
    last_updated_date: datetime | None = None
    customer_debited_date: datetime | None = None
    shipping_deadline: datetime | None = None
    currency_iso_code: str | None = None
    price: Decimal | None = None
    shipping_price: Decimal | None = None
    fully_refunded: bool | None = None
    channel: _Channel | None = None
    payment_type: str | None = None
    shipping_company: str | None = None
    shipping_tracking: str | None = None
    shipping_tracking_url: str | None = None
    customer_notification_email: str | None = None
    customer: _Customer | None = None


class _ReturnLine(msgspec.Struct, gc=False):
    order_line_id: str
    quantity: int | None = None


class _Return(msgspec.Struct, gc=False):
    id: str
    state: Annotated[str | None, published(RETURN_STATE)] = None
    date_created: datetime | None = None
    last_updated: datetime | None = None
    method_code: Annotated[str | None, published(RETURN_METHODS)] = None
    return_lines: Annotated[list[_ReturnLine] | None, CARE_ITEM] = None


class _Document(msgspec.Struct, gc=False):
    id: int | str | None = None
    order_id: str | None = None
    type: str | None = None


class _Documents(msgspec.Struct, gc=False):
    order_documents: list[msgspec.Raw]


_order_record = record_reader(
    _FINGERPRINT_VERSION, record_id="order_id", created="created_date", modified="last_updated_date"
)
_first_order_record = first_record_reader(_Orders, _order_record)
_return_record = record_reader(_FINGERPRINT_VERSION, record_id="id", created="date_created", modified="last_updated")
_decode_orders = page_decoder(_Orders, "order_id", "order_lines")
_decode_returns = page_decoder(_Returns)
_decode_order = msgspec.json.Decoder(_Order).decode
_decode_return = msgspec.json.Decoder(_Return).decode
_decode_documents = page_decoder(_Documents)
_decode_document = msgspec.json.Decoder(_Document).decode

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
    CareRecord,
    (
        "care_id", "items", "kind", "state", "marketplace_state", "opened_at", "modified_at", "closed_at", "received",
    ),
)  # fmt: skip


def open_mirakl(account: SellerAccount[MiraklSettings], page_size: int | None = None) -> "Mirakl":
    """The adapter of an account at a Mirakl instance. Raises AccountConfigError when its key is not set."""
    settings = account.settings
    client = MarketplaceClient(
        settings.base_url,
        {"Accept": "application/json", "User-Agent": "orders-sync"},
        rate_limiter_for(account, [ORDERS_USE, RETURNS_USE, PAGES]),
        auth=HeaderToken(account.credential()),
        connections=settings.limits.connections,
        penalty_seconds=PENALTY_SECONDS,
        outage_minutes=settings.limits.outage_minutes,
        answer_megabytes=settings.limits.answer_megabytes,
    )
    return Mirakl(client, settings, min(page_size or settings.page_size, MAX_PAGE_SIZE))


class Mirakl(HttpAdapter):
    """One account at a Mirakl instance; `kit.adapter.Adapter` says what each method returns."""

    # Each order that was created or paid since was also modified since: one use of OR11 instead of two.
    order_struct: type[msgspec.Struct] | None = _Order
    care_struct: type[msgspec.Struct] | None = _Return
    new_order_listings: Sequence[OrderListing] = ("modified",)
    document_limits: Sequence[RateLimit] = (PAGES,)

    def __init__(self, client: MarketplaceClient, settings: MiraklSettings, page_size: int) -> None:
        super().__init__(client)
        self.page_size = page_size
        self.connections = settings.limits.connections
        self.label_types = frozenset(settings.label_document_types)
        self.imei_fields = frozenset(settings.imei_fields)
        self.serial_number_fields = frozenset(settings.serial_number_fields)
        self.shop = [("shop_id", str(settings.shop_id))] if settings.shop_id is not None else []

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        query = dict(self.shop)
        if listing == "waiting":
            query["order_state_codes"] = "WAITING_ACCEPTANCE"
        elif since is not None:
            query["start_date" if listing == "created" else "start_update_date"] = rfc3339(since)

        def pages(part: Mapping[str, str], first_use: RateLimit = PAGES) -> FetchPage:
            def fetch(number: int, size: int) -> Page:
                offset = {"max": str(size), "offset": str((number - 1) * size)}
                limit = first_use if number == 1 and size == self.page_size else PAGES
                answer = self.client.get("/api/orders", {**query, **part, **offset}, [limit], _decode_orders)
                records = [_order_record(bytes(raw)) for raw in answer.orders]
                return offset_page(records, answer.total_count, number, size)

            return fetch

        def split(created_from: datetime | None, created_to: datetime | None) -> FetchPage | None:
            if created_from is not None:
                return pages({"start_date": rfc3339(created_from)})
            # Times in queries have whole seconds: the next one includes this one.
            return None if created_to is None else pages({"end_date": rfc3339(created_to + timedelta(seconds=1))})

        whole = read_counted(
            pages({}, ORDERS_USE),
            self.page_size,
            self.connections,
            by_offset=True,
            split=split,
            first_record=_first_order_record,
        )
        yield from check_filter(whole, listing, since, SERVER_DELTA)

    def order(self, order_id: str) -> RawRecord | None:
        # OR12 is deprecated: "please use OR11 with the query parameter 'order_ids' instead".
        answer = self.client.get("/api/orders", [*self.shop, ("order_ids", order_id)], [PAGES], _decode_orders)
        found = [_order_record(bytes(raw)) for raw in answer.orders]
        # Other orders alone show that the filter was ignored, and not that the order is gone: the first one is the
        # answer, and the sync sees that it is another order.
        return next((record for record in found if record.record_id == order_id), found[0] if found else None)

    def decode_order(self, raw: bytes) -> Order:
        order = decoded(_decode_order, raw, "Mirakl")
        state, lines, customer = order.order_state, order.order_lines, order.customer or _Customer()
        # `latest` raises for a date out of range, so that no line counts as shipped by such a date.
        shipped = [line.shipped_date for line in lines or () if line.shipped_date is not None]
        shipped_at = latest(shipped) if shipped else None
        return Order(
            order.order_id,  # order_id
            _status(ORDER_STATUS, state, shipped_at is not None),  # status
            None if lines is None else [self._item(line, order) for line in lines],  # items
            state,  # marketplace_state
            order.created_date,  # created_at
            order.last_updated_date,  # modified_at
            order.customer_debited_date,  # paid_at
            shipped_at,  # shipped_at
            order.shipping_deadline,  # dispatch_due_at
            order.currency_iso_code,  # currency
            order.price,  # items_total
            order.shipping_price,  # shipping_total
            None,  # sales_taxes
            order.channel.code if order.channel is not None else None,  # country_code
            order.payment_type,  # payment_method
            None if self.label_types else False,  # marketplace_shipping
            None,  # marketplace_delivery_note
            order.shipping_company,  # carrier
            order.shipping_tracking,  # tracking_number
            order.shipping_tracking_url,  # tracking_url
            None,  # delivery_note_url
            None,  # label_url
            order.customer_notification_email,  # buyer_email
            _address(customer.shipping_address, customer),  # shipping
            _address(customer.billing_address, customer),  # billing
            None,  # documents
        )

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        query = [*self.shop, ("limit", str(MAX_PAGE_SIZE)), ("return_last_updated_from", rfc3339(since))]

        def fetch(token: str | None) -> CursorPage:
            limit, page = (RETURNS_USE, []) if token is None else (PAGES, [("page_token", token)])
            answer = self.client.get("/api/returns", [*query, *page], [limit], _decode_returns)
            records = [_return_record(bytes(raw)) for raw in answer.data]
            return CursorPage(records, answer.next_page_token)

        yield from check_filter(read_cursor(fetch), "modified", since)

    def care_record(self, record: RawRecord) -> bytes:
        return record.raw

    def decode_care_record(self, raw: bytes) -> CareRecord:
        return_ = decoded(_decode_return, raw, "Mirakl")
        state = meaning(RETURN_STATE, return_.state, "unknown")
        check_spelling(return_.method_code, [RETURNLESS])
        return CareRecord(
            return_.id,  # care_id
            care_items((line.order_line_id, line.quantity) for line in return_.return_lines or []),  # items
            "return",  # kind
            state,  # state
            return_.state,  # marketplace_state
            return_.date_created,  # opened_at
            return_.last_updated,  # modified_at
            return_.last_updated if state in ("closed", "cancelled") else None,  # closed_at
            RETURN_RECEIVED.get(return_.state or "") if return_.method_code != RETURNLESS else False,  # received
        )

    def documents(self, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        for start in range(0, len(missing), MAX_DOCUMENT_ORDERS):
            for batch, answer in answers_for(missing[start : start + MAX_DOCUMENT_ORDERS], self._listed_documents):
                if isinstance(answer, MarketplaceError):
                    yield from ((order.order_id, answer) for order in batch)
                else:
                    yield from ((order.order_id, answer[order.order_id].answer()) for order in batch)

    def _listed_documents(self, orders: Sequence[MissingDocuments]) -> dict[str, DocumentsReading]:
        """The documents of some orders (OR72), by order id.

        Raises BadAnswerError if one of several orders has a document that does not say to which it belongs.
        """
        readings = {order.order_id: DocumentsReading() for order in orders}
        query = [*self.shop, ("order_ids", ",".join(readings))]
        decode = no_endless_tries(_decode_documents)
        for raw in self.client.get("/api/orders/documents", query, [PAGES], decode).order_documents:
            try:
                self._read_document(bytes(raw), readings)
            except RecordRejectedError as problem:
                if len(orders) > 1:
                    raise unreadable(problem) from None
                readings[orders[0].order_id].note(unreadable(problem))
        return readings

    def _read_document(self, raw: bytes, readings: Mapping[str, DocumentsReading]) -> None:
        """Reads one document into its order's. Raises RecordRejectedError if it does not say to which it belongs."""
        listed = decode_leniently(_decode_document, _Document, raw)
        document, kind = listed.value, self._kind_of(listed.value)
        if kind is None and document.type is not None:
            return
        if document.order_id is None:
            raise missing_value("order_id", "the id of the order")
        reading = readings.get(document.order_id.strip())
        if reading is None:
            return  # the filter is ignored
        with reading.attempt():
            if kind is None:
                raise missing_value("type", "the code of the document's type")
            if document.id is None:
                raise missing_value("id", "the document's id")
            document_id = str(document.id).strip()
            reading.add(Document(document_id, kind, self._download_url(document_id)), listed.flaws)

    def _kind_of(self, document: _Document) -> DocumentKind | None:
        """None for a document that is neither, e.g. an invoice."""
        if document.type == DELIVERY_BILL:
            return DocumentKind.DELIVERY_NOTE
        return DocumentKind.LABEL if document.type in self.label_types else None

    def _download_url(self, document_id: str) -> str:
        """The URL of a document (OR73); its download needs the account's key."""
        query = urlencode([("document_ids", document_id), *self.shop])
        return f"{self.client.base_url}/api/orders/documents/download?{query}"

    def _item(self, line: _Line, order: _Order) -> OrderItem:
        return _item(line, order, self.imei_fields, self.serial_number_fields)

    def accept(self, target: AcceptanceTarget, item_ids: Sequence[str]) -> AcceptanceAnswer:
        return self._decide(target, item_ids, ())

    def refuse(
        self, target: AcceptanceTarget, item_ids: Sequence[str], accepted_ids: Sequence[str] = ()
    ) -> AcceptanceAnswer:
        return self._decide(target, accepted_ids, item_ids)

    def _decide(
        self, target: AcceptanceTarget, accepted_ids: Sequence[str], refused_ids: Sequence[str]
    ) -> AcceptanceAnswer:
        # OR21 requires a decision about every line that waits ("ORDER_LINE_ACCEPTANCE_DECISION_MISSING").
        decisions = [(item_id, True) for item_id in accepted_ids] + [(item_id, False) for item_id in refused_ids]
        body = {"order_lines": [{"id": item_id, "accepted": accepted} for item_id, accepted in decisions]}
        status = self.client.put(f"/api/orders/{path_part(target.order_id)}/accept", self.shop, body, [PAGES])
        return AcceptanceAnswer(status, None)  # 204: no content

    def probes(self) -> Mapping[str, Callable[[], object]]:
        one = [*self.shop, ("max", "1"), ("order_state_codes", "WAITING_ACCEPTANCE")]
        returns = [*self.shop, ("limit", "1"), ("return_state", "WAITING_ACCEPTANCE")]
        documents = [*self.shop, ("order_ids", "orders-sync-probe")]
        return {
            "OR11 GET /api/orders": lambda: self.client.get("/api/orders", one, [PAGES], _decode_orders),
            "OR72 GET /api/orders/documents": lambda: self.client.get(
                "/api/orders/documents", documents, [PAGES], _decode_documents
            ),
            "RT11 GET /api/returns": lambda: self.client.get("/api/returns", returns, [PAGES], _decode_returns),
        }


def _item(line: _Line, order: _Order, imei_fields: Collection[str], serial_number_fields: Collection[str]) -> OrderItem:
    state = line.order_line_state if line.order_line_state is not None else order.order_state
    is_shipped = line.shipped_date is not None or order.order_state in _SHIPPED_STATES
    status = _status(LINE_STATUS, state, is_shipped)
    if order.fully_refunded and line.refunds:
        status = REFUNDED.get(status, status)
    return OrderItem(
        line.order_line_id or "",  # item_id
        line.offer_sku or "",  # sku
        line.quantity,  # quantity
        status,  # status
        line.order_line_state,  # marketplace_state
        line.created_date,  # created_at
        order.currency_iso_code,  # currency
        line.price,  # price
        line.shipping_price,  # shipping_price
        line.total_commission,  # fee
        line.product_title,  # product
        None if line.offer_id is None else str(line.offer_id),  # listing_id
        _device_numbers(line, imei_fields),  # imeis
        _device_numbers(line, serial_number_fields),  # serial_numbers
        ItemKind.GOODS,  # kind
        None,  # cancelled
        None,  # shipped
        _refunded_pieces(line),  # refunded
        None,  # returned
        _shipments(line),  # shipments
    )


def _device_numbers(line: _Line, codes: Collection[str]) -> tuple[str, ...] | None:
    """The numbers in the additional fields with these codes: of several pieces, by comma and so on."""
    if not codes:
        return None
    values = [field.value for field in line.order_line_additional_fields or () if field.code in codes]
    texts = [text for value in values for text in (cast(list[Any], value) if isinstance(value, list) else [value])]
    return device_numbers(
        number for text in texts if isinstance(text, str | int) for number in re.split(r"[,;|\n]", str(text))
    )


def _shipments(line: _Line) -> tuple[Shipment, ...] | None:
    """A line ships as a whole, at one time."""
    return (Shipment(line.quantity, line.shipped_date),) if line.shipped_date is not None and line.quantity else None


def _refunded_pieces(line: _Line) -> int | None:
    """The pieces that were refunded or cancelled; both numbers are informative only, by the contract.

    It does not say whether the line's quantity includes them: so they are reported, and stay locked until they ship.
    """
    if not line.refunds and not line.cancelations:
        return None
    numbers = [each.quantity for each in (*(line.refunds or ()), *(line.cancelations or ()))]
    return sum(number for number in numbers if number) or None


def _status(table: Mapping[str, Status], state: str | None, is_shipped: bool) -> Status:
    if state in NOT_SHIPPED_STATUS and not is_shipped:
        return NOT_SHIPPED_STATUS[state]
    return meaning(table, state, Status.UNKNOWN)


def _address(address: _Address | None, customer: _Customer) -> Address:
    """An address; only the buyer's name while the operator hides it (before shipping or acceptance, as it chose)."""
    if address is None:
        return Address(customer.firstname, customer.lastname)
    return Address(
        address.firstname or customer.firstname,  # first_name
        address.lastname or customer.lastname,  # last_name
        address.company,  # company
        address.street_1,  # street
        address.street_2,  # street2
        address.zip_code,  # postal_code
        address.city,  # city
        address.state,  # state
        address.country_iso_code or address.country,  # country
        address.phone,  # phone
    )


MARKETPLACE = RegisteredMarketplace(
    title="Mirakl",
    settings=MiraklSettings,
    open=open_mirakl,
    rate_limits=(ORDERS_USE, RETURNS_USE, PAGES),
    status_tables={
        "order": ORDER_STATUS,
        "order line": LINE_STATUS,
        "order or order line of which nothing was shipped": NOT_SHIPPED_STATUS,
    },
    document_access={
        kind: DocumentAccess(True, "The download (OR73) has the security Shop-API-Key.") for kind in DocumentKind
    },
    kept_fields=KEPT_FIELDS,
    acceptance_unit=lambda _: "order",
    refusal_unit="order",
    notes=(
        "INCIDENT_OPEN and the refunds say nothing about the shipping: a line counts as shipped if it has a shipping "
        "date, or if its order is shipped. A line in another state counts as refunded if it has a refund and its order "
        "is refunded in full; its state says whether before or after shipping. One request (OR21) accepts or refuses "
        "all waiting lines of an order, since it has to decide about each. The delivery note is OR72's document of "
        "type SYSTEM_DELIVERY_BILL; which documents are labels is a setting, `label_document_types`. ST11 is not "
        "used: OR11 has carrier, tracking and shipping dates. Returns (RT11) are care records of kind `return`."
    ),
)
