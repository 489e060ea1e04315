"""`reread`: records are compared value by value, so that rows that were damaged by hand are mended."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.privacy.retention import blank_buyers_data
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.invariants import check_invariants, nothing_changed, snapshot
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

EVENTS = (
    "SELECT order_id, item_id, revision, old_status, new_status FROM order_events WHERE kind = 'OrderStatusChanged' "
    "ORDER BY event_id"
)


@pytest.fixture
def three_orders(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> Iterator[None]:
    for number in (1, 2, 3):
        an_order(marketplace, number, skus=("PHONE", "CASE"))
    sync(account)
    yield
    check_invariants(connection)


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_what_is_stored_right_is_neither_changed_nor_given_a_new_revision(
    fake: type[FakeMarketplace], connection: Connection
) -> None:
    with Marketplace(fake, orders=200, days=60) as marketplace:
        account = sandbox_account(marketplace)
        for sync_type in ("new", "modified", "care"):
            sync(account, sync_type)
        before = snapshot(connection)
        for sync_type in ("new", "modified", "care"):
            summary = sync(account, sync_type, start=marketplace.now() - timedelta(days=50), reread=True)
            nothing_changed(summary)
            assert summary.unchanged == summary.fetched > 0
        assert snapshot(connection) == before


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE orders SET currency = 'USD', items_total = 1 WHERE order_id = '2'",
        "UPDATE orders SET shipping_city = 'Lyon' WHERE order_id = '2'",
        "UPDATE orders SET modified_at = '2098-01-01' WHERE order_id = '2'",
        "UPDATE order_items SET sku = 'CABLE' WHERE item_id = '200'",
        "UPDATE order_items SET quantity = 7, price = NULL WHERE item_id = '201'",
        "DELETE FROM order_items WHERE item_id = '201'",
    ],
)
@pytest.mark.usefixtures("three_orders")
def test_a_damaged_row_is_mended_without_an_event(account: SellerAccount, connection: Connection, damage: str) -> None:
    everything = "SELECT to_jsonb(o) - '{revision,stored_at,first_stored_at}'::text[] FROM orders o ORDER BY order_id"
    items = "SELECT to_jsonb(i) - '{stored_at,first_stored_at}'::text[] FROM order_items i ORDER BY item_id"
    before = [connection.execute(query).fetchall() for query in (everything, items)]
    removes_an_item = damage.startswith("DELETE")
    connection.execute(damage.encode())
    nothing_changed(sync(account, "modified"))  # the fingerprint is the same
    summary = sync(account, "modified", reread=True)
    assert (summary.created, summary.changed, summary.unchanged) == (0, 1, 2)
    assert [connection.execute(query).fetchall() for query in (everything, items)] == before
    revisions = connection.execute("SELECT order_id, revision FROM orders ORDER BY 1").fetchall()
    assert revisions == [("1", 1), ("2", 2), ("3", 1)]
    if removes_an_item:  # for the merge, the item is new
        assert connection.execute(EVENTS).fetchall() == [("2", "201", 2, None, "accepted")]
        connection.execute("DELETE FROM order_events WHERE kind = 'OrderStatusChanged'")
    else:
        assert connection.execute(EVENTS).fetchall() == []
    nothing_changed(sync(account, "modified", reread=True))


def test_a_damaged_status_is_mended_with_an_event_so_that_its_lock_follows(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE",))
    sync(account)
    connection.execute("INSERT INTO stock_levels (sku, on_hand) VALUES ('PHONE', 5)")
    connection.execute("UPDATE orders SET status = 'cancelled'")
    connection.execute("UPDATE order_items SET status = 'cancelled'")
    assert sync(account, "modified", reread=True).events == 2
    assert connection.execute(EVENTS).fetchall() == [
        ("1", "", 2, "cancelled", "accepted"),
        ("1", "100", 2, "cancelled", "accepted"),
    ]
    apply_pending(StockConnection(connection))
    assert connection.execute("SELECT item_id, state FROM stock_locks").fetchall() == [("100", "locked")]


@pytest.mark.usefixtures("three_orders")
def test_an_item_that_the_record_does_not_list_is_removed(account: SellerAccount, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO order_items (account, item_id, order_id, sku, quantity, status) "
        "VALUES ('shop', 'X', '2', 'PHONE', 1, 'accepted')"
    )
    assert sync(account, "modified", reread=True).changed == 1
    assert connection.execute("SELECT status FROM order_items WHERE item_id = 'X'").fetchone() == ("removed",)
    connection.execute("DELETE FROM order_items WHERE item_id = 'X'")
    connection.execute("DELETE FROM order_events WHERE item_id = 'X'")


@pytest.mark.usefixtures("three_orders")
def test_an_order_that_was_deleted_is_created_again(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for table in ("orders", "order_items", "order_events"):
        connection.execute(f"DELETE FROM {table} WHERE order_id = '2'")
    assert sync(account, "modified", reread=True).created == 1


def test_an_older_version_never_replaces_a_newer_one(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    old = an_order(marketplace, 1)
    sync(account)
    marketplace.pass_time(minutes=5)
    marketplace.set_states(1, 9, 3)
    sync(account, "modified")
    marketplace.put(old)
    nothing_changed(sync(account, "modified", reread=True))
    assert connection.execute("SELECT status FROM orders").fetchone() == ("shipped",)


def test_flaws_of_unchanged_records_are_found_again(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, currency="???")
    sync(account)
    flaws = connection.execute("SELECT record_id, field FROM record_flaws").fetchall()
    assert flaws == [("1", "currency")]
    connection.execute("DELETE FROM record_flaws")
    nothing_changed(sync(account, "modified"))
    assert connection.execute("SELECT count(*) FROM record_flaws").fetchone() == (0,)
    nothing_changed(sync(account, "modified", reread=True))
    assert connection.execute("SELECT record_id, field FROM record_flaws").fetchall() == flaws


def test_what_the_retention_blanked_is_not_filled_in_again(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, retention_days=30)
    an_order(marketplace, 1, age=timedelta(days=50))
    marketplace.put_folder(900, 100)
    sync(account)
    sync(account, "care")
    later = marketplace.now() + timedelta(days=40)
    assert blank_buyers_data(connection, account, later).orders == 1
    connection.execute("UPDATE orders SET currency = 'USD'")
    connection.execute("UPDATE care_records SET kind = 'other'")
    assert sync(account, "modified", reread=True).changed == 1
    assert sync(account, "care", reread=True).changed == 1
    row = connection.execute("SELECT currency, shipping_city, raw->>'shipping_address' FROM orders").fetchone()
    assert row == ("EUR", None, None)
    assert connection.execute("SELECT kind, buyer_data_blanked_at IS NULL FROM care_records").fetchone() == (
        "replacement",
        False,
    )
    nothing_changed(sync(account, "modified", reread=True))


def test_a_damaged_care_record_is_mended(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in (900, 901):
        marketplace.put_folder(number, number)
    sync(account, "care")
    connection.execute("UPDATE care_records SET state = 'closed', opened_at = NULL WHERE care_id = '900'")
    nothing_changed(sync(account, "care"))
    summary = sync(account, "care", reread=True)
    assert (summary.changed, summary.unchanged) == (1, 1)
    row = connection.execute("SELECT state, opened_at IS NULL FROM care_records WHERE care_id = '900'").fetchone()
    assert row == ("open", False)


@pytest.mark.parametrize("damage", ["{}", "[]", "null"])
def test_a_care_record_whose_raw_record_is_none_any_more_is_mended(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, damage: str
) -> None:
    marketplace.put_folder(900, 100)
    sync(account, "care")
    connection.execute("UPDATE care_records SET raw = %s", [damage])
    assert sync(account, "care", reread=True).changed == 1
    assert connection.execute("SELECT raw->>'id' FROM care_records").fetchone() == ("900",)
    nothing_changed(sync(account, "care", reread=True))


@pytest.mark.parametrize("damage", ["{}", "[]", "null"])
def test_a_raw_record_that_is_none_any_more_is_mended(
    account: SellerAccount, connection: Connection, three_orders: None, damage: str
) -> None:
    """Without it, the order can't be decoded again."""
    connection.execute("UPDATE orders SET raw = %s::json WHERE order_id = '2'", [damage])
    summary = sync(account, reread=True)
    assert (summary.changed, summary.events) == (1, 0)
    assert connection.execute("SELECT raw->>'order_id' FROM orders ORDER BY 1").fetchall() == [("1",), ("2",), ("3",)]
