"""The fake refurbed follows the published contract, field by field. The contract requires no field of its answers."""

import io
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pypdf import PdfReader

from orders_sync.config.sandbox_credentials import SANDBOX_CREDENTIALS
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.marketplace import Marketplace

ItemState = Literal["UNSPECIFIED", "NEW", "REJECTED", "CANCELLED", "ACCEPTED", "SHIPPED", "RETURNED"]
OrderState = ItemState | Literal["FULFILLED", "UNFULFILLED", "PARTIALLY_FULFILLED"]


class _Published(BaseModel):
    """A definition of the contract: no field but those published, each of its type; ids are int64 as text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Address(_Published):
    first_name: str
    family_name: str
    entity: Literal["UNSPECIFIED"]
    country_code: str
    post_code: str
    town: str
    street_name: str
    house_no: str
    phone_number: str


class OfferData(_Published):
    offer_id: str
    offer_grading: Literal["UNSPECIFIED", "A", "B", "C", "AA"]
    shipping_costs: str


class OrderItem(_Published):
    id: str
    order_id: str
    name: str
    state: ItemState
    sku: str
    currency_code: Literal["EUR"]
    total_charged: str
    total_paid: str
    total_refunded: str
    settlement_total_commission: str
    taxation: Literal["UNSPECIFIED", "GROSS", "MARGINAL", "NET"]
    offer_data: OfferData
    parcel_tracking_url: str
    item_identifiers: list[Any]


class Order(_Published):
    id: str
    released_at: str
    state: OrderState
    labels: list[Any]
    customer_email: str
    shipping_address: Address
    invoice_address: Address
    currency_code: Literal["EUR"]
    settlement_currency_code: Literal["EUR"]
    settlement_exchange_rate: str
    total_charged: str
    total_discount: str
    total_paid: str
    total_refunded: str
    total_vat_charged: str
    has_invoice: bool
    items: list[OrderItem]
    payment_method: Literal["PAYPAL", "STRIPE_CARDS"]


class ListOrdersResponse(_Published):
    orders: list[Order]
    has_more: bool


class GetOrderResponse(_Published):
    order: Order


class PrinterUrls(_Published):
    top_left: str


class TrackingData(_Published):
    carrier: str
    tracking_number: str


class ShippingLabel(_Published):
    id: str
    label_printer_url: str
    normal_printer_urls: PrinterUrls
    tracking_data: TrackingData


class ListShippingLabelsResponse(_Published):
    shipping_labels: list[ShippingLabel]


class UpdateOrderItemStateResponse(_Published):
    order_item: OrderItem


class OrderItemReturn(_Published):
    id: str
    order_id: str
    order_item_id: str
    return_initiated_at: str
    delivered_at: str = ""
    state: Literal["UNSPECIFIED", "UNKNOWN", "INITIATED", "IN_TRANSIT", "DELIVERED", "REFUNDED", "CONCLUDED"]
    tracking_number: str


class ListOrderItemReturnsResponse(_Published):
    returns: list[OrderItemReturn]
    has_more: bool


class MarketplaceOrderItem(_Published):
    order_item_id: str
    order_id: str


class Customer(_Published):
    email: str
    name: str


class Ticket(_Published):
    id: str
    status: Literal["UNSPECIFIED", "OPEN", "PENDING", "SOLVED", "CLOSED"]
    created_at: str
    updated_at: str
    marketplace_order_item: MarketplaceOrderItem
    topic_slug: str
    country: str
    customer: Customer


class ListTicketsResponse(_Published):
    tickets: list[Ticket]
    has_more: bool


class Status(_Published):
    """google.rpc.Status."""

    code: int
    message: str
    details: list[Any]


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with Marketplace(FakeRefurbed, orders=300, days=30, arrivals_per_day=300) as marketplace:
        marketplace.pass_time(hours=3)
        token = {"Authorization": f"Plain {SANDBOX_CREDENTIALS['REFURBED_SANDBOX_TOKEN']}"}
        with httpx.Client(base_url=marketplace.url, headers=token, trust_env=False) as opened:
            yield opened


def call(client: httpx.Client, method: str, body: dict[str, Any], status: int = 200) -> Any:
    answer = client.post(f"/refb.merchant.v1.{method}", json=body)
    assert answer.status_code == status
    return answer.json()


def orders(client: httpx.Client) -> list[Order]:
    found: list[Order] = []
    while True:
        cursor = {"starting_after": found[-1].id} if found else {}
        answer = call(client, "OrderService/ListOrders", {"pagination": {"limit": 100, **cursor}})
        page = TypeAdapter(ListOrdersResponse).validate_python(answer)
        found += page.orders
        if not page.has_more:
            return found


def test_every_order_has_the_published_form(client: httpx.Client) -> None:
    found = orders(client)
    assert {order.state for order in found} >= {"NEW", "ACCEPTED", "SHIPPED", "CANCELLED"}
    one = call(client, "OrderService/GetOrder", {"id": found[0].id})
    assert TypeAdapter(GetOrderResponse).validate_python(one).order == found[0]


def test_labels_returns_and_tickets_have_the_published_form(client: httpx.Client) -> None:
    shipped = next(order for order in orders(client) if order.state == "SHIPPED")
    labels = call(client, "OrderService/ListShippingLabels", {"order_id": shipped.id})
    assert TypeAdapter(ListShippingLabelsResponse).validate_python(labels).shipping_labels
    returns = TypeAdapter(ListOrderItemReturnsResponse).validate_python(
        call(client, "OrderItemReturnService/ListOrderItemReturns", {})
    )
    assert returns.returns
    assert TypeAdapter(ListTicketsResponse).validate_python(call(client, "TicketService/ListTickets", {})).tickets


def test_a_labels_urls_open_without_the_credential_until_they_expire() -> None:
    with Marketplace(FakeRefurbed, orders=300, days=30) as marketplace:
        key = {"Authorization": f"Plain {SANDBOX_CREDENTIALS['REFURBED_SANDBOX_TOKEN']}"}
        with httpx.Client(base_url=marketplace.url, headers=key, trust_env=False) as client:
            shipped = next(order for order in orders(client) if order.state == "SHIPPED")
            answer = call(client, "OrderService/ListShippingLabels", {"order_id": shipped.id})
        label = answer["shipping_labels"][0]
        urls = [label["label_printer_url"], label["normal_printer_urls"]["top_left"]]
        zpl, pdf = (httpx.get(url, trust_env=False).content for url in urls)
        assert zpl.startswith(b"^XA")
        assert zpl.rstrip().endswith(b"^XZ")
        (page,) = PdfReader(io.BytesIO(pdf)).pages
        assert page.extract_text().startswith(f"Shipping label {shipped.id}")
        assert httpx.get(urls[0].replace("signature=", "signature=0"), trust_env=False).status_code == 403
        marketplace.pass_time(hours=25)
        assert [httpx.get(url, trust_env=False).status_code for url in urls] == [403, 403]


def test_an_item_is_accepted_once_and_errors_have_the_published_form(client: httpx.Client) -> None:
    item = next(order for order in orders(client) if order.state == "NEW").items[0]
    assert item.state == "NEW"
    body, method = {"id": item.id, "state": "ACCEPTED"}, "OrderItemService/UpdateOrderItemState"
    accepted = TypeAdapter(UpdateOrderItemStateResponse).validate_python(call(client, method, body))
    assert accepted.order_item.state == "ACCEPTED"
    for error in (call(client, method, body, 400), call(client, method, {"id": "1"}, 404)):
        assert TypeAdapter(Status).validate_python(error).code in (3, 5)
