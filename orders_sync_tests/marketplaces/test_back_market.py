"""Back Market's published contract (OpenAPI 0.1.1): every field, the two tables of states, Care folders."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orders_sync.marketplaces.back_market import ITEM_STATUS, ORDER_STATUS
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.statuses import Status
from orders_sync_tests.marketplaces.field_mapping import address, assert_mapped, day, day_text


def _address(prefix: str) -> dict[str, Any]:
    """Schema Address."""
    return {
        "id": 1, "firstName": f"{prefix} first_name", "lastName": f"{prefix} last_name", "company": f"{prefix} company",
        "street": f"{prefix} street", "street2": f"{prefix} street2", "postalCode": f"{prefix} postal_code",
        "city": f"{prefix} city", "state": f"{prefix} state", "country": f"{prefix} country",
        "phoneNumber": f"{prefix} phone",
    }  # fmt: skip


#: Schemas Order and OrderLine, each field with a value of its own.
ORDER: dict[str, Any] = {
    "order_id": 5978, "state": 9, "date_creation": day_text(1), "date_modification": day_text(2),
    "date_payment": day_text(3), "date_shipping": day_text(4), "expected_dispatch_date": "2026-03-05T10:30:00",
    "currency": "EUR", "price": "299.25", "shipping_price": "5.99", "sales_taxes": "25.80", "country_code": "fr-fr",
    "payment_method": "PAYPAL", "is_backship": True, "shipper_display": "Colissimo", "tracking_number": "T-1",
    "tracking_url": "https://example.com/track", "delivery_note": "https://example.com/note.pdf",
    "paypal_reference": "PP-1", "installment_payment": False,
    "shipping_address": _address("shipping"), "billing_address": _address("billing"),
    "orderlines": [
        {
            "id": 37195, "state": 2, "date_creation": day_text(6), "price": "229.00", "shipping_price": "1.50",
            "currency": "USD", "orderline_fee": "22.90", "listing": "IPHONE416GONLIB0", "listing_id": 142,
            "product": "Apple iPhone 4", "quantity": 2, "brand": "apple", "product_id": 141, "imei": "011415009346880",
            "serial_number": "SN-1", "sales_taxes": "3.20", "backcare_price": 500, "shipping_delay": 48,
        }
    ],
}  # fmt: skip


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    """Opened without calls: only its decoding is used."""
    settings = {"marketplace": "back_market", "token": "BACK_MARKET_SANDBOX_TOKEN", "limits": {"enforced": False}}
    opened = open_adapter(account_from("shop", settings, "defs.yaml"))
    yield opened
    opened.close()


def test_every_field_of_an_order_is_mapped(adapter: Adapter) -> None:
    order = adapter.decode_order(json.dumps(ORDER).encode())
    assert order.items is not None
    assert_mapped(
        order,
        {
            "order_id": "5978", "status": Status.SHIPPED, "items": order.items, "marketplace_state": "9",
            "created_at": day(1), "modified_at": day(2), "paid_at": day(3), "shipped_at": day(4),
            "dispatch_due_at": day(5), "currency": "EUR", "items_total": "299.25", "shipping_total": "5.99",
            "sales_taxes": "25.80", "country_code": "fr-fr", "payment_method": "PAYPAL", "marketplace_shipping": True,
            "carrier": "Colissimo", "tracking_number": "T-1", "tracking_url": "https://example.com/track",
            "delivery_note_url": "https://example.com/note.pdf", "shipping": address("shipping"),
            "billing": address("billing"),
        },
        absent=["marketplace_delivery_note", "label_url", "buyer_email"],
    )  # fmt: skip


def test_every_field_of_an_orderline_is_mapped(adapter: Adapter) -> None:
    (item,) = adapter.decode_order(json.dumps(ORDER).encode()).items or []
    assert_mapped(
        item,
        {
            "item_id": "37195", "sku": "IPHONE416GONLIB0", "quantity": 2, "status": Status.ACCEPTED,
            "marketplace_state": "2", "created_at": day(6), "currency": "USD", "price": "229.00",
            "shipping_price": "1.50", "fee": "22.90", "product": "Apple iPhone 4", "listing_id": "142",
            "imei": "011415009346880", "serial_number": "SN-1",
        },
    )  # fmt: skip


def test_every_field_of_a_care_folder_is_mapped(adapter: Adapter) -> None:
    folder = {
        "id": 71, "orderline": {"id": 37195}, "state": 9, "date_creation": day_text(1),
        "date_modification": day_text(2), "date_closed": day_text(3), "lines": [{"resolution_choice": "REPLACE"}],
    }  # fmt: skip
    assert_mapped(
        adapter.decode_care_record(json.dumps(folder).encode()),
        {
            "care_id": "71", "item_ids": ["37195"], "kind": "replacement", "state": "closed", "marketplace_state": "9",
            "opened_at": day(1), "modified_at": day(2), "closed_at": day(3),
        },
    )  # fmt: skip


def test_every_published_state_is_mapped() -> None:
    """Schemas OrderState and OrderLineState: two tables."""
    assert set(ORDER_STATUS) == {0, 1, 3, 8, 9, 10}
    assert set(ITEM_STATUS) == {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
    assert (ORDER_STATUS[3], ITEM_STATUS[3]) == (Status.ACCEPTED, Status.SHIPPED)


def test_a_line_without_a_state_has_the_status_of_its_order(adapter: Adapter) -> None:
    line = {key: value for key, value in ORDER["orderlines"][0].items() if key != "state"}
    (item,) = adapter.decode_order(json.dumps({**ORDER, "orderlines": [line]}).encode()).items or []
    assert (item.status, item.marketplace_state) == (Status.SHIPPED, None)
