"""Locks: each event once, each item one lock, whatever the order, repetition or concurrency."""

import os
import subprocess
import sys
import threading
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync.testing.row_faults import stop_at_row
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, at, store_order

SHIPPED, REFUNDED_AFTER_SHIPPING = 3, 6
"""Back Market's states of an orderline."""
LOCKS = "SELECT item_id, state FROM stock_locks ORDER BY item_id"
LEVEL = "SELECT on_hand, reserved FROM stock_levels WHERE sku = 'PHONE'"


def test_pending_and_accepted_lock_shipped_consumes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 10})
    an_order(marketplace, 1, state=1, line_state=1, quantity=2)
    sync(account)
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("100", "locked")]
    assert connection.execute(LEVEL).fetchone() == (10, 2)
    marketplace.set_states(1, 3, 2)
    sync(account, "modified")
    apply_pending(stock)
    assert connection.execute(LEVEL).fetchone() == (10, 2)
    marketplace.pass_time(hours=1)
    marketplace.set_states(1, 9, 3)
    sync(account, "modified")
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("100", "consumed")]
    assert connection.execute(LEVEL).fetchone() == (8, 0)
    check_invariants(connection)


def test_cancelled_and_refunded_before_shipping_release(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 10})
    an_order(marketplace, 1, state=1, line_state=1)
    an_order(marketplace, 2, state=3, line_state=2)
    sync(account)
    apply_pending(stock)
    assert connection.execute(LEVEL).fetchone() == (10, 2)
    marketplace.set_states(1, 9, 4)
    marketplace.set_states(2, 9, 5)
    sync(account, "modified")
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("100", "released"), ("200", "released")]
    assert connection.execute(LEVEL).fetchone() == (10, 0)
    check_invariants(connection)


def test_an_order_first_seen_before_its_payment_is_locked_when_it_is_paid(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 1})
    an_order(marketplace, 1, state=10, line_state=8)
    sync(account)
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == []
    marketplace.set_states(1, 1, 1)
    sync(account, "modified")
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("100", "locked")]
    check_invariants(connection)


def test_a_shortage_and_an_unknown_sku_are_marked_and_locked_when_stock_comes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 1})
    an_order(marketplace, 1, quantity=2)
    an_order(marketplace, 2, skus=("MYSTERY",))
    sync(account)
    apply_pending(stock)
    rows = connection.execute("SELECT item_id, state, problem FROM stock_locks ORDER BY 1").fetchall()
    assert rows == [
        ("100", "short", "1 of 2 available"),
        ("200", "short", "SKU MYSTERY is not in the stock list"),
    ]
    import_levels(stock, {"PHONE": 5, "MYSTERY": 1})
    assert connection.execute(LOCKS).fetchall() == [("100", "locked"), ("200", "locked")]
    check_invariants(connection)


def test_oversell_is_allowed_where_the_account_says_so(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 1})
    an_order(marketplace, 1, quantity=3)
    sync(account)
    apply_pending(stock, oversell=frozenset({account.name}))
    assert connection.execute(LEVEL).fetchone() == (1, 3)


def test_orders_shipped_before_the_count_do_not_reduce_it(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    """A first load brings months of shipped orders: they left before today's stock was counted."""
    import_levels(stock, {"PHONE": 10})
    shipped = (marketplace.now() - timedelta(days=3)).isoformat()
    an_order(marketplace, 1, state=9, line_state=3, age=timedelta(days=5), date_shipping=shipped)
    sync(account)
    apply_pending(stock)
    assert connection.execute(LEVEL).fetchone() == (10, 0)
    assert connection.execute(LOCKS).fetchall() == [("100", "consumed")]


def test_a_lock_follows_a_changed_quantity(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 10})
    order = an_order(marketplace, 1)
    sync(account)
    apply_pending(stock)
    marketplace.change(1, orderlines=[{**order["orderlines"][0], "quantity": 4}])
    sync(account, "modified")
    apply_pending(stock)
    assert connection.execute(LEVEL).fetchone() == (10, 4)
    check_invariants(connection)


