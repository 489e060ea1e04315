"""The fake Mirakl follows the published contract, field by field: all that it requires, and nothing that it forbids."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pypdf import PdfReader

from orders_sync.config.sandbox_credentials import SANDBOX_CREDENTIALS
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.testing.marketplace import Marketplace

OrderState = Literal[
    "STAGING", "WAITING_ACCEPTANCE", "WAITING_DEBIT", "WAITING_DEBIT_PAYMENT", "SHIPPING", "SHIPPED", "TO_COLLECT",
    "RECEIVED", "CLOSED", "REFUSED", "CANCELED",
]  # fmt: skip


class _Published(BaseModel):
    """A schema of the contract: no field but those published, each of its type; one with a default may be absent."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Address(_Published):
    firstname: str = ""
    lastname: str
    street_1: str
    zip_code: str = ""
    city: str
    country: str
    country_iso_code: str
    phone: str = ""


class Customer(_Published):
    customer_id: str
    firstname: str
    lastname: str
    #: Required, and "Null before shipping (or acceptance, depending on platform setting)".
    shipping_address: Address | None
    billing_address: Address | None


class CommissionTax(_Published):
    amount: float
    code: str
    rate: float


class RefundedTax(_Published):
    amount: float
    code: str


class Refund(_Published):
    id: str
    order_refund_id: str
    amount: float = 0
    quantity: int
    commission_amount: float
    commission_tax_amount: float
    commission_taxes: list[RefundedTax]
    commission_total_amount: float
    created_date: str
    reason_code: str
    refund_state: Literal["WAITING_REFUND_TAX_CONFIRMATION", "WAITING_REFUND", "WAITING_REFUND_PAYMENT", "REFUNDED"]
    state: Literal["WAITING_REFUND", "WAITING_REFUND_PAYMENT", "REFUNDED"]


class Media(_Published):
    media_url: str
    mime_type: str
    type: str


class OrderLine(_Published):
    can_refund: bool
    cancelations: list[Any]
    category_code: str
    category_label: str
    commission_fee: float
    commission_rate_vat: float
    commission_taxes: list[CommissionTax]
    commission_vat: float
    created_date: str
    description: str
    last_updated_date: str
    offer_id: int
    offer_sku: str
    offer_state_code: str
    order_line_additional_fields: list[Any]
    order_line_id: str
    order_line_index: int
    order_line_state: OrderState
    price: float
    price_unit: float
    product_medias: list[Media]
    product_sku: str
    product_title: str
    quantity: int
    refunds: list[Refund]
    shipped_date: str = ""
    shipping_price: float
    total_commission: float
    total_price: float


class Code(_Published):
    code: str


class Fulfillment(_Published):
    center: Code


class Channel(_Published):
    code: str
    label: str


class Order(_Published):
    can_cancel: bool
    can_shop_ship: bool
    channel: Channel
    commercial_id: str
    created_date: str
    currency_iso_code: str
    customer: Customer
    customer_debited_date: str = ""
    customer_notification_email: str = ""
    fulfillment: Fulfillment
    fully_refunded: bool
    has_customer_message: bool
    has_incident: bool
    has_invoice: bool
    last_updated_date: str
    leadtime_to_ship: int
    order_id: str
    order_lines: list[OrderLine]
    order_state: OrderState
    order_tax_mode: Literal["TAX_INCLUDED", "TAX_EXCLUDED"]
    paymentType: str
    payment_type: str
    payment_workflow: str
    price: float
    shipping_company: str
    shipping_deadline: str
    shipping_price: float
    shipping_tracking: str = ""
    shipping_tracking_url: str = ""
    shipping_type_code: str
    shipping_type_label: str
    shipping_zone_code: str
    shipping_zone_label: str
    total_commission: float
    total_price: float


class OrderList(_Published):
    orders: list[Order]
    total_count: int


class Document(_Published):
    id: int
    order_id: str
    type: str
    file_name: str
    file_size: int
    date_uploaded: str


class DocumentList(_Published):
    order_documents: list[Document]
    total_count: int


class ReturnAddress(_Published):
    city: str
    country_iso_code: str
    street1: str
    zip_code: str


class ReturnLine(_Published):
    order_line_id: str
    quantity: int
    reason_code: str


class Return(_Published):
    id: str
    order_id: str
    order_commercial_id: str
    state: Literal["WAITING_ACCEPTANCE", "IN_PROGRESS", "REFUSED", "RECEIVED", "NO_RECEPTION", "CLOSED", "CANCELED"]
    date_created: str
    last_updated: str
    method_code: str
    reason_code: str
    return_address: ReturnAddress
    return_lines: list[ReturnLine]
    documents: list[Any]


class ReturnList(_Published):
    data: list[Return]
    next_page_token: str = ""
    previous_page_token: str = ""


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with Marketplace(FakeMirakl, orders=300, days=30, arrivals_per_day=300) as marketplace:
        marketplace.pass_time(hours=3)
        key = {"Authorization": SANDBOX_CREDENTIALS["MIRAKL_SANDBOX_KEY"]}
        with httpx.Client(base_url=marketplace.url, headers=key, trust_env=False) as opened:
            yield opened


def orders(client: httpx.Client) -> list[Order]:
    first = TypeAdapter(OrderList).validate_python(client.get("/api/orders", params={"max": 100}).json())
    found = first.orders
    while len(found) < first.total_count:
        answer = client.get("/api/orders", params={"max": 100, "offset": len(found)}).json()
        found += TypeAdapter(OrderList).validate_python(answer).orders
    return found


def test_every_order_has_the_published_form(client: httpx.Client) -> None:
    found = orders(client)
    lines = [line for order in found for line in order.order_lines]
    assert {order.customer.shipping_address is None for order in found} == {True, False}
    assert {bool(line.refunds) for line in lines} == {True, False}
    assert {bool(line.shipped_date) for line in lines} == {True, False}


