"""The fake Back Market follows the published contract, field by field, in its errors too."""

import io
from datetime import datetime
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pypdf import PdfReader

from orders_sync.testing.marketplace import TOKEN, Marketplace, an_order

HEADERS = {
    "Authorization": f"Basic {TOKEN}",
    "User-Agent": "BM-Tests-Contract;tests@example.com",
    "Accept-Language": "fr-fr",
}
OrderState = Literal[0, 10, 1, 3, 8, 9]
LineState = Literal[0, 9, 8, 1, 2, 3, 4, 5, 6, 7]


class _Published(BaseModel):
    """A schema of the contract: no field but those published, each of its type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Address(_Published):
    id: int = 0
    country: str = ""
    city: str = ""
    postalCode: str = ""
    firstName: str = ""
    lastName: str = ""
    company: str = ""
    phoneNumber: str = ""
    state: str = ""
    street: str = ""
    street2: str = ""


class OrderLine(_Published):
    id: int
    date_creation: str
    state: LineState
    price: str
    shipping_price: str
    shipping_delay: int
    currency: str
    return_reason: int
    return_message: str
    listing: str
    listing_id: int
    orderline_fee: str
    product: str
    quantity: int
    brand: str
    product_id: int
    backcare: bool
    backcare_price: int
    sales_taxes: str
    imei: str
    serial_number: str
    condition: Literal[9, 10, 11, 12]


class Order(_Published):
    order_id: int
    shipping_address: Address
    billing_address: Address
    delivery_note: str = ""
    expected_dispatch_date: str
    tracking_number: str
    tracking_url: str = ""
    shipper_display: str
    is_backship: bool
    date_creation: str
    date_modification: str
    date_shipping: str = ""
    date_payment: str = ""
    state: OrderState
    orderlines: list[OrderLine]
    price: str
    shipping_price: str
    currency: str
    country_code: str
    paypal_reference: str | None
    installment_payment: bool
    payment_method: str
    sales_taxes: str


class OrderList(_Published):
    count: int
    next: str | None
    previous: str | None
    results: list[Order]


class CareFolder(_Published):
    id: int
    client: int
    merchant: int
    orderline: int
    date_creation: str
    date_modification: str
    date_last_message: str
    date_closed: str = ""
    state: Literal[0, 9]
    lines: list[int]
    country_code: str
    backcare: bool


class CareList(_Published):
    count: int
    next: str
    previous: str
    results: list[CareFolder]


class PickupInfo(_Published):
    confirmationNumber: str
    datePickupActual: str
    datePickupRangeStart: str
    datePickupRangeEnd: str
    datePickupRequested: str
    isCanceled: bool
    pickupId: int


class Delivery(_Published):
    order: int
    shipmentId: int
    carrierId: int
    orderlines: list[int]
    referenceNumber: str
    trackingNumber: str
    trackingUrl: str
    carrierName: str
    hubScanned: bool
    invoicedCurrency: str
    invoicedPrice: int
    datePickup: str
    dateCreation: str
    dateDelivery: str
    labelUrl: str
    type: str
    pickupInfo: PickupInfo


class DeliveryList(_Published):
    count: int
    next: str | None
    previous: str | None
    results: list[Delivery]


@pytest.fixture
def client(living_marketplace: Marketplace):
    with httpx.Client(base_url=living_marketplace.url, headers=HEADERS, trust_env=False) as opened:
        yield opened


def _all(client: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    page, found = 1, []
    while True:
        answer = client.get(path, params={**params, "page": page}).json()
        found += answer["results"]
        if answer["next"] in (None, "null"):
            return found
        page += 1


def test_every_order_has_the_published_form(client: httpx.Client) -> None:
    for page in range(1, 6):
        TypeAdapter(OrderList).validate_python(client.get("/ws/orders", params={"page": page, "page-size": 50}).json())
    first = client.get("/ws/orders").json()
    assert len(first["results"]) == 10
    Order.model_validate(client.get(f"/ws/orders/{first['results'][0]['order_id']}").json())
    for order in first["results"]:
        assert datetime.fromisoformat(order["date_creation"]).tzinfo
        assert datetime.fromisoformat(order["expected_dispatch_date"]).tzinfo is None


def test_the_filters_filter(client: httpx.Client, living_marketplace: Marketplace) -> None:
    orders = _all(client, "/ws/orders", **{"page-size": 50})
    assert not {order["state"] for order in orders} & {0, 8}
    middle = sorted(order["date_modification"] for order in orders)[len(orders) // 2]
    modified = _all(client, "/ws/orders", date_modification=middle, **{"page-size": 50})
    assert sorted(o["order_id"] for o in modified) == sorted(
        o["order_id"] for o in orders if o["date_modification"] >= middle
    )
    german = _all(client, "/ws/orders", country_code="de-de", **{"page-size": 50})
    assert {order["country_code"] for order in german} == {"de-de"}
    waiting = _all(client, "/ws/orders", state=1)
    assert {order["state"] for order in waiting} == {1}
    assert {order["order_id"] for order in waiting} == {order["order_id"] for order in orders if order["state"] == 1}
    assert client.get("/ws/orders", params={"page-size": 51}).status_code == 400


def test_care_folders_have_the_published_form_and_ten_a_page(client: httpx.Client) -> None:
    answer = client.get("/ws/sav").json()
    TypeAdapter(CareList).validate_python(answer)
    assert answer["count"] == len(answer["results"]) <= 10
    assert answer["previous"] == "null"
    folder = answer["results"][0]
    detail = client.get(f"/ws/sav/{folder['id']}").json()
    assert detail["orderline"]["id"] == folder["orderline"]
    assert set(detail) <= {"backcare", "client", "country_code", "date_closed", "date_creation", "date_last_message",
                           "date_modification", "id", "lines", "merchant", "messages", "orderline", "state"}  # fmt: skip
    late = client.get("/ws/sav", params={"last_modification_date": "2099-01-01-00-00"}).json()
    assert late["results"] == []
    ids = sorted(each["id"] for each in _all(client, "/ws/sav"))
    middle = ids[len(ids) // 2 - 1]
    later = [each["id"] for each in _all(client, "/ws/sav", last_id=middle)]
    assert sorted(later) == [each for each in ids if each > middle] != []


def test_deliveries_have_the_published_form(client: httpx.Client) -> None:
    answer = client.get("/ws/shipping/v1/deliveries").json()
    TypeAdapter(DeliveryList).validate_python(answer)
    order = answer["results"][0]["order"]
    mine = client.get("/ws/shipping/v1/deliveries", params={"order_id": order}).json()["results"]
    assert [delivery["order"] for delivery in mine] == [order]
    assert mine[0]["labelUrl"].startswith("/static/")
    error = client.get("/ws/shipping/v1/deliveries", params={"order_id": "x"})
    assert (error.status_code, error.json()["error"]["code"]) == (422, "E009")


def test_documents_are_pdfs_that_open_without_the_credential(client: httpx.Client) -> None:
    """The contract names no credential for their URLs."""
    delivery = client.get("/ws/shipping/v1/deliveries").json()["results"][0]
    order = client.get(f"/ws/orders/{delivery['order']}").json()
    assert [order["delivery_note"]] == [
        each["delivery_note"] for each in _all(client, "/ws/orders") if each["order_id"] == order["order_id"]
    ]
    for url, title in ((order["delivery_note"], "Delivery note"), (delivery["labelUrl"], "Shipping label")):
        content = httpx.get(client.base_url.join(url), trust_env=False).content
        (page,) = PdfReader(io.BytesIO(content)).pages
        assert page.extract_text().startswith(f"{title} {order['order_id']}")
    assert client.get("/static/shipment_labels/eu-1-1.pdf").status_code == 404


def test_the_mandatory_headers_are_mandatory_and_errors_come_in_three_envelopes(client: httpx.Client) -> None:
    assert "error" in client.get("/ws/orders", headers={"Authorization": "Basic wrong"}).json()
    blocked = client.get("/ws/orders", headers={"User-Agent": "curl/8"})
    assert (blocked.status_code, blocked.headers["content-type"][:9]) == (403, "text/html")
    assert "errors" in client.get("/ws/orders", headers={"Accept-Language": "french"}).json()
    missing = client.get("/ws/orders/1")
    assert (missing.status_code, missing.json()["type"]) == (404, "/errors/not-found")


def test_a_line_is_accepted_once(client: httpx.Client, living_marketplace: Marketplace) -> None:
    an_order(living_marketplace, 1, state=1, line_state=1)
    body = {"order_id": 1, "new_state": 2, "sku": "PHONE"}
    accepted = client.post("/ws/orders/1", json=body)
    assert (accepted.status_code, accepted.json()["orderlines"][0]["state"]) == (200, 2)
    assert client.post("/ws/orders/1", json=body).status_code == 400


def test_the_body_of_an_acceptance_names_the_order_of_the_url_in_either_form(
    client: httpx.Client, living_marketplace: Marketplace
) -> None:
    """Schema UpdateOrder requires `id` and describes `order_id`."""
    for number, body in enumerate([{"id": 1}, {"order_id": 2}, {"id": 3, "order_id": 3}], 1):
        an_order(living_marketplace, number, state=1, line_state=1)
        assert client.post(f"/ws/orders/{number}", json={"new_state": 2, **body}).status_code == 200
    an_order(living_marketplace, 4, state=1, line_state=1)
    for body in ({"id": 5}, {"id": 4, "order_id": 5}):
        assert client.post("/ws/orders/4", json={"new_state": 2, **body}).status_code == 400
    assert client.get("/ws/orders/4").json()["orderlines"][0]["state"] == 1
