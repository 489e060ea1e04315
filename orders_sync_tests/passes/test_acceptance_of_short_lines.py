"""Where a stock list was imported, no line is accepted whose pieces are not locked, whatever happens meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.model.pass_summary import PassSummary
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, adjust, decide, return_to_stock
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import wait_for

ANN = By("ann@office", "a test")
ON_RECORD = "SELECT order_id, state FROM acceptances ORDER BY acceptance_id"


@pytest.fixture
def account(marketplace: Marketplace) -> SellerAccount:
    """An account that accepts lines, and sends one request after the other."""
    limits = {"enforced": False, "connections": 1, "outage_minutes": 0}
    return sandbox_account(marketplace, accept_orderlines=True, limits=limits)


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    return StockConnection(connection)


def three_orders(marketplace: Marketplace) -> None:
    for number in (1, 2, 3):
        an_order(marketplace, number, state=1, line_state=1, age=timedelta(minutes=60 - number))
    marketplace.pass_time(minutes=1)


@contextmanager
def during_the_request(marketplace: Marketplace, account: SellerAccount, order_id: int) -> Iterator[list[PassSummary]]:
    """The block runs while the acceptance of this order is under way; afterwards the list has the pass's summary."""
    summaries: list[PassSummary] = []
    with ThreadPoolExecutor(1) as executor:
        with marketplace.closed_gate(f"/ws/orders/{order_id}") as gate:
            running = executor.submit(sync, account)
            wait_for(lambda: gate.reached or running.done(), what=f"the acceptance of order {order_id}")
            assert gate.reached
            yield summaries
        summaries.append(running.result())


def count_one(stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 1})


def take_two(stock: StockConnection) -> None:
    adjust(stock, "PHONE", -2, ANN)


def release_two(stock: StockConnection) -> None:
    for item_id in ("200", "300"):
        decide(stock, ("shop", item_id), Decision.RELEASE, ANN)


@pytest.mark.parametrize("take_back", [count_one, take_two, release_two])
def test_lines_whose_pieces_are_taken_back_during_the_pass_are_not_accepted(
    marketplace: Marketplace,
    connection: Connection,
    stock: StockConnection,
    account: SellerAccount,
    take_back: Callable[[StockConnection], None],
) -> None:
    import_levels(stock, {"PHONE": 3})
    three_orders(marketplace)
    with during_the_request(marketplace, account, 1) as summaries:
        take_back(stock)
    assert connection.execute(ON_RECORD).fetchall() == [("1", "accepted")]
    assert [write["order_id"] for write in marketplace.sandbox.writes] == [1]
    assert (summaries[0].accepted, summaries[0].problems) == (1, [])


def test_pieces_that_are_taken_back_while_the_request_is_under_way_are_reported(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount
) -> None:
    import_levels(stock, {"PHONE": 3})
    three_orders(marketplace)
    with during_the_request(marketplace, account, 3) as summaries:
        import_levels(stock, {"PHONE": 2})
    assert connection.execute(ON_RECORD).fetchall() == [("1", "accepted"), ("2", "accepted"), ("3", "accepted")]
    assert summaries[0].problems == [
        "order 3, SKU PHONE: its pieces were taken back while its acceptance was under way; the lines are short now"
    ]


def test_a_line_that_another_sync_finds_to_need_more_pieces_during_the_pass_is_not_accepted(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount
) -> None:
    """The lock of the one piece is there, and nobody has looked at the second one yet."""
    import_levels(stock, {"PHONE": 3})
    three_orders(marketplace)
    with during_the_request(marketplace, account, 1):
        lines = [{**line, "quantity": 2} for line in marketplace.world.scripted[3]["orderlines"]]
        marketplace.change(3, orderlines=lines)
        sync(account, "modified")
    assert connection.execute(ON_RECORD).fetchall() == [("1", "accepted"), ("2", "accepted")]
    check_invariants(connection)


def test_a_line_that_another_sync_finds_cancelled_during_the_pass_is_not_accepted(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount
) -> None:
    import_levels(stock, {"PHONE": 3})
    three_orders(marketplace)
    with during_the_request(marketplace, account, 1):
        marketplace.set_states(3, 9, 4)
        sync(account, "modified")
    assert connection.execute(ON_RECORD).fetchall() == [("1", "accepted"), ("2", "accepted")]


def test_an_order_whose_newest_version_is_rejected_when_it_is_fetched_anew_is_not_accepted(
    marketplace: Marketplace, connection: Connection, account: SellerAccount
) -> None:
    order = an_order(marketplace, 1, state=1, line_state=1, age=timedelta(hours=3))
    marketplace.fault("reset", method="POST", path="/ws/orders/1")
    sync(account)
    # No list of the next pass has the order: it does not wait as a whole, and is older than the list by creation time.
    marketplace.change(1, state=3, orderlines=[{**order["orderlines"][0], "id": None}])
    summary = sync(account)
    assert any(
        "order 1, SKU PHONE: not accepted, since the order could not be read anew" in p for p in summary.problems
    )
    assert connection.execute(ON_RECORD).fetchall() == [("1", "lost")]


@pytest.mark.parametrize("act", ["adjust", "return"])
def test_an_adjustment_or_a_return_of_one_sku_makes_no_stock_list(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount, act: str
) -> None:
    an_order(marketplace, 1, state=9, line_state=3)
    sync(account)
    apply_pending(stock)
    if act == "adjust":
        adjust(stock, "PHONE", 1, ANN)
    else:
        return_to_stock(stock, {("shop", "100"): 1}, ANN)
    an_order(marketplace, 2, state=1, line_state=1, skus=("CASE",))
    assert sync(account).accepted == 1


def test_a_stock_list_older_than_an_adjustment_of_its_only_sku_was_imported(
    marketplace: Marketplace, stock: StockConnection, account: SellerAccount
) -> None:
    adjust(stock, "PHONE", 1, ANN)
    import_levels(stock, {"PHONE": 1}, counted_at=marketplace.now() - timedelta(hours=4))
    an_order(marketplace, 2, state=1, line_state=1, skus=("CASE",))
    assert sync(account).accepted == 0