def test_the_amounts_of_an_order_are_the_sums_of_its_lines(client: httpx.Client) -> None:
    found = [order for order in orders(client) if len(order.order_lines) > 1]
    assert found
    for order in found:
        for name in ("price", "shipping_price", "total_price", "total_commission"):
            assert getattr(order, name) == pytest.approx(sum(getattr(line, name) for line in order.order_lines)), name


def test_documents_and_returns_have_the_published_form(client: httpx.Client) -> None:
    ids = ",".join(order.order_id for order in orders(client)[:50])
    answer = client.get("/api/orders/documents", params={"order_ids": ids}).json()
    assert TypeAdapter(DocumentList).validate_python(answer).order_documents
    first = TypeAdapter(ReturnList).validate_python(client.get("/api/returns", params={"limit": 2}).json())
    assert len(first.data) == 2
    second = client.get("/api/returns", params={"limit": 2, "page_token": first.next_page_token}).json()
    assert TypeAdapter(ReturnList).validate_python(second).previous_page_token


def test_an_order_is_fully_refunded_once_all_its_remaining_lines_are(client: httpx.Client) -> None:
    """Its lines that are cancelled do not remain."""
    found = orders(client)
    for order in found:
        remaining = [line for line in order.order_lines if line.order_line_state not in ("CANCELED", "REFUSED")]
        assert order.fully_refunded == (bool(remaining) and all(line.refunds for line in remaining)), order.order_id
    assert {order.fully_refunded for order in found} == {True, False}


def decide(client: httpx.Client, order: Order, *accepted: bool) -> httpx.Response:
    """OR21: accepts or refuses the first lines of an order."""
    lines = [
        {"id": line.order_line_id, "accepted": yes} for line, yes in zip(order.order_lines, accepted, strict=False)
    ]
    return client.put(f"/api/orders/{order.order_id}/accept", json={"order_lines": lines})


def test_documents_are_downloaded_with_the_key_only_and_several_as_an_archive(client: httpx.Client) -> None:
    """OR73."""
    ids = ",".join(order.order_id for order in orders(client)[:40])
    listed = client.get("/api/orders/documents", params={"order_ids": ids}).json()["order_documents"]
    by_kind = {document["type"]: document for document in listed}
    note, label = by_kind["SYSTEM_DELIVERY_BILL"], by_kind["SHIPPING_LABEL"]
    path = "/api/orders/documents/download"
    one = client.get(path, params={"document_ids": note["id"]})
    assert one.headers["content-type"] == "application/octet-stream"
    assert len(one.content) == note["file_size"]
    (page,) = PdfReader(io.BytesIO(one.content)).pages
    assert page.extract_text().startswith("Delivery note")
    both = client.get(path, params={"document_ids": f"{note['id']},{label['id']}"})
    with zipfile.ZipFile(io.BytesIO(both.content)) as archive:
        assert archive.namelist() == [f"{each['order_id']}/{each['file_name']}" for each in (note, label)]
        assert archive.read(archive.namelist()[0]) == one.content
    assert client.get(path, params={"document_ids": "10"}).status_code == 404
    assert client.get(path).status_code == 400
    without = httpx.get(client.base_url.join(path), params={"document_ids": note["id"]}, trust_env=False)
    assert without.status_code == 401


def test_the_lines_of_an_order_are_accepted_or_refused_once_and_together(client: httpx.Client) -> None:
    of_two, *others = sorted(
        (order for order in orders(client) if order.order_state == "WAITING_ACCEPTANCE"),
        key=lambda order: len(order.order_lines) != 2,
    )
    assert len(of_two.order_lines) == 2
    assert decide(client, of_two, True).json() == {"message": "ORDER_LINE_ACCEPTANCE_DECISION_MISSING", "status": 400}
    accepted = decide(client, of_two, True, False)
    assert (accepted.status_code, accepted.content) == (204, b"")
    assert decide(client, of_two, True, False).json()["message"] == "ORDER_INVALID_STATE"
    refused = next(order for order in others if len(order.order_lines) == 1)
    assert decide(client, refused, False).status_code == 204
    now = {order.order_id: order for order in orders(client)}
    assert [line.order_line_state for line in now[of_two.order_id].order_lines] == ["SHIPPING", "REFUSED"]
    assert (now[of_two.order_id].order_state, now[refused.order_id].order_state) == ("SHIPPING", "REFUSED")
    unknown = client.put("/api/orders/Order_0-A/accept", json={"order_lines": []})
    assert (unknown.status_code, unknown.json()["message"]) == (404, "ORDER_NOT_FOUND")


def test_an_order_that_a_test_put_in_is_accepted_too() -> None:
    with Marketplace(FakeMirakl) as marketplace:
        lines = [{"order_line_id": "Order_1-A-1", "order_line_state": "WAITING_ACCEPTANCE"}]
        order = {"order_id": "Order_1-A", "order_state": "WAITING_ACCEPTANCE", "order_lines": lines}
        marketplace.world.scripted["Order_1-A"] = order
        answer = httpx.put(
            f"{marketplace.url}/api/orders/Order_1-A/accept",
            json={"order_lines": [{"id": "Order_1-A-1", "accepted": True}]},
            headers={"Authorization": SANDBOX_CREDENTIALS["MIRAKL_SANDBOX_KEY"]},
            trust_env=False,
        )
        assert answer.status_code == 204
        assert (marketplace.listed()[0]["order_state"], lines[0]["order_line_state"]) == ("SHIPPING", "SHIPPING")
        assert marketplace.sandbox.writes == [
            {"order_id": "Order_1-A", "order_lines": {"Order_1-A-1": True}, "problem": None}
        ]
