"""Orders that wait or hold a lock and are not listed any more are fetched by their ids, with few calls."""

from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.retries import MAX_TRIES
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.sync.unlisted import MAX_FETCHES_PER_PASS
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync

LIST, ORDER = "GET /ws/orders", "GET /ws/orders/…"
NOT_PAID_ORDER, NOT_PAID_LINE = 8, 7
PUT_OFF = """
SELECT record_id FROM rejected_records WHERE resolved_at IS NULL AND reasons->-1->>'what' LIKE 'could not be fetched:%'
"""


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
    assert summary.problems == ["order 1 put off: 127.0.0.1 answers GET /ws/orders/1 with 400: sandbox"]
    assert connection.execute("SELECT status FROM orders ORDER BY order_id").fetchall() == [("pending",), ("unpaid",)]
    assert summary.watermark is not None


def gone_order(marketplace: Marketplace, account: SellerAccount, *numbers: int) -> None:
    """Orders that waited when they were stored, and that no list contains any more since their payment failed."""
    for number in numbers:
        an_order(marketplace, number, state=1, line_state=1)
    sync(account)
    for number in numbers:
        marketplace.set_states(number, NOT_PAID_ORDER, NOT_PAID_LINE)


@pytest.fixture
def without_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=MAX_TRIES):
        yield


FAULTS = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 403},
    {"kind": "status", "status": 410},
    {"kind": "html"},
    {"kind": "truncate"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=["500", "403", "410", "html", "truncated"])
@pytest.mark.parametrize("next_pass", ["new", "modified"])
@pytest.mark.usefixtures("without_backoff", "stock")
def test_an_order_whose_fetch_fails_is_put_off_and_fetched_by_the_first_pass_that_can(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, fault: dict[str, Any], next_pass: str
) -> None:
    gone_order(marketplace, account, 1)
    assert lock_states(connection) == ["locked"]
    marketplace.fault(path="/ws/orders/1", times=0, **fault)
    for sync_type in ("new", "new", "modified"):  # each pass says so, not only the first one
        summary = sync(account, sync_type)
        assert (summary.put_off, summary.is_partial, len(summary.problems)) == (1, True, 1)
        assert summary.problems[0].startswith("order 1 put off: 127.0.0.1 answers")
        assert connection.execute(PUT_OFF).fetchall() == [("1",)]
    marketplace.calm()
    summary = sync(account, next_pass)
    assert (summary.changed, summary.put_off, summary.problems) == (1, 0, [])
    assert lock_states(connection) == ["released"]
    assert connection.execute(PUT_OFF).fetchall() == []


@pytest.mark.usefixtures("without_backoff")
def test_an_order_that_was_put_off_and_has_not_changed_is_not_put_off_any_more(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    order = an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    marketplace.fault("status", path="/ws/orders/1", status=500, times=0)
    connection.execute("UPDATE orders SET created_at = now() - interval '3 hours'")
    del marketplace.world.scripted[1]
    marketplace.world.version += 1
    assert sync(account).put_off == 1
    marketplace.calm()
    marketplace.put(order)
    summary = sync(account)
    assert (summary.put_off, summary.changed) == (0, 0)
    assert connection.execute(PUT_OFF).fetchall() == []


@pytest.mark.usefixtures("without_backoff")
def test_orders_that_can_not_be_had_do_not_keep_others_from_their_turn(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    numbers = range(101, 103 + MAX_FETCHES_PER_PASS)
    gone_order(marketplace, account, *numbers)
    for number in list(numbers)[:MAX_FETCHES_PER_PASS]:
        marketplace.fault("status", path=f"/ws/orders/{number}", status=400, times=0)
    assert sync(account, "modified").put_off == MAX_FETCHES_PER_PASS
    assert sync(account, "modified").changed == 2


@pytest.mark.usefixtures("without_backoff")
def test_a_marketplace_that_is_down_gets_three_requests_and_the_pass_is_partial(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    gone_order(marketplace, account, *range(1, 7))
    marketplace.fault("status", path="/ws/orders/", status=500, times=0)
    summary = sync(account, "modified")
    assert (summary.put_off, summary.watermark is not None) == (3, True)
    marketplace.calm()
    assert sync(account, "modified").changed == 6


@pytest.mark.parametrize("other", [77, None], ids=["another order", "no id"])
def test_an_answer_that_is_not_the_requested_order_is_not_taken(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, other: int | None
) -> None:
    gone_order(marketplace, account, 1)
    wrong = {**marketplace.world.scripted[1], "order_id": other}
    right = marketplace.world.scripted[1]
    marketplace.world.scripted[1] = wrong
    for _ in range(2):
        summary = sync(account)
        assert (summary.put_off, summary.created, summary.rejected) == (1, 0, 0)
        assert "order 1 put off: the marketplace answered the request for order 1 with" in summary.problems[0]
    assert connection.execute("SELECT order_id, status FROM orders").fetchall() == [("1", "pending")]
    assert connection.execute(PUT_OFF).fetchall() == [("1",)]
    marketplace.put(right)
    assert sync(account).changed == 1


@pytest.mark.usefixtures("without_backoff")
def test_a_version_that_is_rejected_is_kept_while_the_order_can_not_be_fetched(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    gone_order(marketplace, account, 1)
    lines = marketplace.world.scripted[1]["orderlines"]
    marketplace.change(1, state=1, orderlines=[{**lines[0], "state": 1, "id": None}])
    marketplace.change(1, state=NOT_PAID_ORDER, orderlines=[{**lines[0], "state": 1, "id": None}])
    assert sync(account).rejected == 1
    (before,) = connection.execute("SELECT raw FROM rejected_records").fetchall()
    connection.execute("UPDATE orders SET fetched_by_id_at = NULL")
    marketplace.fault("status", path="/ws/orders/1", status=500, times=0)
    assert sync(account, "modified").put_off == 1
    ((raw, reasons),) = connection.execute("SELECT raw, reasons FROM rejected_records").fetchall()
    assert (raw,) == before
    assert [reason["what"] for reason in reasons] == ["is missing", "could not be fetched: 500"]
