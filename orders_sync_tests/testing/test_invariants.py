"""Each checker of the harness finds the rows that break its invariant."""

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import (
    check_invariants,
    every_listed_order_is_stored_or_rejected,
    nothing_changed,
    snapshot,
)
from orders_sync.testing.marketplace import Marketplace, an_order, sync


@pytest.fixture
def synced(connection: Connection, marketplace: Marketplace, account: SellerAccount) -> Connection:
    """A database with two orders and their locks, all invariants kept."""
    for number in (1, 2):
        an_order(marketplace, number)
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10})
    sync(account, "modified")
    apply_pending(stock)
    check_invariants(connection)
    return connection


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM order_events WHERE order_id = '1' AND kind = 'OrderCreated'", "exactly one OrderCreated"),
        ("UPDATE orders SET status = 'shipped' WHERE order_id = '1'", "statuses that do not match the events"),
        ("UPDATE order_items SET status = 'shipped' WHERE order_id = '1'", "statuses that do not match the events"),
        (
            "UPDATE stock_locks SET state = 'released', locked = 0 WHERE item_id = '100'",
            "locks that are not what their items need",
        ),
        ("DELETE FROM stock_locks WHERE item_id = '100'", "locks that are not what their items need"),
        ("UPDATE stock_locks SET locked = 2 WHERE item_id = '100'", "locks that are not what their items need"),
        ("UPDATE stock_levels SET reserved = reserved + 1", "reserved pieces are not those of their locks"),
        ("UPDATE stock_levels SET on_hand = 1", "not the sum of their movements"),
        (
            "UPDATE stock_levels SET on_hand = 1; "
            "INSERT INTO stock_movements (sku, kind, pieces, on_hand_change, on_hand, reason) "
            "VALUES ('PHONE', 'adjusted', -9, -9, 1, 'x')",
            "available quantity below zero",
        ),
        ("DELETE FROM stock_lock_history WHERE item_id = '100'", "locks that do not match their history"),
    ],
)
def test_a_broken_invariant_is_found(synced: Connection, statement: str, message: str) -> None:
    synced.execute(statement.encode())
    with pytest.raises(AssertionError, match=message):
        check_invariants(synced)


def test_a_shipment_that_was_not_consumed_is_found(
    synced: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    marketplace.pass_time(minutes=5)
    marketplace.set_states(1, 9, 3)
    sync(account, "modified")
    apply_pending(StockConnection(synced))
    check_invariants(synced)
    synced.execute("UPDATE stock_locks SET state = 'released', consumed = 0 WHERE item_id = '100'")
    with pytest.raises(AssertionError, match="shipped items that are not consumed"):
        check_invariants(synced)


def test_a_lost_order_is_found(synced: Connection, marketplace: Marketplace) -> None:
    every_listed_order_is_stored_or_rejected(synced, "shop", marketplace.listed())
    an_order(marketplace, 3)
    with pytest.raises(AssertionError, match=r"neither stored nor rejected: \['3'\]"):
        every_listed_order_is_stored_or_rejected(synced, "shop", marketplace.listed())


def test_a_pass_that_changed_something_is_found(
    synced: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    before = snapshot(synced)
    nothing_changed(sync(account, "modified"))
    assert snapshot(synced) == before
    marketplace.set_states(1, 9, 3)
    summary = sync(account, "modified")
    with pytest.raises(AssertionError):
        nothing_changed(summary)
    assert snapshot(synced) != before
