"""Medusa's records (admin API of server 2.21), decoded without a server: every field, and the status of each item.

`orders_sync_tests/medusa` runs all syncs against a real server.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.records import DocumentKind, ItemKind
from orders_sync.model.statuses import Status
from orders_sync_tests.marketplaces.field_mapping import address, assert_mapped, day, day_text, item_of


def _address(prefix: str) -> dict[str, str]:
    return {
        "first_name": f"{prefix} first_name", "last_name": f"{prefix} last_name", "company": f"{prefix} company",
        "address_1": f"{prefix} street", "address_2": f"{prefix} street2", "postal_code": f"{prefix} postal_code",
        "city": f"{prefix} city", "province": f"{prefix} state", "country_code": f"{prefix} country",
        "phone": f"{prefix} phone",
    }  # fmt: skip


#: AdminOrder with its items and fulfilments, each field with a value of its own.
ORDER: dict[str, Any] = {
    "id": "order_1", "status": "pending", "payment_status": "captured", "fulfillment_status": "partially_shipped",
    "created_at": day_text(1), "updated_at": day_text(2), "email": "ada@example.com", "currency_code": "eur",
    "shipping_total": 5.99, "tax_total": 1.25, "shipping_address": _address("shipping"),
    "billing_address": _address("billing"),
    "payment_collections": [{"completed_at": day_text(3)}],
    "fulfillments": [
        {
            "id": "ful_1", "shipped_at": day_text(4), "canceled_at": None, "items": [{"line_item_id": "item_1"}],
            "labels": [
                {
                    "id": "label_1", "tracking_number": "T-1", "tracking_url": "https://example.com/track",
                    "label_url": "https://example.com/label.pdf",
                }
            ],
        }
    ],
    "items": [
        {
            "id": "item_1", "quantity": 3, "variant_sku": "PHONE", "variant_id": "variant_1", "title": "Black",
            "product_title": "A phone", "is_giftcard": False, "requires_shipping": True, "raw_total": {"value": "599.70"}, "created_at": day_text(5),
            "detail": {"quantity": 3, "shipped_quantity": 2, "delivered_quantity": 0, "return_received_quantity": 1},
        }
    ],
}  # fmt: skip


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Adapter]:
    """Opened without calls: only its decoding is used."""
    monkeypatch.setenv("MEDUSA_KEY", "sk_test")
    settings = {
        "marketplace": "medusa", "base_url": "https://shop.example.com", "token": "MEDUSA_KEY",
        "limits": {"enforced": False},
    }  # fmt: skip
    opened = open_adapter(account_from("shop", settings, "defs.yaml"))
    yield opened
    opened.close()


def test_every_field_of_an_order_is_mapped(adapter: Adapter) -> None:
    order = adapter.decode_order(json.dumps(ORDER).encode())
    assert order.items is not None
    assert_mapped(
        order,
        {
            "order_id": "order_1", "status": Status.ACCEPTED, "items": order.items,
            "marketplace_state": "pending/captured/partially_shipped", "created_at": day(1), "modified_at": day(2),
            "paid_at": day(3), "shipped_at": day(4), "currency": "EUR", "items_total": Decimal("599.70"),
            "shipping_total": Decimal("5.99"), "sales_taxes": Decimal("1.25"), "country_code": "shipping country",
            "marketplace_delivery_note": False, "tracking_number": "T-1", "tracking_url": "https://example.com/track",
            "label_url": "https://example.com/label.pdf", "buyer_email": "ada@example.com",
            "shipping": address("shipping"), "billing": address("billing"),
            "documents": [
                {
                    "key": "label_1", "kind": DocumentKind.LABEL, "url": "https://example.com/label.pdf",
                    "carrier": None, "tracking_number": "T-1", "item_ids": ("item_1",), "expires_at": None,
                    "cancelled_at": None,
                }
            ],
        },
        absent=["dispatch_due_at", "payment_method", "marketplace_shipping", "carrier", "delivery_note_url"],
    )  # fmt: skip


def test_every_field_of_an_item_is_mapped(adapter: Adapter) -> None:
    (item,) = adapter.decode_order(json.dumps(ORDER).encode()).items or []
    assert_mapped(
        item,
        {
            "item_id": "item_1", "sku": "PHONE", "quantity": 3, "status": Status.ACCEPTED,
            "marketplace_state": "2 shipped, 1 returned", "created_at": day(5), "currency": "EUR",
            "price": Decimal("599.70"), "product": "A phone", "listing_id": "variant_1", "kind": ItemKind.GOODS,
        },
        absent=["shipping_price", "fee", "imei", "serial_number"],
    )  # fmt: skip


def test_every_field_of_a_return_is_mapped(adapter: Adapter) -> None:
    record = {
        "id": "return_1", "status": "received", "items": [{"item_id": "item_1", "quantity": 2}], "created_at": day_text(1),
        "updated_at": day_text(2), "received_at": day_text(3), "canceled_at": None,
    }  # fmt: skip
    assert_mapped(
        adapter.decode_care_record(json.dumps(record).encode()),
        {
            "care_id": "return_1", "items": [item_of("item_1", 2)], "kind": "return", "state": "closed",
            "marketplace_state": "received", "opened_at": day(1), "modified_at": day(2), "closed_at": day(3),
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("payment", "shipped", "returned", "status"),
    [
        ("captured", 0, 0, Status.ACCEPTED),
        ("not_paid", 0, 0, Status.AWAITING_PAYMENT),
        ("refunded", 0, 0, Status.REFUNDED_BEFORE_SHIPPING),
        ("captured", 3, 0, Status.SHIPPED),
        ("refunded", 3, 0, Status.REFUNDED_AFTER_SHIPPING),
        ("refunded", 3, 3, Status.RETURNED),
        ("teleported", 0, 0, Status.UNKNOWN),
    ],
)
def test_an_items_pieces_and_its_orders_payment_decide_its_status(
    adapter: Adapter, payment: str, shipped: int, returned: int, status: Status
) -> None:
    detail = {"quantity": 3, "shipped_quantity": shipped, "return_received_quantity": returned}
    record = {
        **ORDER, "payment_status": payment, "fulfillment_status": "not_fulfilled",
        "items": [{**ORDER["items"][0], "detail": detail}],
    }  # fmt: skip
    (item,) = adapter.decode_order(json.dumps(record).encode()).items or []
    # An unknown payment makes the whole order unknown, its items included.
    assert item.status == status
