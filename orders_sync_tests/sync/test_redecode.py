"""`redecode`: after an adapter was corrected, the rows become what it makes of the stored records, without a call."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import LaneBusyError, hold
from orders_sync.marketplaces import back_market
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.statuses import Status
from orders_sync.passes import redecode
from orders_sync.passes.redecode import redecode_account
from orders_sync.privacy.retention import blank_buyers_data
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.sync.redecode import Difference, Redecoded
from orders_sync.testing.invariants import check_invariants, nothing_changed, snapshot
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

EVENTS = "SELECT order_id, item_id, revision, old_status, new_status FROM order_events WHERE kind = 'OrderStatusChanged' ORDER BY event_id"


@pytest.fixture(autouse=True)
def invariants_hold(marketplace: Marketplace, connection: Connection) -> Iterator[None]:
    yield
    check_invariants(connection)


def decode_again(account: SellerAccount, *, write: bool = True, since: datetime | None = None) -> Redecoded:
    return redecode_account(account, "test", since=since, write=write)


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_what_is_stored_right_is_left_alone(fake: type[FakeMarketplace], connection: Connection) -> None:
    with Marketplace(fake, orders=200, days=60) as marketplace:
        account = sandbox_account(marketplace)
        for sync_type in ("new", "modified", "care", "incomplete"):
            sync(account, sync_type)
        before, calls = snapshot(connection), marketplace.calls()
        outcome = decode_again(account)
        assert (outcome.changed_orders, outcome.changed_care_records, outcome.differences) == (0, 0, [])
        assert (outcome.orders, outcome.care_records, outcome.problems) == (
            *_counts(connection, "orders", "care_records"),
            [],
        )
        assert outcome.orders > 100
        assert snapshot(connection) == before
        assert marketplace.calls() == calls


def _counts(connection: Connection, *tables: str) -> list[int]:
    rows = [connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() for table in tables]
    return [row[0] for row in rows if row]


def test_a_state_that_the_adapter_knows_now_is_a_missed_change_of_status(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_order(marketplace, 1, state=77, line_state=78)
    an_order(marketplace, 2)
    sync(account)
    monkeypatch.setitem(back_market.ORDER_STATUS, 77, Status.SHIPPED)
    monkeypatch.setitem(back_market.ITEM_STATUS, 78, Status.SHIPPED)
    shown = decode_again(account, write=False)
    assert (shown.changed_orders, shown.events) == (1, 2)
    assert shown.differences == [
        Difference("order", "1", "", "status", "unknown", "shipped"),
        Difference("order", "1", "100", "status", "unknown", "shipped"),
    ]
    assert connection.execute("SELECT status FROM orders WHERE order_id = '1'").fetchone() == ("unknown",)
    assert connection.execute(EVENTS).fetchall() == []
    assert decode_again(account) == shown
    assert connection.execute(EVENTS).fetchall() == [
        ("1", "", 2, "unknown", "shipped"),
        ("1", "100", 2, "unknown", "shipped"),
    ]
    assert decode_again(account).differences == []
    nothing_changed(sync(account, "modified"))  # the stored records are the same


def test_a_corrected_value_fires_no_event(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    # As an adapter with faults would have stored them.
    connection.execute("UPDATE orders SET payment_method = NULL, shipping_city = 'Lyon'")
    connection.execute("UPDATE order_items SET fee = 1, product = NULL WHERE item_id = '100'")
    outcome = decode_again(account)
    assert outcome.events == 0
    assert outcome.differences == [
        Difference("order", "1", "", "payment_method", None, "CARD"),
        Difference("order", "1", "", "shipping_city", None, None, is_named_only=True),
        Difference("order", "1", "100", "fee", 1, 10.0),
        Difference("order", "1", "100", "product", None, "A PHONE"),
    ]
    row = connection.execute("SELECT payment_method, shipping_city, revision FROM orders").fetchone()
    assert row == ("CARD", "Paris", 2)
    assert connection.execute(EVENTS).fetchall() == []


def test_a_line_that_the_adapter_left_out_is_added_with_its_event(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    connection.execute("DELETE FROM order_items WHERE item_id = '101'")
    connection.execute("UPDATE order_events SET items = items - '101'")
    assert decode_again(account).events == 1
    assert connection.execute(EVENTS).fetchall() == [("1", "101", 2, None, "accepted")]


def test_a_care_record_is_decoded_again_too(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    marketplace.put_folder(900, 100)
    sync(account)
    sync(account, "care")
    connection.execute("UPDATE care_records SET kind = 'other', opened_at = NULL")
    connection.execute("DELETE FROM care_record_items")
    shown = decode_again(account, write=False)
    assert [(one.record_id, one.item_id, one.field) for one in shown.differences] == [
        ("900", "", "kind"),
        ("900", "", "opened_at"),
        ("900", "100", "quantity"),
    ]
    assert connection.execute("SELECT kind FROM care_records").fetchone() == ("other",)
    assert decode_again(account).changed_care_records == 1
    assert connection.execute("SELECT kind, opened_at IS NULL FROM care_records").fetchone() == ("replacement", False)
    assert connection.execute("SELECT item_id FROM care_record_items").fetchall() == [("100",)]


def test_only_what_is_dated_since_then_is_decoded(marketplace: Marketplace, account: SellerAccount) -> None:
    an_order(marketplace, 1, age=timedelta(days=20))
    an_order(marketplace, 2)
    sync(account)
    assert decode_again(account).orders == 2
    assert decode_again(account, since=marketplace.now() - timedelta(days=1)).orders == 1


def test_a_record_that_the_adapter_would_reject_now_stays_as_it_is(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    an_order(marketplace, 2)
    sync(account)
    connection.execute(
        """UPDATE orders SET raw = '{"order_id": 1, "state": 1, "orderlines": [{"id": 5, "state": 1}]}' WHERE order_id = '1'"""
    )
    connection.execute("""UPDATE orders SET raw = '{"order_id": 3}' WHERE order_id = '2'""")
    before = snapshot(connection)
    outcome = decode_again(account)
    assert (outcome.orders, outcome.changed_orders) == (2, 0)
    assert [problem.split(":")[0] for problem in outcome.problems] == ["order 2 rejected", "order 1 rejected"]
    assert snapshot(connection) == before
    assert _counts(connection, "orders", "rejected_records") == [2, 0]


def test_an_item_stays_with_the_order_that_it_is_stored_with(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """Two stored records list it, and neither is newer: decoding them again shows nothing new."""
    moment = "2026-11-01T10:00:00+00:00"
    first = an_order(marketplace, 2, date_creation=moment, date_modification=moment)
    sync(account, start=marketplace.now() - timedelta(days=300))
    an_order(marketplace, 1, date_creation=moment, date_modification=moment, orderlines=first["orderlines"])
    sync(account, start=marketplace.now() - timedelta(days=300))
    before, events = snapshot(connection), connection.execute(EVENTS).fetchall()
    assert connection.execute("SELECT order_id FROM order_items").fetchall() == [("1",)]
    outcome = decode_again(account)
    assert (outcome.differences, outcome.events) == ([], 0)
    assert connection.execute(EVENTS).fetchall() == events
    assert snapshot(connection) == before


def test_a_url_that_incomplete_has_read_since_stays(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, delivery_note="https://x.example.com/old.pdf")
    sync(account)
    connection.execute("UPDATE orders SET delivery_note_url = 'https://x.example.com/new.pdf', currency = 'USD'")
    assert [one.field for one in decode_again(account).differences] == ["currency"]
    row = connection.execute("SELECT currency, delivery_note_url FROM orders").fetchone()
    assert row == ("EUR", "https://x.example.com/new.pdf")


def test_what_the_retention_blanked_is_not_filled_in_again(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, retention_days=30)
    an_order(marketplace, 1, age=timedelta(days=50))
    sync(account)
    blank_buyers_data(connection, account, marketplace.now() + timedelta(days=40))
    connection.execute("UPDATE orders SET currency = 'USD'")
    assert decode_again(account).changed_orders == 1
    row = connection.execute("SELECT currency, shipping_city, buyer_data_blanked_at IS NULL FROM orders").fetchone()
    assert row == ("EUR", None, False)


def test_flaws_that_the_stored_record_does_not_show_stay(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    ahead = (marketplace.now() + timedelta(hours=2)).isoformat()
    an_order(marketplace, 1, date_modification=ahead, currency="???", product="a\x00b")
    sync(account)
    flaws = "SELECT field, found FROM record_flaws ORDER BY 1, 2"
    before = connection.execute(flaws).fetchall()
    assert [field for field, _ in before] == ["currency", "modified_at", "record"]
    assert decode_again(account).differences == []
    assert connection.execute(flaws).fetchall() == before


def test_a_rejected_newer_version_stays_rejected(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    order: dict[str, Any] = an_order(marketplace, 1)
    sync(account)
    marketplace.change(1, orderlines=[{**order["orderlines"][0], "quantity": -1}])
    assert sync(account, "modified").rejected == 1
    decode_again(account)
    assert connection.execute("SELECT resolved_at FROM rejected_records").fetchall() == [(None,)]


@pytest.mark.parametrize("sync_type", [SyncType.NEW, SyncType.MODIFIED, SyncType.CARE])
def test_it_waits_for_the_lanes_that_store_records(
    marketplace: Marketplace, account: SellerAccount, monkeypatch: pytest.MonkeyPatch, sync_type: SyncType
) -> None:
    monkeypatch.setattr(redecode, "WAIT_SECONDS", 0.1)
    with hold(Lane("shop", sync_type), "other"), pytest.raises(LaneBusyError, match=sync_type):
        decode_again(account)