def test_a_piece_goes_to_the_next_order_if_the_oldest_one_stops_waiting_at_the_same_time(
    connection: Connection, stock: StockConnection
) -> None:
    """Order 1 holds the only piece, the others wait; 1 and 2 are cancelled."""
    import_levels(stock, {"PHONE": 1})
    orders = [StoredOrder(str(n), [StoredItem(f"{n}00")], created_at=at(n)) for n in (1, 2, 3)]
    for order in orders:
        store_order(connection, order)
    apply_pending(stock)
    for order in orders[:2]:
        store_order(connection, order._replace(items=[order.items[0]._replace(status="cancelled")]))
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("100", "released"), ("200", "released"), ("300", "locked")]
    check_invariants(connection)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    moves=st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from([(1, 1), (3, 2), (9, 3), (9, 4), (9, 5), (9, 6)])), max_size=5
    ),
    size=st.integers(1, 4),
)
def test_however_events_are_grouped_the_locks_are_the_same(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    stock: StockConnection,
    moves: list[tuple[int, tuple[int, int]]],
    size: int,
) -> None:
    """Applied after each change, or all at the end in batches of any size: the same locks and levels.

    An order that was cancelled before anybody looked never had a lock. What was shipped stays shipped.
    """
    results = []
    for after_each_change in (True, False):
        connection.execute(
            "TRUNCATE orders, order_items, order_events, lanes, stock_locks, stock_levels, stock_lock_history, "
            "stock_movements"
        )
        import_levels(stock, {"PHONE": 5})
        for number in (1, 2, 3):
            an_order(marketplace, number, state=1, line_state=1)
        sync(account)
        shipped: set[int] = set()
        for number, (state, line_state) in moves:
            if number in shipped and line_state != REFUNDED_AFTER_SHIPPING:
                continue
            shipped |= {number} if line_state in (SHIPPED, REFUNDED_AFTER_SHIPPING) else set()
            marketplace.pass_time(minutes=1)
            marketplace.set_states(number, state, line_state)
            sync(account, "modified")
            if after_each_change:
                apply_pending(stock)
        apply_pending(stock, batch=size)
        check_invariants(connection)
        locks = [row for row in connection.execute(LOCKS) if row[1] != "released"]
        results.append((locks, connection.execute(LEVEL).fetchone()))
    assert results[0] == results[1]


def test_two_workers_at_once_leave_exactly_one_lock_an_item(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection, database_url: str
) -> None:
    import_levels(stock, {"PHONE": 10_000, "CASE": 100})
    for number in range(1, 301):
        an_order(marketplace, number, skus=("PHONE", "CASE"))
    sync(account)

    def work() -> None:
        with connect(database_url) as own:
            apply_pending(StockConnection(own))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert pending_events(stock) == 0
    states = dict(connection.execute("SELECT sku || ' ' || state, count(*) FROM stock_locks GROUP BY 1").fetchall())
    assert states == {"PHONE locked": 300, "CASE locked": 100, "CASE short": 200}
    check_invariants(connection)


def test_a_worker_killed_in_the_middle_leaves_nothing_half_done(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection, database_url: str
) -> None:
    import_levels(stock, {"PHONE": 10_000})
    for number in range(1, 401):
        an_order(marketplace, number)
    sync(account)
    program = (
        "from orders_sync.database.engine import connect\n"
        "from orders_sync.stock.apply_events import apply_pending\n"
        "from orders_sync.stock.connection import StockConnection\n"
        "apply_pending(StockConnection(connect()))"
    )
    with stop_at_row(connection, "stock_locks", 200) as is_reached:
        worker = subprocess.Popen([sys.executable, "-c", program], env=os.environ)
        wait_for(is_reached, seconds=60, what="the 200th lock")
        worker.kill()
        worker.wait(limit(10))
    assert connection.execute("SELECT count(*) FROM stock_locks").fetchone() == (0,)
    apply_pending(stock)
    assert pending_events(stock) == 0
    assert connection.execute(LEVEL).fetchone() == (10_000, 400)
    check_invariants(connection)


def test_a_lock_that_its_status_keeps_follows_the_quantity(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    """An edited order waits for its payment again, with fewer pieces."""
    import_levels(stock, {"PHONE": 10})
    order = an_order(marketplace, 1, state=1, line_state=1, quantity=2)
    sync(account)
    apply_pending(stock)
    marketplace.pass_time(minutes=1)
    marketplace.change(1, state=10, orderlines=[{**order["orderlines"][0], "quantity": 1, "state": 8}])
    sync(account, "modified")
    apply_pending(stock)
    assert connection.execute("SELECT status FROM order_items").fetchone() == ("awaiting_payment",)
    assert connection.execute(LEVEL).fetchone() == (10, 1)
    check_invariants(connection)
