"""`modified`: updates orders and items, and writes one event for each change of a status."""

from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.sandbox.formats import stamp
from orders_sync.testing.invariants import check_invariants, nothing_changed, snapshot
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.marketplaces.scripted_shop import MARKETPLACES, ScriptedShop, account_at, an_order_at

CHANGES = "SELECT item_id, old_status, new_status FROM order_events WHERE kind = 'OrderStatusChanged' ORDER BY event_id"


def test_a_change_of_status_fires_old_and_new_for_the_order_and_its_items(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    marketplace.set_states(1, 3, 2)
    summary = sync(account, "modified")
    assert (summary.changed, summary.events) == (1, 2)
    assert connection.execute(CHANGES).fetchall() == [
        ("", "pending", "accepted"),
        ("100", "pending", "accepted"),
    ]
    check_invariants(connection)


def test_a_change_of_anything_else_fires_nothing_and_touches_nothing_else(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    an_order(marketplace, 2)
    sync(account)
    untouched = connection.execute("SELECT xmin, ctid FROM orders WHERE order_id = '2'").fetchone()
    items = connection.execute("SELECT xmin, ctid FROM order_items ORDER BY item_id").fetchall()
    marketplace.change(1, tracking_number="ABC")
    summary = sync(account, "modified")
    assert (summary.changed, summary.unchanged, summary.events) == (1, 1, 0)
    assert connection.execute("SELECT tracking_number FROM orders WHERE order_id = '1'").fetchone() == ("ABC",)
    assert connection.execute("SELECT xmin, ctid FROM orders WHERE order_id = '2'").fetchone() == untouched
    assert connection.execute("SELECT xmin, ctid FROM order_items ORDER BY item_id").fetchall() == items


def test_items_are_added_and_removed(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    order = an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    phone = order["orderlines"][0]
    marketplace.change(1, orderlines=[phone, {**phone, "id": 199, "listing": "CABLE"}])
    sync(account, "modified")
    assert connection.execute("SELECT item_id, sku, status FROM order_items ORDER BY 1").fetchall() == [
        ("100", "PHONE", "accepted"),
        ("101", "CASE", "removed"),
        ("199", "CABLE", "accepted"),
    ]
    assert sorted(connection.execute(CHANGES).fetchall(), key=str) == [
        ("101", "accepted", "removed"),
        ("199", None, "accepted"),
    ]
    check_invariants(connection)


def test_three_months_are_read_as_many_pages_as_there_are(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The first V2 said three months, requested two days, and stopped after 40 pages."""
    for number in range(1, 2_551):
        an_order(marketplace, number, age=timedelta(days=number % 85))
    assert sync(account, "modified").created == 2_550


def test_what_an_answer_leaves_out_erases_nothing(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """A sparse answer erased the stored URL of a delivery note."""
    an_order(marketplace, 1, delivery_note="https://x.example.com/1.pdf", tracking_number="T")
    sync(account)
    order = {"order_id": 1, "date_creation": marketplace.world.scripted[1]["date_creation"]}
    marketplace.put(
        {
            **order,
            "date_modification": stamp(marketplace.now()),
            "delivery_note": None,
            "tracking_number": None,
        }
    )
    sync(account, "modified")
    row = connection.execute("SELECT delivery_note_url, tracking_number, status, country_code FROM orders").fetchone()
    assert row == ("https://x.example.com/1.pdf", "T", "accepted", "fr-fr")
    assert connection.execute("SELECT count(*) FROM order_items WHERE status = 'accepted'").fetchone() == (1,)
    check_invariants(connection)


def test_an_older_copy_never_overwrites_a_newer_one(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    old = an_order(marketplace, 1, state=3, line_state=2)
    marketplace.set_states(1, 9, 3)
    sync(account)
    marketplace.put(old)
    summary = sync(account, "modified")
    assert (summary.changed, summary.unchanged) == (0, 1)
    assert connection.execute("SELECT status FROM orders").fetchone() == ("shipped",)


def test_order_states_and_line_states_are_two_code_tables(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """State 3 is `to ship` of an order and `shipped` of a line; mixed up, shipped became pending."""
    an_order(marketplace, 1, state=3, line_state=3)
    sync(account)
    assert connection.execute("SELECT status FROM orders").fetchone() == ("accepted",)
    assert connection.execute("SELECT status FROM order_items").fetchone() == ("shipped",)


def test_an_unknown_state_is_kept_and_not_crashed_on(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, state=77, line_state=78)
    assert sync(account).created == 1
    row = connection.execute("SELECT status, marketplace_state FROM orders").fetchone()
    assert row == ("unknown", "77")
    check_invariants(connection)


def test_times_keep_their_zones_and_our_own_times_are_our_own(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(
        marketplace,
        1,
        date_creation="2026-03-29T01:30:00+05:30",
        date_modification="2026-03-29T02:30:00.123456Z",
    )
    sync(account, start=marketplace.now() - timedelta(days=600))
    row = connection.execute(
        "SELECT created_at AT TIME ZONE 'UTC', modified_at AT TIME ZONE 'UTC', stored_at FROM orders"
    ).fetchone()
    assert row is not None
    created, modified, stored = row
    assert str(created) == "2026-03-28 20:00:00"
    assert str(modified) == "2026-03-29 02:30:00.123456"
    assert abs(marketplace.now() - stored) < timedelta(minutes=1)


def test_a_living_marketplace_ends_in_the_same_tables_however_often_it_is_read(
    connection: Connection,
) -> None:
    with Marketplace(orders=200, days=20) as living:
        account = sandbox_account(living)
        for sync_type in ("new", "modified", "care", "incomplete"):
            sync(account, sync_type)
        living.pass_time(days=2)
        sync(account, "modified")
        sync(account, "care")
        before = snapshot(connection)
        for sync_type in ("care", "modified", "new", "modified"):
            nothing_changed(sync(account, sync_type))
        assert snapshot(connection) == before
    check_invariants(connection)


WITHOUT_ID = "SELECT count(*) FROM rejected_records WHERE starts_with(record_id, 'hash:') AND resolved_at IS NULL"


@pytest.mark.parametrize("marketplace_name", MARKETPLACES)
def test_a_record_without_an_id_whose_text_changes_is_rejected_once_and_passes_once_it_has_an_id(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, marketplace_name: str
) -> None:
    monkeypatch.setenv("SCRIPTED_SHOP_TOKEN", "secret")
    shop = ScriptedShop(marketplace_name)
    good, nameless = (an_order_at(marketplace_name, number) for number in (1, 2))
    id_key = "order_id" if "order_id" in nameless else "id"
    with account_at(shop) as account:
        for signature in range(3):
            shop.orders = [
                good,
                {**nameless, id_key: None, "file": f"https://files.example.com/2?signature={signature}"},
            ]
            sync(account)
        assert connection.execute(WITHOUT_ID).fetchone() == (3,)
        sync(account, "modified")
        assert connection.execute(WITHOUT_ID).fetchone() == (1,)
        shop.orders = [good, nameless]
        sync(account, "modified")
        assert connection.execute(WITHOUT_ID).fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)


@pytest.mark.parametrize("kept", ["old", "dismissed", "not in the range"])
def test_a_record_without_an_id_that_need_not_be_listed_stays_rejected(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setenv("SCRIPTED_SHOP_TOKEN", "secret")
    shop = ScriptedShop("mirakl", [{**an_order_at("mirakl", 1), "order_id": None}])
    with account_at(shop) as account:
        sync(account)
        if kept == "old":
            connection.execute("UPDATE rejected_records SET first_seen_at = now() - interval '94 days'")
        elif kept == "dismissed":
            connection.execute("UPDATE rejected_records SET dismissed_at = now()")
        shop.orders = []
        sync(account, "modified", end=datetime.now(UTC) if kept == "not in the range" else None)
    assert connection.execute(WITHOUT_ID).fetchone() == (1,)
