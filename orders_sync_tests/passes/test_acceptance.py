"""Acceptance: the only writes to a marketplace. After the commit, once, only while the line waits, all recorded."""

from datetime import timedelta

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.passes.waiting_lines import MAX_REQUESTS
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.row_faults import FAIL, fault_at_row

ON_RECORD = "SELECT order_id, sku, state, answer_status FROM acceptances ORDER BY acceptance_id"


def test_a_waiting_line_is_accepted_once_after_it_is_stored(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    summary = sync(account)
    assert summary.accepted == 1
    assert connection.execute(ON_RECORD).fetchall() == [("1", "PHONE", "accepted", 200)]
    assert connection.execute("SELECT status FROM order_items").fetchone() == ("accepted",)
    assert sync(account).accepted == 0
    assert [write["new_state"] for write in marketplace.sandbox.writes] == [2]
    check_invariants(connection)


def test_nothing_is_accepted_where_the_account_does_not_say_so(
    marketplace: Marketplace, connection: Connection
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    sync(sandbox_account(marketplace))
    assert marketplace.sandbox.writes == []


def test_a_rejected_order_is_never_accepted(marketplace: Marketplace, connection: Connection) -> None:
    an_order(marketplace, 1, state=1, line_state=1, quantity=0)
    sync(sandbox_account(marketplace, accept_orderlines=True))
    assert marketplace.sandbox.writes == []


def test_a_stored_order_whose_newest_version_is_rejected_is_not_accepted(
    marketplace: Marketplace, connection: Connection
) -> None:
    order = an_order(marketplace, 1, state=1, line_state=1)
    sync(sandbox_account(marketplace))
    marketplace.change(1, orderlines=[{**order["orderlines"][0], "id": None}])
    sync(sandbox_account(marketplace, accept_orderlines=True))
    assert marketplace.sandbox.writes == []


def test_a_lost_answer_is_settled_by_fetching_the_order_anew(marketplace: Marketplace, connection: Connection) -> None:
    """The marketplace did it, the answer got lost: a blind repetition would be an error at best."""
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault("lose_answer", method="POST")
    summary = sync(account)
    assert summary.accepted == 0
    assert "acceptance without answer" in summary.problems[0]
    assert connection.execute(ON_RECORD).fetchall() == [("1", "PHONE", "lost", None)]
    sync(account)
    assert len(marketplace.sandbox.writes) == 1
    sync(account, "modified")
    assert connection.execute("SELECT status FROM order_items").fetchone() == ("accepted",)
    check_invariants(connection)


@pytest.mark.parametrize("state", ["requested", "lost"])
def test_a_request_without_answer_is_settled_if_another_sync_stored_the_new_state_first(
    marketplace: Marketplace, connection: Connection, state: str
) -> None:
    """`requested`: the worker died before it sent the request, or before it stored the answer."""
    account = sandbox_account(marketplace, accept_orderlines=True)
    for number in (1, 2):
        an_order(marketplace, number, state=1, line_state=1)
    marketplace.fault("lose_answer", method="POST", path="/ws/orders/1")
    marketplace.fault("reset", method="POST", path="/ws/orders/2")
    sync(account)
    connection.execute("UPDATE acceptances SET state = %s", [state])
    sync(account, "modified")
    assert sync(account).accepted == 1
    assert connection.execute(ON_RECORD).fetchall() == [
        ("1", "PHONE", "left", None), ("2", "PHONE", "left", None), ("2", "PHONE", "accepted", 200),
    ]  # fmt: skip
    check_invariants(connection)


def test_an_order_that_cannot_be_read_anew_stops_no_other_acceptance(
    marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault("status", method="POST", status=409)
    assert sync(account).refused == 1
    an_order(marketplace, 2, state=1, line_state=1)
    marketplace.fault("status", path="/ws/orders/1", method="GET", status=400, times=0)
    summary = sync(account)
    assert summary.accepted == 1
    assert any(
        "order 1, SKU PHONE: not accepted, since the order could not be read anew" in p for p in summary.problems
    )
    check_invariants(connection)


def test_a_lost_request_is_sent_again_only_after_fetching_the_order_anew(
    marketplace: Marketplace, connection: Connection
) -> None:
    """Nothing was done: the order still waits when it is fetched anew, and a second request accepts it."""
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault("reset", method="POST")
    sync(account)
    assert marketplace.sandbox.writes == []
    sync(account)
    assert connection.execute(ON_RECORD).fetchall() == [
        ("1", "PHONE", "left", None),
        ("1", "PHONE", "accepted", 200),
    ]
    assert marketplace.calls("GET /ws/orders/…") == 1


def test_a_refusal_is_reported_and_stops_no_other(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    an_order(marketplace, 2, state=1, line_state=1)
    marketplace.fault("status", method="POST", path="/ws/orders/1", status=400)
    summary = sync(account)
    assert (summary.accepted, summary.refused) == (1, 1)
    assert connection.execute(ON_RECORD).fetchall() == [
        ("1", "PHONE", "refused", 400),
        ("2", "PHONE", "accepted", 200),
    ]


def test_a_line_cancelled_meanwhile_is_left_alone(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault("reset", method="POST")
    sync(account)
    marketplace.set_states(1, 9, 4)
    sync(account)
    assert marketplace.sandbox.writes == []


def test_short_lines_are_not_accepted_if_the_account_says_so(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True, when_short="wait")
    import_levels(StockConnection(connection), {"PHONE": 1, "CASE": 0})
    an_order(marketplace, 1, state=1, line_state=1, skus=("PHONE", "CASE"))
    sync(account)
    assert connection.execute(ON_RECORD).fetchall() == [("1", "PHONE", "accepted", 200)]
    check_invariants(connection)


def test_of_two_orders_for_one_piece_one_is_accepted_where_a_stock_list_was_imported(
    marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    import_levels(StockConnection(connection), {"PHONE": 1})
    for number in (1, 2):
        an_order(marketplace, number, state=1, line_state=1, age=timedelta(minutes=10 - number))
    sync(account)
    assert connection.execute(ON_RECORD).fetchall() == [("1", "PHONE", "accepted", 200)]
    import_levels(StockConnection(connection), {"PHONE": 2})
    sync(account)
    assert connection.execute(ON_RECORD).fetchall() == [
        ("1", "PHONE", "accepted", 200),
        ("2", "PHONE", "accepted", 200),
    ]
    check_invariants(connection)


@pytest.mark.parametrize(("setting", "has_stock_list"), [(None, False), ("accept", False), ("accept", True)])
def test_lines_are_accepted_without_stock_if_there_is_no_stock_list_or_the_account_says_so(
    marketplace: Marketplace, connection: Connection, setting: str | None, has_stock_list: bool
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True, when_short=setting)
    if has_stock_list:
        import_levels(StockConnection(connection), {"PHONE": 0})
    an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    assert connection.execute(ON_RECORD).fetchall() == [("1", "PHONE", "accepted", 200)]


def test_a_crash_between_storing_and_accepting_loses_neither_order_nor_acceptance(
    marketplace: Marketplace, connection: Connection
) -> None:
    """The first V2 accepted first: after a crash, `new` never saw the order again."""
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    with (
        fault_at_row(connection, "acceptances", 1, FAIL),
        pytest.raises(PassFailedError, match="switched on by a test"),
    ):
        sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)
    assert marketplace.sandbox.writes == []
    assert sync(account).accepted == 1


def test_the_order_in_an_answer_is_stored_and_does_not_count_as_fetched(
    marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1, skus=("PHONE", "CASE"))
    listed = sync(sandbox_account(marketplace)).fetched
    marketplace.pass_time(minutes=1)
    summary = sync(account)
    assert (summary.accepted, summary.changed, summary.fetched) == (2, 1, listed)
    assert connection.execute("SELECT DISTINCT status FROM order_items").fetchall() == [("accepted",)]


def test_lines_that_still_wait_after_many_requests_are_given_up_and_reported(
    marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault("status", method="POST", path="/ws/orders/1", status=400, times=0)
    for _ in range(MAX_REQUESTS):
        assert sync(account).refused == 1
    summary = sync(account)
    assert summary.refused == 0
    assert summary.problems == [
        "order 1, SKU PHONE: still waits after 5 requests, so no more are sent; "
        "accept it by hand in the marketplace's back office"
    ]
    assert len(connection.execute(ON_RECORD).fetchall()) == MAX_REQUESTS


def test_requests_to_a_marketplace_that_is_unavailable_use_up_no_tries(
    marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True)
    an_order(marketplace, 1, state=1, line_state=1)
    too_long = {"Retry-After": "3600"}
    marketplace.fault("status", method="POST", path="/ws/orders/1", status=429, headers=too_long, times=0)
    for _ in range(MAX_REQUESTS + 1):
        summary = sync(account)
        assert (summary.accepted, summary.refused) == (0, 0)
        assert "order 1, SKU PHONE: not accepted: " in summary.problems[0]
        connection.execute("DELETE FROM rate_limits")  # the hour is over
    assert {*connection.execute(ON_RECORD)} == {("1", "PHONE", "failed", None)}
    marketplace.calm()
    assert sync(account).accepted == 1
    assert marketplace.calls("GET /ws/orders/…") == 0  # the list has just shown that it waits


def test_an_adapter_without_accept_is_reported_and_the_order_is_stored(
    marketplace: Marketplace, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an adapter that a user registered with an acceptance_unit, but without the method."""
    monkeypatch.delattr(BackMarket, "accept")
    an_order(marketplace, 1, state=1, line_state=1)
    summary = sync(sandbox_account(marketplace, accept_orderlines=True))
    assert summary.created == 1
    assert summary.problems == [
        "order 1, SKU PHONE: not accepted: its adapter has no accept(), so nothing was sent; write it, or register the "
        "marketplace without acceptance_unit"
    ]
    assert connection.execute(ON_RECORD).fetchall() == [("1", "PHONE", "failed", None)]


def test_stock_is_applied_first_where_only_a_lost_request_is_sent_again(
    marketplace: Marketplace, connection: Connection
) -> None:
    """The list of orders that wait leaves the order out, but a line of it still waits."""
    account = sandbox_account(marketplace, accept_orderlines=True, when_short="wait")
    import_levels(StockConnection(connection), {"PHONE": 1})
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault("reset", method="POST")
    sync(account)
    assert connection.execute("SELECT state FROM stock_locks").fetchone() == ("locked",)
    lines = [{**line, "quantity": 2} for line in marketplace.world.scripted[1]["orderlines"]]
    marketplace.pass_time(minutes=1)
    marketplace.change(1, state=3, orderlines=lines)
    sync(account, "modified")
    sync(account)
    assert connection.execute("SELECT state FROM stock_locks").fetchone() == ("short",)
    assert marketplace.sandbox.writes == []


def test_a_whole_order_is_accepted_with_one_call_where_the_account_says_so(
    marketplace: Marketplace, connection: Connection
) -> None:
    """The contract's other way: without a SKU, for all waiting lines; not where one of them is short."""
    import_levels(StockConnection(connection), {"PHONE": 1, "CASE": 9})
    settings = {"accept_orderlines": True, "when_short": "wait", "accept_by": "order"}
    account = sandbox_account(marketplace, **settings)
    an_order(marketplace, 1, state=1, line_state=1, skus=("PHONE", "CASE"))
    an_order(marketplace, 2, state=1, line_state=1, skus=("PHONE", "CASE"))
    assert sync(account).accepted == 1
    assert [(write["order_id"], write["sku"]) for write in marketplace.sandbox.writes] == [(1, None)]
    assert connection.execute(ON_RECORD).fetchall() == [("1", "", "accepted", 200)]
    statuses = connection.execute("SELECT order_id, status FROM order_items ORDER BY item_id").fetchall()
    assert statuses == [("1", "accepted"), ("1", "accepted"), ("2", "pending"), ("2", "pending")]
    check_invariants(connection)


def test_while_v1_has_the_authority_nothing_is_accepted(marketplace: Marketplace, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO migration_moves (from_phase, to_phase, moved_by, forced, reason, checks) "
        "VALUES ('live', 'parallel', 'a test', false, 'a test', '[]')"
    )
    an_order(marketplace, 1, state=1, line_state=1)
    sync(sandbox_account(marketplace, accept_orderlines=True))
    assert marketplace.sandbox.writes == []
    assert connection.execute(ON_RECORD).fetchall() == []
