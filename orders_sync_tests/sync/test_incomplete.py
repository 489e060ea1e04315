"""`incomplete`: fetches the documents that are missing, stores what it finds, and nothing else."""

from datetime import timedelta

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.testing.invariants import check_invariants, snapshot
from orders_sync.testing.marketplace import Marketplace, an_order, sync

NOTE = "https://documents.example.com/1.pdf"


def test_what_has_appeared_is_filled_in(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    marketplace.change(1, delivery_note=NOTE, _deliveries=[{"order": 1, "labelUrl": "/static/1.pdf"}])
    summary = sync(account, "incomplete")
    assert (summary.fetched, summary.documents_found, summary.api_calls) == (1, 2, 2)
    row = connection.execute("SELECT delivery_note_url, label_url FROM orders").fetchone()
    assert row == (NOTE, f"{marketplace.url}/static/1.pdf")
    assert sync(account, "incomplete").api_calls == 0


def test_its_watermark_is_a_time_of_the_marketplaces_clock(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    marketplace.pass_time(minutes=-4)
    summary = sync(account, "incomplete")
    assert summary.watermark is not None
    assert abs(summary.watermark - marketplace.now()) < timedelta(minutes=1)
    assert summary.range_end == summary.watermark
    assert connection.execute("SELECT watermark FROM lanes WHERE sync_type = 'incomplete'").fetchone() == (
        summary.watermark,
    )


def test_a_status_seen_in_passing_is_not_stored_and_its_event_still_comes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """Stored without its event, the change would be swallowed: `modified` would find no change."""
    an_order(marketplace, 1, state=3, line_state=2)
    sync(account)
    marketplace.set_states(1, 9, 3)
    marketplace.change(1, delivery_note=NOTE)
    before = snapshot(connection)["events"]
    sync(account, "incomplete")
    assert connection.execute("SELECT status, revision FROM orders").fetchone() == ("accepted", 1)
    assert snapshot(connection)["events"] == before
    assert sync(account, "modified").events == 2
    assert connection.execute("SELECT status FROM orders").fetchone() == ("shipped",)
    check_invariants(connection)


def test_only_orders_that_should_have_documents_by_now_are_fetched(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The old query joined its conditions with OR without brackets."""
    an_order(marketplace, 1, state=1, line_state=1)  # pending: a note, no label yet
    an_order(marketplace, 2, state=9, line_state=3)  # shipped: too late
    an_order(marketplace, 3, age=timedelta(days=3))  # too old
    an_order(marketplace, 4, is_backship=False, delivery_note=NOTE)  # ships by itself: no label to come
    an_order(marketplace, 5, delivery_note=NOTE)  # its label is missing
    sync(account)
    marketplace.sandbox.seen.clear()
    sync(account, "incomplete")
    assert marketplace.calls("GET /ws/orders/…") == 1
    assert marketplace.calls("GET /ws/shipping") == 1
    assert sync(account, "incomplete", days_back=10).fetched == 3


def test_an_order_that_the_marketplace_no_longer_has_stops_no_other(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    an_order(marketplace, 2, age=timedelta(minutes=5))
    sync(account)
    del marketplace.world.scripted[1]
    marketplace.change(2, delivery_note=NOTE)
    assert sync(account, "incomplete").documents_found == 1
