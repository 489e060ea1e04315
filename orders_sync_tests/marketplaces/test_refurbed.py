"""refurbed's published contract beyond the contract suite: acceptance of items, labels, returns and tickets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.marketplaces.refurbed import _is_about_an_item
from orders_sync.model.records import Order
from orders_sync.model.statuses import Status
from orders_sync.sandbox import refurbed as sandbox_refurbed
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.field_mapping import day
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.marketplaces.refurbed_contract import RETURN, TICKET

EXAMPLE: dict[str, Any] = {
    "id": "8100", "released_at": "2026-03-01T10:00:00.123Z", "state": "PARTIALLY_FULFILLED",
    "labels": ["PARTIALLY_SHIPPED"], "customer_email": "ada@example.com",
    "shipping_address": {
        "first_name": "Ada", "family_name": "Lovelace", "entity": "FEMALE", "country_code": "AT", "post_code": "1010",
        "town": "Wien", "street_name": "Ring", "house_no": "1a", "supplement": "Top 3", "phone_number": "+431",
    },
    "invoice_address": {"company_name": "Engines", "company_vatin": "ATU1", "country_code": "AT", "street_name": "Ring"},
    "currency_code": "PLN", "settlement_currency_code": "EUR", "settlement_exchange_rate": "0.23",
    "total_charged": "1200.10", "total_paid": "1000.00", "total_refunded": "200.10", "total_vat_charged": "0",
    "payment_method": "STRIPE_KLARNA",
    "items": [
        {
            "id": "91", "order_id": "8100", "name": "iPhone 12 | 64 GB | blue", "state": "SHIPPED", "sku": "IP12-64-B",
            "currency_code": "PLN", "total_charged": "1000.00", "total_paid": "1000.00", "total_refunded": "0",
            "settlement_total_commission": "23.5", "parcel_tracking_url": "https://carrier.example.com/1",
            "offer_data": {"offer_id": "77", "offer_version": "3", "shipping_costs": "12.50"},
            "item_identifiers": [{"identifier_type": "IMEI", "value": "356938035643809"}],
        },
        {
            "id": "92", "state": "ACCEPTED", "sku": "", "total_charged": "200.10", "total_paid": "0.00",
            "total_refunded": "200.10", "offer_data": {"offer_id": "78"}, "item_identifier": "SN-1",
        },
    ],
}  # fmt: skip


@pytest.fixture
def refurbed() -> Iterator[Marketplace]:
    with Marketplace(FakeRefurbed, orders=120, days=20) as opened:
        yield opened


@pytest.fixture
def shop(refurbed: Marketplace) -> SellerAccount:
    return sandbox_account(refurbed, accept_orderlines=True)


def decoded(shop: SellerAccount, record: dict[str, Any]) -> Order:
    adapter = open_adapter(shop)
    try:
        return adapter.decode_order(json.dumps(record).encode())
    finally:
        adapter.close()


def test_a_solved_ticket_ended_with_its_last_change(shop: SellerAccount) -> None:
    adapter = open_adapter(shop)
    solved = adapter.decode_care_record(json.dumps({**TICKET, "status": "SOLVED"}).encode())
    adapter.close()
    assert (solved.state, solved.closed_at) == ("closed", day(2))


@pytest.mark.parametrize("state", ["DELIVERED", "REFUNDED", "CONCLUDED"])
def test_a_return_was_received_if_its_parcel_was_delivered(shop: SellerAccount, state: str) -> None:
    adapter = open_adapter(shop)
    delivered = adapter.decode_care_record(json.dumps({**RETURN, "state": state}).encode())
    other = adapter.decode_care_record(json.dumps({**RETURN, "state": state, "delivered_at": None}).encode())
    adapter.close()
    assert (delivered.received, other.received) == (True, None)


def test_a_ticket_that_is_nested_too_deeply_stops_no_list() -> None:
    raw = b'{"id": 7, "x": ' + b"[" * 5_000 + b"]" * 5_000 + b', "marketplace_order_item": {"order_item_id": "91"}}'
    assert _is_about_an_item(RawRecord("ticket-7", raw, b""))


def test_an_item_without_a_sku_is_named_by_its_offer_and_a_refund_changes_its_status(shop: SellerAccount) -> None:
    shipped, refunded = decoded(shop, EXAMPLE).items or []
    assert (shipped.imeis, shipped.serial_numbers) == (("356938035643809",), None)
    assert (refunded.sku, refunded.status) == ("offer-78", Status.REFUNDED_BEFORE_SHIPPING)
    assert (refunded.imeis, refunded.serial_numbers) == (None, ("SN-1",))


@pytest.mark.parametrize(
    ("item", "imeis", "serial_numbers"),
    [
        ({"item_identifier": "356938035643809"}, ("356938035643809",), None),
        ({"item_identifier": "SN-1", "item_identifiers": []}, None, ("SN-1",)),
        (
            {"item_identifiers": [{"identifier_type": kind, "value": "356938035643809"} for kind in ("IMEI", "IMEI")]},
            ("356938035643809",),
            None,
        ),
        (
            {
                "item_identifier": "SN-1",
                "item_identifiers": [
                    {"identifier_type": "IMEI", "value": "not an IMEI"},
                    {"identifier_type": "UNSPECIFIED", "value": "490154203237518"},
                    {"identifier_type": "SERIAL_NUMBER", "value": "356938035643809"},
                    {"identifier_type": "SERIAL_NUMBER", "value": ""},
                ],
            },
            ("not an IMEI", "490154203237518"),
            ("356938035643809",),
        ),
        ({}, None, None),
    ],
)
def test_all_identifiers_of_an_item_are_read_by_their_type_or_their_form(
    shop: SellerAccount, item: dict[str, Any], imeis: tuple[str, ...] | None, serial_numbers: tuple[str, ...] | None
) -> None:
    plain = {key: value for key, value in EXAMPLE["items"][0].items() if key != "item_identifiers"}
    (read,) = decoded(shop, {**EXAMPLE, "items": [{**plain, **item}]}).items or []
    assert (read.imeis, read.serial_numbers) == (imeis, serial_numbers)


def test_waiting_items_are_accepted_one_by_one_after_they_are_stored(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    waiting = {item["id"] for order in refurbed.listed() for item in order["items"] if item["state"] == "NEW"}
    assert waiting
    summary = sync(shop)
    assert summary.accepted == len(waiting)
    assert {write["item_id"] for write in refurbed.sandbox.writes} == waiting
    rows = connection.execute("SELECT state, item_id, answer_status FROM acceptances").fetchall()
    assert {(state, status) for state, _, status in rows} == {("accepted", 200)}
    assert {item_id for _, item_id, _ in rows} == waiting
    assert connection.execute("SELECT count(*) FROM order_items WHERE status = 'pending'").fetchone() == (0,)
    assert sync(shop).accepted == 0
    assert len(refurbed.sandbox.writes) == len(waiting)
    check_invariants(connection)


def test_a_write_whose_answer_was_lost_is_looked_up_and_never_repeated(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    refurbed.fault("lose_answer", path="/refb.merchant.v1.OrderItemService", times=1)
    first = sync(shop)
    assert any("acceptance without answer" in problem for problem in first.problems)
    done = len(refurbed.sandbox.writes)
    sync(shop)
    assert len(refurbed.sandbox.writes) == done
    states = connection.execute(
        "SELECT state, count(*) FROM acceptances WHERE state <> 'accepted' GROUP BY 1"
    ).fetchall()
    assert states == [("left", 1)]  # the next pass read the order: its line no longer waits
    assert connection.execute("SELECT count(*) FROM order_items WHERE status = 'pending'").fetchone() == (0,)


def test_labels_appear_and_there_is_no_delivery_note_to_wait_for(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    sync(shop)
    refurbed.pass_time(hours=2)
    summary = sync(shop, "incomplete")
    assert summary.documents_found > 0
    assert connection.execute("SELECT count(*) FROM orders WHERE delivery_note_url IS NOT NULL").fetchone() == (0,)
    assert sync(shop, "incomplete").fetched == 0


def test_returns_and_tickets_are_care_records_with_ids_of_their_own(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    sync(shop)
    sync(shop, "care")
    kinds = connection.execute("SELECT split_part(care_id, '-', 1), kind FROM care_records GROUP BY 1, 2").fetchall()
    assert ("return", "return") in kinds
    of_tickets = {kind for prefix, kind in kinds if prefix == "ticket"}
    assert set() != of_tickets <= {"replacement", "refund", "other"}


def test_the_limit_in_the_headers_is_obeyed(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 calls in two seconds: a pass of more waits for the next window instead of being refused."""
    monkeypatch.setattr(sandbox_refurbed, "CALLS", 20)
    monkeypatch.setattr(sandbox_refurbed, "SECONDS", 2)
    with Marketplace(FakeRefurbed, orders=40, days=20, limits=True) as refurbed:
        refurbed.pass_time(seconds=1)  # it began at a whole second: its clock must not be behind ours
        summary = sync(sandbox_account(refurbed), page_size=1)
    assert summary.api_calls > 20
    assert summary.throttled_seconds > 0
    assert summary.too_many_requests == 0
