"""Acceptance at Mirakl (OR21): one request decides every waiting line of an order, and its answer carries no order."""

from collections.abc import Iterator
from typing import Any

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget
from orders_sync.marketplaces.kit.errors import RequestRefusedError
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.sandbox.mirakl import FakeMirakl, order_id
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync

ON_RECORD = "SELECT order_id, sku, item_id, state, answer_status FROM acceptances ORDER BY acceptance_id"


@pytest.fixture
def mirakl() -> Iterator[Marketplace]:
    with Marketplace(FakeMirakl, orders=60, days=5, arrivals_per_day=60) as opened:
        opened.pass_time(hours=6)
        yield opened


def waiting(mirakl: Marketplace) -> dict[str, list[str]]:
    """The orders that wait, each with its lines that wait."""
    return {
        order["order_id"]: lines
        for order in mirakl.listed()
        if (lines := [line["order_line_id"] for line in order["order_lines"] if waits(line)])
    }


def waits(line: dict[str, Any]) -> bool:
    return line["order_line_state"] == "WAITING_ACCEPTANCE"


def test_all_waiting_lines_of_an_order_are_accepted_with_one_request(
    mirakl: Marketplace, connection: Connection
) -> None:
    account, expected = sandbox_account(mirakl, accept_orderlines=True), waiting(mirakl)
    assert any(len(lines) > 1 for lines in expected.values())
    assert sync(account).accepted == len(expected)
    assert {write["order_id"]: write["order_lines"] for write in mirakl.sandbox.writes} == {
        order: dict.fromkeys(lines, True) for order, lines in expected.items()
    }
    assert {*connection.execute(ON_RECORD)} == {(order, "", "", "accepted", 204) for order in expected}
    # The answers carry no order: each was fetched anew and stored.
    stored = connection.execute(
        "SELECT DISTINCT status FROM order_items WHERE order_id = ANY(%s)", [list(expected)]
    ).fetchall()
    assert stored == [("accepted",)]
    assert sync(account).accepted == 0
    assert len(mirakl.sandbox.writes) == len(expected)
    check_invariants(connection)


def test_an_order_with_a_short_line_waits_and_is_accepted_once_its_stock_is_there(
    mirakl: Marketplace, connection: Connection
) -> None:
    """No list of a later pass shows the order: it has not changed."""
    account = sandbox_account(mirakl, accept_orderlines=True, when_short="wait")
    expected = waiting(mirakl)
    skus = {line.sku for order in mirakl.world.orders.values() for line in order.lines}
    short = next(order for order in mirakl.world.orders.values() if len(expected.get(order_id(order), [])) > 1)
    import_levels(StockConnection(connection), {sku: 1_000 for sku in skus if sku != short.lines[0].sku})
    sync(account)
    accepted = {write["order_id"] for write in mirakl.sandbox.writes}
    assert order_id(short) in expected
    assert order_id(short) not in accepted
    import_levels(StockConnection(connection), dict.fromkeys(skus, 1_000))
    sync(account)
    assert {write["order_id"] for write in mirakl.sandbox.writes} == set(expected)
    check_invariants(connection)


@pytest.mark.parametrize(
    "code",
    [
        "ORDER_FULFILLED_UNAUTHORIZED", "ORDER_INVALID_STATE", "ORDER_LINE_ACCEPTANCE_DECISION_MISSING",
        "ORDER_LINE_DUPLICATE_ID", "ORDER_LINE_NOT_FOUND", "ORDER_LINE_NULL_ELEMENT", "ORDER_NOT_FOUND",
        "ORDER_PARTIAL_ACCEPTANCE_DISABLED", "VALIDATION_ERROR",
    ],
)  # fmt: skip
def test_a_published_error_is_on_record_and_stops_no_other_order(
    mirakl: Marketplace, connection: Connection, code: str
) -> None:
    account, expected = sandbox_account(mirakl, accept_orderlines=True), waiting(mirakl)
    refused = min(expected)
    status = 404 if code.endswith("NOT_FOUND") else 400
    body = {"message": code, "status": status}
    mirakl.fault("status", method="PUT", path=f"/api/orders/{refused}/accept", status=status, body=body)
    summary = sync(account)
    assert (summary.accepted, summary.refused) == (len(expected) - 1, 1)
    assert connection.execute(
        "SELECT state, answer_status, answer LIKE %s FROM acceptances WHERE order_id = %s", [f"%{code}%", refused]
    ).fetchall() == [("refused", status, True)]
    # The next pass reads the order anew, and asks about the lines that wait now.
    assert sync(account).accepted == 1
    check_invariants(connection)


def test_a_request_about_other_lines_than_those_that_wait_is_refused(mirakl: Marketplace) -> None:
    adapter = open_adapter(sandbox_account(mirakl))
    order, lines = next((order, lines) for order, lines in waiting(mirakl).items() if len(lines) > 1)
    for item_ids, code in (
        (lines[:1], "ORDER_LINE_ACCEPTANCE_DECISION_MISSING"),
        ([*lines, lines[0]], "ORDER_LINE_DUPLICATE_ID"),
        ([*lines, "unknown"], "ORDER_LINE_NOT_FOUND"),
    ):
        with pytest.raises(RequestRefusedError, match=code):
            adapter.accept(AcceptanceTarget(order), item_ids)
    with pytest.raises(RequestRefusedError, match="ORDER_NOT_FOUND"):
        adapter.accept(AcceptanceTarget("Order_0-A"), lines)
    assert adapter.accept(AcceptanceTarget(order), lines).status == 204
    with pytest.raises(RequestRefusedError, match="ORDER_INVALID_STATE"):
        adapter.accept(AcceptanceTarget(order), lines)
    adapter.close()


def test_a_lost_answer_is_settled_by_fetching_the_order_anew(mirakl: Marketplace, connection: Connection) -> None:
    account, expected = sandbox_account(mirakl, accept_orderlines=True), waiting(mirakl)
    lost = min(expected)
    mirakl.fault("lose_answer", method="PUT", path=f"/api/orders/{lost}/accept")
    assert sync(account).accepted == len(expected) - 1
    sync(account)
    assert [write["order_id"] for write in mirakl.sandbox.writes].count(lost) == 1
    state = "SELECT state FROM acceptances WHERE order_id = %s"
    assert connection.execute(state, [lost]).fetchall() == [("left",)]
    check_invariants(connection)
