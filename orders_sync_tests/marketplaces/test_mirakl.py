"""Mirakl's published contract beyond the contract suite: documents many at once, returns, call frequencies."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.statuses import Status
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.testing.field_mapping import day
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.marketplaces.mirakl_contract import RETURN

EXAMPLE: dict[str, Any] = {
    "order_id": "Order_00010-A", "commercial_id": "Order_00010", "order_state": "RECEIVED",
    "created_date": "2026-04-02T14:18:43Z", "last_updated_date": "2026-04-02T14:59:58Z",
    "customer_debited_date": "2026-04-02T14:58:22.460Z", "shipping_deadline": "2026-04-07T14:58:22.460Z",
    "currency_iso_code": "USD", "price": 165, "shipping_price": 6.5, "total_price": 171.5, "fully_refunded": False,
    "channel": {"code": "US", "label": "Website US"}, "payment_type": "creditCard", "shipping_company": "UPS",
    "shipping_tracking": "5555", "shipping_tracking_url": "https://www.ups.com/WebTracking/track",
    "customer_notification_email": "n@notification.mirakl.net",
    "customer": {
        "customer_id": "C1", "firstname": "Smith", "lastname": "Taylor",
        "shipping_address": {
            "firstname": "Smith", "lastname": "Taylor", "company": "LIMARK Company", "street_1": "113 MacDougal Street",
            "street_2": "1st floor", "zip_code": "NY 10012", "city": "New York City", "state": "Manhattan",
            "country": "USA", "country_iso_code": "USA", "phone": "1",
        },
        "billing_address": None,
    },
    "order_lines": [
        {
            "order_line_id": "Order_00010-A-1", "order_line_state": "RECEIVED", "offer_id": 2130, "offer_sku": "S2000",
            "quantity": 3, "price": 165, "price_unit": 55, "shipping_price": 6.5, "total_commission": 21.3,
            "product_title": "Espresso machine", "created_date": "2026-04-02T14:18:43Z",
            "shipped_date": "2026-04-02T14:58:00Z", "refunds": [], "cancelations": [],
        }
    ],
}  # fmt: skip


@pytest.fixture
def mirakl() -> Iterator[Marketplace]:
    with Marketplace(FakeMirakl, orders=150, days=20) as opened:
        yield opened


@pytest.fixture
def shop(mirakl: Marketplace) -> SellerAccount:
    return sandbox_account(mirakl)


def decoded(mirakl: Marketplace, record: dict[str, Any], **settings: Any) -> Any:
    adapter = open_adapter(sandbox_account(mirakl, **settings))
    try:
        return adapter.decode_order(json.dumps(record).encode())
    finally:
        adapter.close()


def test_labels_are_certain_not_to_come_only_where_no_document_counts_as_one(mirakl: Marketplace) -> None:
    assert decoded(mirakl, EXAMPLE, label_document_types=[]).marketplace_shipping is False
    # Where some documents count as labels, each order may or may not get one.
    assert decoded(mirakl, EXAMPLE).marketplace_shipping is None


def test_a_closed_or_cancelled_return_ended_with_its_last_change(mirakl: Marketplace) -> None:
    adapter = open_adapter(sandbox_account(mirakl))
    ended = [adapter.decode_care_record(json.dumps({**RETURN, "state": s}).encode()) for s in ("CLOSED", "CANCELED")]
    adapter.close()
    assert [(care.state, care.closed_at) for care in ended] == [("closed", day(2)), ("cancelled", day(2))]


@pytest.mark.parametrize(
    ("state", "received"),
    [("IN_PROGRESS", None), ("RECEIVED", True), ("NO_RECEPTION", False), ("CLOSED", None), ("REFUSED", False)],
)
def test_a_return_says_that_it_was_received_in_one_state_only(
    mirakl: Marketplace, state: str, received: bool | None
) -> None:
    adapter = open_adapter(sandbox_account(mirakl))
    care = adapter.decode_care_record(json.dumps({**RETURN, "state": state}).encode())
    adapter.close()
    assert care.received is received


def test_a_hidden_address_is_the_buyers_name_alone(mirakl: Marketplace) -> None:
    order = decoded(mirakl, EXAMPLE)
    assert (order.billing.first_name, order.billing.last_name, order.billing.street) == ("Smith", "Taylor", None)


def test_amounts_are_exact(mirakl: Marketplace) -> None:
    """JSON numbers, read as what they say and not as binary floats."""
    assert decoded(mirakl, {**EXAMPLE, "price": 0.1 + 0.2}).items_total == Decimal("0.30000000000000004")
    raw = json.dumps(EXAMPLE).replace('"price": 165,', '"price": 1.10,').encode()
    adapter = open_adapter(sandbox_account(mirakl))
    assert str(adapter.decode_order(raw).items_total) == "1.10"
    adapter.close()


def test_an_order_refunded_in_full_is_refunded(mirakl: Marketplace) -> None:
    line = {**EXAMPLE["order_lines"][0], "refunds": [{"id": "1", "amount": 165, "refund_state": "REFUNDED"}]}
    order = decoded(mirakl, {**EXAMPLE, "fully_refunded": True, "order_lines": [line]})
    assert order.items[0].status == Status.REFUNDED_AFTER_SHIPPING
    line["order_line_state"] = "SHIPPING"
    order = decoded(mirakl, {**EXAMPLE, "fully_refunded": True, "order_lines": [line]})
    assert order.items[0].status == Status.REFUNDED_BEFORE_SHIPPING


def test_one_call_brings_the_documents_of_many_orders(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    sync(shop)
    mirakl.pass_time(hours=2)
    mirakl.sandbox.seen.clear()
    summary = sync(shop, "incomplete")
    assert summary.documents_found > 5
    assert mirakl.calls() == -(-summary.fetched // 50)
    url, label = connection.execute(
        "SELECT delivery_note_url, label_url FROM orders WHERE label_url IS NOT NULL AND delivery_note_url IS NOT NULL"
    ).fetchone() or ("", "")
    assert url.startswith(f"{mirakl.url}/api/orders/documents/download?document_ids=")
    assert label != url


def test_a_return_of_several_lines_lands_on_each_of_them(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    mirakl.world.scripted["Order_1-A"] = {
        **EXAMPLE, "order_id": "Order_1-A", "created_date": mirakl.now().isoformat(), "last_updated_date": mirakl.now().isoformat(),
        "order_lines": [{**EXAMPLE["order_lines"][0], "order_line_id": f"Order_1-A-{n}"} for n in (1, 2)],
    }  # fmt: skip
    mirakl.world.scripted_folders[1] = {
        "id": "f61b5db8", "order_id": "Order_1-A", "state": "WAITING_ACCEPTANCE",
        "date_created": mirakl.now().isoformat(), "last_updated": mirakl.now().isoformat(),
        "return_lines": [{"order_line_id": f"Order_1-A-{n}", "quantity": 1} for n in (1, 2)],
    }  # fmt: skip
    sync(shop, "care")
    sync(shop)
    rows = connection.execute(
        "SELECT item_id, care_id FROM order_items WHERE order_id = 'Order_1-A' ORDER BY 1"
    ).fetchall()
    assert rows == [("Order_1-A-1", "f61b5db8"), ("Order_1-A-2", "f61b5db8")]


def test_one_listing_is_one_use_of_the_operation(connection: Connection) -> None:
    """OR11: at most once a minute. A pass is one use, whatever its pages; the next one within the minute waits."""
    with Marketplace(FakeMirakl, orders=55, days=5) as mirakl:
        account = sandbox_account(mirakl, limits={"enforced": True, "connections": 2})
        summary = sync(account, page_size=10)
        assert summary.api_calls == 6
        assert summary.throttled_seconds < 5
        wait = connection.execute(
            "SELECT extract(epoch FROM next_slot - now())::float8 FROM rate_limits WHERE bucket = 'or11'"
        ).fetchone()
    assert wait is not None
    assert 50 < wait[0] < 64


def test_the_base_url_is_required() -> None:
    with pytest.raises(AccountConfigError, match=r"base_url: is missing\. The operator's instance"):
        account_from("shop", {"marketplace": "mirakl", "token": "T"}, "f")
