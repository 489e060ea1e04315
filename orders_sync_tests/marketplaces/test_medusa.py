"""Medusa's records (admin API of server 2.21), decoded without a server, beyond the contract suite: the status of each item.

`orders_sync_tests/medusa` runs all syncs against a real server.
"""

import json
from collections.abc import Iterator

import pytest

from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.statuses import Status
from orders_sync_tests.marketplaces.medusa_contract import ORDER, RETURN


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


@pytest.mark.parametrize(
    ("status", "damaged", "received"), [("requested", 0, None), ("received", 0, True), ("received", 1, None)]
)
def test_a_return_was_received_if_all_its_pieces_came_back_undamaged(
    adapter: Adapter, status: str, damaged: int, received: bool | None
) -> None:
    items = [{**RETURN["items"][0], "received_quantity": 2, "damaged_quantity": damaged}]
    care = adapter.decode_care_record(json.dumps({**RETURN, "status": status, "items": items}).encode())
    assert care.received is received
