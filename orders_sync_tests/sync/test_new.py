"""`new`: fetch, check, store with event, in one transaction."""

from datetime import timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.invariants import (
    check_invariants,
    every_listed_order_is_stored_or_rejected,
    nothing_changed,
    snapshot,
)
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import limit


def test_an_order_is_stored_with_its_items_and_one_event(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 7, skus=("PHONE", "CASE"), price="199.90")
    summary = sync(account)
    assert (summary.fetched, summary.created, summary.events) == (1, 1, 1)
    order = connection.execute(
        "SELECT status, currency, items_total::text, shipping_first_name, raw->>'payment_method' FROM orders"
    ).fetchall()
    assert order == [("accepted", "EUR", "399.80", "Victor", "CARD")]
    items = connection.execute("SELECT item_id, sku, quantity, price::text FROM order_items ORDER BY 1").fetchall()
    assert items == [("700", "PHONE", 1, "199.90"), ("701", "CASE", 1, "199.90")]
    check_invariants(connection)


def test_a_whole_history_is_stored_and_a_second_pass_finds_nothing(
    living_marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(living_marketplace)
    sync(account)
    before = snapshot(connection)
    nothing_changed(sync(account))
    assert snapshot(connection) == before
    every_listed_order_is_stored_or_rejected(connection, account.name, living_marketplace.listed())
    check_invariants(connection)


def test_the_watermark_moves_to_a_little_before_now_and_never_back(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace)
    first = sync(account).watermark
    assert first is not None
    lag = timedelta(seconds=account.settings.lag_seconds)
    # The marketplace gives its time in whole seconds.
    assert timedelta(seconds=-2) < marketplace.now() - first - lag < timedelta(seconds=limit(10))
    backfill = sync(account, start=marketplace.now() - timedelta(days=30))
    assert backfill.watermark is not None
    assert backfill.watermark >= first


def test_after_downtime_the_next_pass_fetches_everything_since_the_watermark(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    sync(account)
    for day in range(3):
        marketplace.pass_time(days=1)
        an_order(marketplace, 10 + day)
    assert sync(account).created == 3
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (3,)


def test_a_pass_that_fails_leaves_the_watermark_and_keeps_what_it_stored(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    sync(account)
    before = connection.execute("SELECT watermark FROM lanes").fetchone()
    for number in range(1, 121):
        an_order(marketplace, number, age=timedelta(seconds=1))
    marketplace.fault("empty_page", page=2, times=0)
    with pytest.raises(PassFailedError, match="Page 2 of the marketplace's list is empty, yet names a next one"):
        sync(account)
    assert connection.execute("SELECT watermark, last_outcome FROM lanes").fetchone() == (*(before or ()), "failed")
    marketplace.calm()
    sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (120,)
    check_invariants(connection)


def test_a_pass_that_fails_counts_what_it_stored(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The batch that is being written when the next page can't be had is counted too, and so are the records before it."""
    for number in range(1, 601):
        an_order(marketplace, number)
    marketplace.fault("empty_page", page=8, times=0)
    with pytest.raises(PassFailedError, match="Page 8"):
        sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (350,)
    figures = "(last_summary->>'fetched')::int, (last_summary->>'created')::int, (last_summary->>'events')::int"
    assert connection.execute(f"SELECT {figures} FROM lanes").fetchone() == (350, 350, 350)


def test_what_was_read_before_a_failure_is_stored_however_little_it_is(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in range(1, 121):
        an_order(marketplace, number)
    marketplace.fault("status", page=3, status=400, times=0)
    with pytest.raises(PassFailedError, match="refuses page 3 of its list after 100 records, which are kept"):
        sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (100,)
    assert connection.execute("SELECT watermark FROM lanes").fetchone() == (None,)
    marketplace.calm()
    assert sync(account).created == 20
    check_invariants(connection)


def test_an_order_paid_long_after_it_was_created_is_found_at_once(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The list by creation leaves out unpaid orders: this one appears behind the watermark."""
    an_order(marketplace, 5, state=0, line_state=0)
    sync(account)
    marketplace.pass_time(hours=9)
    marketplace.set_states(5, 1, 1)
    assert sync(account).created == 1
    check_invariants(connection)


def test_a_rejected_order_is_kept_whole_and_stored_once_it_is_right(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    bad = an_order(marketplace, 2)
    marketplace.change(2, orderlines=[{**bad["orderlines"][0], "quantity": -1}], currency="ZZZ")
    summary = sync(account)
    assert (summary.created, summary.rejected) == (1, 1)
    assert connection.execute("SELECT order_id FROM orders").fetchall() == [("1",)]
    row = connection.execute("SELECT record_id, raw, reasons FROM rejected_records").fetchone()
    assert row is not None
    record_id, raw, reasons = row
    assert record_id == "2"
    assert b'"ZZZ"' in raw
    assert [(r["where"], r["what"]) for r in reasons] == [
        ("items[0].quantity", "is -1"),
    ]
    marketplace.put({**bad, "order_id": 2})
    sync(account)
    assert connection.execute("SELECT resolved_at IS NOT NULL FROM rejected_records").fetchone() == (True,)
    assert connection.execute("SELECT order_id FROM orders ORDER BY 1").fetchall() == [("1",), ("2",)]
    check_invariants(connection)


def test_equal_ids_of_two_accounts_do_not_collide(connection: Connection) -> None:
    with Marketplace() as first, Marketplace() as second:
        an_order(first, 1, state=3, line_state=2)
        an_order(second, 1, state=9, line_state=3)
        sync(sandbox_account(first, "here"))
        sync(sandbox_account(second, "there"))
    rows = connection.execute("SELECT account, order_id, status FROM orders ORDER BY 1").fetchall()
    assert rows == [("here", "1", "accepted"), ("there", "1", "shipped")]
    check_invariants(connection)


def test_few_calls_are_made(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    """One call for what waits, and one a page of 50."""
    for number in range(1, 231):
        an_order(marketplace, number)
    assert sync(account).api_calls == 1 + 5


def test_a_pass_up_to_a_moment_leaves_later_orders_to_the_next_one(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, age=timedelta(days=9))
    an_order(marketplace, 2, age=timedelta(days=2))
    end = marketplace.now() - timedelta(days=5)
    summary = sync(account, start=marketplace.now() - timedelta(days=20), end=end)
    assert (summary.created, summary.watermark) == (1, end)
    assert connection.execute("SELECT order_id FROM orders").fetchall() == [("1",)]
    assert sync(account).created == 1
