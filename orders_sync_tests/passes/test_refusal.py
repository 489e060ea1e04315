"""Refusal of lines whose stock can't be locked: only where the account asks for it, late, visible before, on record."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.passes.waiting_lines import MAX_REQUESTS, REFUSAL_NOTICE, hold_back, waiting_lines
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.http_server import served
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.marketplaces.medusa_shop import MedusaShop, medusa_account

ON_RECORD = "SELECT order_id, sku, item_id, decision, state, answer_status FROM acceptances ORDER BY acceptance_id"
AFTER_20_HOURS = {"refuse_after": "20h"}


@pytest.fixture
def account(marketplace: Marketplace) -> SellerAccount:
    return sandbox_account(marketplace, accept_orderlines=True, when_short=AFTER_20_HOURS)


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    return StockConnection(connection)


def a_waiting_order(marketplace: Marketplace, number: int = 1, *, hours: float = 21, **fields: Any) -> None:
    an_order(marketplace, number, state=1, line_state=1, age=timedelta(hours=hours), **fields)


def short_for(connection: Connection, length: timedelta = REFUSAL_NOTICE) -> None:
    """Makes the locks look as if they were short for so long."""
    # A second more: the marketplace's clock has whole seconds.
    connection.execute("UPDATE stock_locks SET since = since - %s - interval '1 second'", [length])


def test_an_adapter_without_refuse_is_reported_and_the_pass_goes_on(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delattr(BackMarket, "refuse")
    import_levels(stock, {"PHONE": 0})
    a_waiting_order(marketplace)
    sync(account)
    short_for(connection)
    (problem,) = sync(account).problems
    assert "its adapter has no refuse(), so nothing was sent" in problem


def test_a_line_that_is_still_short_when_its_time_has_come_is_refused_once(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount
) -> None:
    import_levels(stock, {"PHONE": 0, "CASE": 1})
    a_waiting_order(marketplace, skus=("PHONE", "CASE"))
    first = sync(account)
    assert (first.accepted, first.refusals) == (1, 0)
    short_for(connection)
    assert sync(account).refusals == 1
    assert [write["new_state"] for write in marketplace.sandbox.writes] == [2, 4]
    assert connection.execute(ON_RECORD).fetchall() == [
        ("1", "CASE", "", "accept", "accepted", 200), ("1", "PHONE", "", "refuse", "done", 200),
    ]  # fmt: skip
    assert connection.execute("SELECT reason FROM acceptances WHERE decision = 'refuse'").fetchone() == (
        "still short 20 h after the payment: SKU PHONE: 0 of 1 available",
    )
    assert connection.execute("SELECT sku, status FROM order_items ORDER BY sku").fetchall() == [
        ("CASE", "accepted"), ("PHONE", "cancelled"),
    ]  # fmt: skip
    assert sync(account).refusals == 0
    check_invariants(connection)


@pytest.mark.parametrize(
    ("hours", "short_since", "refused"), [(19.9, timedelta(hours=5), 0), (21, timedelta(minutes=55), 0)]
)
def test_nothing_is_refused_before_its_time_or_before_it_could_be_seen(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount,
    hours: float, short_since: timedelta, refused: int,
) -> None:  # fmt: skip
    import_levels(stock, {"PHONE": 0})
    a_waiting_order(marketplace, hours=hours)
    sync(account)
    short_for(connection, short_since)
    assert sync(account).refusals == refused
    assert marketplace.sandbox.writes == []


@pytest.mark.parametrize("when_short", [None, "wait"])
def test_nothing_is_refused_unless_the_account_asks_for_it(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, when_short: str | None
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True, when_short=when_short)
    import_levels(stock, {"PHONE": 0})
    a_waiting_order(marketplace, hours=100)
    sync(account)
    short_for(connection, timedelta(days=3))
    sync(account)
    assert marketplace.sandbox.writes == []


def test_stock_that_comes_in_time_is_accepted_instead(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount
) -> None:
    import_levels(stock, {"PHONE": 0})
    a_waiting_order(marketplace)
    sync(account)
    short_for(connection)
    import_levels(stock, {"PHONE": 1})
    summary = sync(account)
    assert (summary.accepted, summary.refusals) == (1, 0)


def test_an_order_that_a_person_holds_back_is_not_refused_until_it_is_let_go(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount
) -> None:
    import_levels(stock, {"PHONE": 0})
    a_waiting_order(marketplace)
    sync(account)
    short_for(connection)
    assert hold_back(stock, "shop", "1", By("ann@office", "a box is on its way"), holds=True)
    assert sync(account).refusals == 0
    assert hold_back(stock, "shop", "1", By("ann@office", "it was lost"), holds=False)
    assert sync(account).refusals == 1
    assert not hold_back(stock, "shop", "2", By("ann@office", "no such order"), holds=True)


def test_without_a_stock_list_lines_wait_and_the_pass_says_so(
    marketplace: Marketplace, connection: Connection, account: SellerAccount
) -> None:
    a_waiting_order(marketplace)
    sync(account)
    short_for(connection, timedelta(days=1))
    assert sync(account).problems == ["when_short: no stock list was imported: lines without stock wait"]
    assert marketplace.sandbox.writes == []


@pytest.mark.parametrize("field", ["date_creation", "date_payment"])
@pytest.mark.parametrize("odd", ["2015-01-01T00:00:00+00:00", "2015-01-01T00:00:00", "2099-01-01T00:00:00+00:00"])
def test_an_odd_time_is_no_age(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount,
    field: str, odd: str,
) -> None:  # fmt: skip
    """A line with a default date, or a time without a zone, counts as of the order, or of when it was first stored."""
    import_levels(stock, {"PHONE": 0})
    times: dict[str, Any] = {field: odd}
    a_waiting_order(marketplace, hours=1, **times)
    sync(account)
    short_for(connection, timedelta(hours=2))
    assert sync(account).refusals == 0
    (line,) = waiting_lines(stock, ["shop"])
    assert timedelta(0) <= datetime.now(UTC) - line.waits_since < timedelta(hours=1, minutes=5)


def test_a_short_line_whose_sku_another_line_of_the_order_holds_is_not_refused_with_it(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount
) -> None:
    """Back Market refuses all lines of a SKU together."""
    import_levels(stock, {"PHONE": 1})
    a_waiting_order(marketplace, skus=("PHONE", "PHONE"))
    sync(account)
    short_for(connection)
    sync(account)
    assert marketplace.sandbox.writes == []


@pytest.fixture
def by_order(marketplace: Marketplace) -> SellerAccount:
    """An account where one request accepts an order, and another refuses a SKU of it."""
    return sandbox_account(marketplace, accept_orderlines=True, when_short=AFTER_20_HOURS, accept_by="order")


def an_order_with_a_short_line_whose_time_has_come(
    marketplace: Marketplace, connection: Connection, account: SellerAccount, skus: tuple[str, ...] = ("PHONE", "CASE")
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 0, "CASE": 1})
    a_waiting_order(marketplace, skus=skus)
    assert sync(account).accepted == 0
    short_for(connection)


def test_what_a_refusal_frees_is_accepted_in_the_same_pass(
    marketplace: Marketplace, connection: Connection, by_order: SellerAccount
) -> None:
    an_order_with_a_short_line_whose_time_has_come(marketplace, connection, by_order)
    summary = sync(by_order)
    assert (summary.accepted, summary.refusals, summary.problems) == (1, 1, [])
    assert [(write["sku"], write["new_state"]) for write in marketplace.sandbox.writes] == [("PHONE", 4), (None, 2)]
    assert connection.execute(ON_RECORD).fetchall() == [
        ("1", "PHONE", "", "refuse", "done", 200), ("1", "", "", "accept", "accepted", 200),
    ]  # fmt: skip
    assert connection.execute("SELECT sku, status FROM order_items ORDER BY sku").fetchall() == [
        ("CASE", "accepted"), ("PHONE", "cancelled"),
    ]  # fmt: skip
    check_invariants(connection)


@pytest.mark.parametrize(("status", "body"), [(400, None), (200, {})])
def test_an_order_is_not_accepted_while_a_line_still_waits_that_was_to_be_refused(
    marketplace: Marketplace, connection: Connection, by_order: SellerAccount, status: int, body: object
) -> None:
    """The refusal was refused, or answered as if it was carried out, without effect."""
    an_order_with_a_short_line_whose_time_has_come(marketplace, connection, by_order)
    marketplace.fault("status", method="POST", path="/ws/orders/1", status=status, body=body, times=0)
    assert sync(by_order).accepted == 0
    assert [decision for _, _, _, decision, *_ in connection.execute(ON_RECORD)] == ["refuse"]
    marketplace.calm()
    assert (sync(by_order).accepted, len(marketplace.sandbox.writes)) == (1, 2)


def test_what_waits_for_two_refusals_is_accepted_once_both_were_carried_out(
    marketplace: Marketplace, connection: Connection, by_order: SellerAccount
) -> None:
    an_order_with_a_short_line_whose_time_has_come(marketplace, connection, by_order, ("PHONE", "CASE", "WATCH"))
    connection.execute("UPDATE stock_locks SET since = now() WHERE sku = 'WATCH'")
    summary = sync(by_order)
    assert (summary.accepted, summary.refusals) == (0, 1)
    short_for(connection)
    summary = sync(by_order)
    assert (summary.accepted, summary.refusals) == (1, 1)


@pytest.mark.parametrize("fault", ["lose_answer", "reset"])
def test_a_refusal_without_answer_is_settled_by_fetching_the_order_anew(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount, fault: str
) -> None:
    import_levels(stock, {"PHONE": 0})
    a_waiting_order(marketplace)
    sync(account)
    short_for(connection)
    marketplace.fault(fault, method="POST", path="/ws/orders/1")
    assert "refusal without answer" in sync(account).problems[0]
    sync(account)
    assert len(marketplace.sandbox.writes) == 1
    states = [state for *_, state, _ in connection.execute(ON_RECORD)]
    assert states == (["left"] if fault == "lose_answer" else ["left", "done"])
    check_invariants(connection)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_published_error_of_back_market_is_on_record_and_not_repeated_for_ever(
    marketplace: Marketplace, connection: Connection, stock: StockConnection, account: SellerAccount, status: int
) -> None:
    import_levels(stock, {"PHONE": 0})
    a_waiting_order(marketplace)
    sync(account)
    short_for(connection)
    marketplace.fault("status", method="POST", path="/ws/orders/1", status=status, times=0)
    for _ in range(MAX_REQUESTS):
        summary = sync(account)
        assert (summary.refusals, summary.refused) == (0, 1)
    assert sync(account).problems == [
        "order 1, SKU PHONE: still waits after 5 requests, so no more are sent; "
        "accept or refuse it by hand in the marketplace's back office"
    ]
    assert {*connection.execute(ON_RECORD)} == {("1", "PHONE", "", "refuse", "refused", status)}


@pytest.fixture
def mirakl() -> Iterator[Marketplace]:
    with Marketplace(FakeMirakl, orders=60, days=5, arrivals_per_day=60) as opened:
        opened.pass_time(hours=6)
        yield opened


def lines_that_wait(mirakl: Marketplace) -> dict[str, dict[str, str]]:
    """The orders that wait: line → SKU of those that do."""
    return {
        order["order_id"]: lines
        for order in mirakl.listed()
        if (
            lines := {
                line["order_line_id"]: line["offer_sku"]
                for line in order["order_lines"]
                if line["order_line_state"] == "WAITING_ACCEPTANCE"
            }
        )
    }


def a_mirakl_order_with_a_short_line(mirakl: Marketplace, stock: StockConnection) -> tuple[str, dict[str, bool]]:
    """Imports stock for all lines but one of an order; returns it, and for each of its lines whether it has stock."""
    waiting = lines_that_wait(mirakl)
    order = next(order for order, lines in sorted(waiting.items()) if len(set(lines.values())) > 1)
    short = min(waiting[order].values())
    skus = {sku for lines in waiting.values() for sku in lines.values()}
    import_levels(stock, {sku: 0 if sku == short else 1_000 for sku in skus})
    return order, {line: sku != short for line, sku in waiting[order].items()}


def its_time_has_come(connection: Connection) -> None:
    connection.execute("UPDATE orders SET created_at = created_at - interval '2 days', paid_at = NULL")
    short_for(connection)


def test_mirakl_refuses_the_short_lines_and_accepts_the_others_with_one_request(
    mirakl: Marketplace, connection: Connection, stock: StockConnection
) -> None:
    account = sandbox_account(mirakl, accept_orderlines=True, when_short=AFTER_20_HOURS)
    order, has_stock = a_mirakl_order_with_a_short_line(mirakl, stock)
    sync(account)
    assert order not in {write["order_id"] for write in mirakl.sandbox.writes}
    its_time_has_come(connection)
    assert sync(account).refusals > 0
    assert [write["order_lines"] for write in mirakl.sandbox.writes if write["order_id"] == order] == [has_stock]
    statuses = "SELECT item_id, status = 'accepted' FROM order_items WHERE order_id = %s"
    assert dict(connection.execute(statuses, [order]).fetchall()) == has_stock
    check_invariants(connection)


def test_pieces_that_are_taken_back_while_a_refusal_accepts_other_lines_are_reported(
    mirakl: Marketplace, connection: Connection, stock: StockConnection
) -> None:
    account = sandbox_account(mirakl, accept_orderlines=True, when_short=AFTER_20_HOURS)
    order, has_stock = a_mirakl_order_with_a_short_line(mirakl, stock)
    sync(account)
    its_time_has_come(connection)
    held = [lines_that_wait(mirakl)[order][line] for line in has_stock if has_stock[line]]
    with ThreadPoolExecutor(1) as executor, mirakl.closed_gate(f"/api/orders/{order}/accept") as gate:
        running = executor.submit(sync, account)
        wait_for(lambda: gate.reached or running.done(), what=f"the refusal of order {order}")
        import_levels(stock, dict.fromkeys(held, 0))
        gate.is_open = True
        problems = running.result().problems
    assert any(f"order {order}: its pieces were taken back" in problem for problem in problems)


def test_a_mirakl_shop_that_decides_whole_orders_only_is_reported(
    mirakl: Marketplace, connection: Connection, stock: StockConnection
) -> None:
    assert isinstance(mirakl.fake, FakeMirakl)
    mirakl.fake.accepts_in_part = False
    account = sandbox_account(mirakl, accept_orderlines=True, when_short=AFTER_20_HOURS)
    order, _ = a_mirakl_order_with_a_short_line(mirakl, stock)
    sync(account)
    its_time_has_come(connection)
    assert any(f"order {order}: refusal refused: " in problem for problem in sync(account).problems)
    answer = "SELECT answer LIKE '%%ORDER_PARTIAL_ACCEPTANCE_DISABLED%%' FROM acceptances WHERE order_id = %s"
    assert connection.execute(answer, [order]).fetchall() == [(True,)]


@pytest.mark.parametrize(
    "code",
    [
        "ORDER_FULFILLED_UNAUTHORIZED", "ORDER_INVALID_STATE", "ORDER_LINE_ACCEPTANCE_DECISION_MISSING",
        "ORDER_LINE_DUPLICATE_ID", "ORDER_LINE_NOT_FOUND", "ORDER_LINE_NULL_ELEMENT", "ORDER_NOT_FOUND",
        "ORDER_PARTIAL_ACCEPTANCE_DISABLED", "VALIDATION_ERROR",
    ],
)  # fmt: skip
def test_a_published_error_of_mirakl_is_on_record_and_the_next_pass_refuses_what_still_waits(
    mirakl: Marketplace, connection: Connection, stock: StockConnection, code: str
) -> None:
    account = sandbox_account(mirakl, accept_orderlines=True, when_short=AFTER_20_HOURS)
    order, _ = a_mirakl_order_with_a_short_line(mirakl, stock)
    sync(account)
    its_time_has_come(connection)
    status = 404 if code.endswith("NOT_FOUND") else 400
    body = {"message": code, "status": status}
    mirakl.fault("status", method="PUT", path=f"/api/orders/{order}/accept", status=status, body=body)
    assert sync(account).refused == 1
    on_record = "SELECT state, answer LIKE %s FROM acceptances WHERE order_id = %s"
    assert connection.execute(on_record, [f"%{code}%", order]).fetchall() == [("refused", True)]
    assert sync(account).refusals == 1


@pytest.mark.parametrize(("status", "code"), [(400, 3), (401, 16), (403, 7), (404, 5)])
def test_refurbed_refuses_each_item_and_a_published_error_is_on_record(
    connection: Connection, stock: StockConnection, status: int, code: int
) -> None:
    with Marketplace(FakeRefurbed, orders=120, days=20) as refurbed:
        account = sandbox_account(refurbed, accept_orderlines=True, when_short=AFTER_20_HOURS)
        items = [item for order in refurbed.listed() for item in order["items"] if item["state"] == "NEW"]
        import_levels(stock, {item["sku"]: 0 for item in items})
        sync(account)
        its_time_has_come(connection)
        path = "/refb.merchant.v1.OrderItemService"
        refurbed.fault("status", path=path, status=status, body={"code": code, "message": "an error"})
        first = sync(account)
        assert (first.refusals, first.refused) == (len(items) - 1, 1)
        second = sync(account)
        assert second.refusals == 1
        assert second.problems[-1].endswith(
            "refused; refund it, and tell the buyer why by a ticket: refurbed does neither"
        )
        done = [write for write in refurbed.sandbox.writes if write["problem"] is None]
        assert {write["state"] for write in done} == {"REJECTED"}
        assert sorted(write["item_id"] for write in done) == sorted(item["id"] for item in items)
        rows = connection.execute("SELECT state, count(*) FROM acceptances GROUP BY 1 ORDER BY 1").fetchall()
        assert rows == [("done", len(items)), ("refused", 1)]
        assert connection.execute("SELECT count(*) FROM order_items WHERE status = 'pending'").fetchone() == (0,)
        check_invariants(connection)


def test_where_the_contract_has_no_refusal_lines_wait_and_the_pass_says_so(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDUSA_KEY", "sk_test")
    with served(MedusaShop().app()) as url:
        account = medusa_account(url, accept_orderlines=True, when_short=AFTER_20_HOURS)
        assert sync(account).problems == ["when_short: Medusa 2 has no refusal: lines without stock wait"]
