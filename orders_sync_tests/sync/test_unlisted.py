"""Orders that wait or hold a lock and are not listed any more are fetched by their ids, with few calls."""

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.sync.unlisted import MAX_FETCHES_PER_PASS
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync

LIST, ORDER = "GET /ws/orders", "GET /ws/orders/…"
NOT_PAID_ORDER, NOT_PAID_LINE = 8, 7


def lock_states(connection: Connection) -> list[str]:
    apply_pending(StockConnection(connection))
    check_invariants(connection)
    return [state for (state,) in connection.execute("SELECT state FROM stock_locks ORDER BY item_id")]


@pytest.fixture
def stock(connection: Connection) -> None:
    import_levels(StockConnection(connection), {"PHONE": 100})


def test_an_order_that_waits_and_whose_payment_fails_is_released_by_the_next_pass(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: None
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    assert lock_states(connection) == ["locked"]
    marketplace.set_states(1, NOT_PAID_ORDER, NOT_PAID_LINE)
    summary = sync(account)
    assert (summary.changed, summary.problems) == (1, [])
    assert lock_states(connection) == ["released"]
    assert sync(account).api_calls == 2


@pytest.mark.parametrize("line_state", [1, 2])
def test_an_order_with_a_lock_that_leaves_all_lists_is_released_by_modified(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: None, line_state: int
) -> None:
    an_order(marketplace, 1, state=3, line_state=line_state)
    sync(account)
    sync(account, "modified")
    assert lock_states(connection) == ["locked"]
    marketplace.set_states(1, NOT_PAID_ORDER, NOT_PAID_LINE)
    assert sync(account, "modified").changed == 1
    assert lock_states(connection) == ["released"]


def test_orders_that_are_listed_cost_no_call(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: None
) -> None:
    for number in range(1, 41):
        an_order(marketplace, number, state=1 if number % 2 else 3, line_state=1 if number % 2 else 2)
    for sync_type in ("new", "modified", "new", "modified"):
        sync(account, sync_type)
        apply_pending(StockConnection(connection))
    # Each `new` reads what waits and what was created, each `modified` one list.
    assert (marketplace.calls(LIST), marketplace.calls(ORDER)) == (6, 0)


def test_a_pass_fetches_a_few_and_the_next_one_goes_on(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    count = MAX_FETCHES_PER_PASS + 10
    for number in range(1, count + 1):
        an_order(marketplace, number, state=1, line_state=1)
    sync(account)
    for number in range(1, count + 1):
        marketplace.set_states(number, NOT_PAID_ORDER, NOT_PAID_LINE)
    assert [sync(account).api_calls for _ in range(3)] == [2 + MAX_FETCHES_PER_PASS, 2 + 10, 2]
    assert connection.execute("SELECT DISTINCT status FROM orders").fetchall() == [("unpaid",)]


def test_an_order_that_is_gone_is_reported_and_requested_once_a_day(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    del marketplace.world.scripted[1]
    marketplace.world.version += 1
    summary = sync(account)
    assert summary.problems == [
        "order 1 waits or holds a lock, and the marketplace no longer has it; look at it in the marketplace's back office"
    ]
    assert sync(account).api_calls == 2
    connection.execute("UPDATE orders SET fetched_by_id_at = now() - interval '25 hours'")
    assert sync(account).api_calls == 3


def test_an_order_that_is_listed_again_is_requested_when_it_leaves_again(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    connection.execute("UPDATE orders SET fetched_by_id_at = now()")
    sync(account)
    assert connection.execute("SELECT fetched_by_id_at FROM orders").fetchall() == [(None,)]
    marketplace.set_states(1, NOT_PAID_ORDER, NOT_PAID_LINE)
    assert sync(account).changed == 1


def test_an_order_that_cannot_be_had_stops_no_other(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in (1, 2):
        an_order(marketplace, number, state=1, line_state=1)
    sync(account)
    for number in (1, 2):
        marketplace.set_states(number, NOT_PAID_ORDER, NOT_PAID_LINE)
    marketplace.fault("status", path="/ws/orders/1", status=400, times=0)
    summary = sync(account)
    assert summary.problems == [
        "order 1 is not listed any more, and can't be had by its id: 127.0.0.1 answers GET /ws/orders/1 with 400: sandbox"
    ]
    assert connection.execute("SELECT status FROM orders ORDER BY order_id").fetchall() == [("pending",), ("unpaid",)]
    assert summary.watermark is not None
