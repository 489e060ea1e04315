"""Documents that are not as published: an odd one takes no other with it, of no order and of no other call."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import MAX_DELIVERY_PAGES
from orders_sync.marketplaces.kit import retries
from orders_sync.testing.marketplace import sync
from orders_sync_tests.marketplaces.scripted_shop import (
    MARKETPLACES,
    SERVICE,
    Query,
    ScriptedShop,
    account_at,
    an_order_at,
)

PATHS = {
    "back_market": "/ws/shipping/v1/deliveries", "refurbed": f"{SERVICE}/ListShippingLabels",
    "mirakl": "/api/orders/documents", "medusa": "/admin/orders",
}  # fmt: skip
"""The path of the call for labels."""
NOTE = "https://documents.example.com/note.pdf"
HALF = "\ud83d"
"""Half a surrogate pair; the JSON has it as an escape."""


@pytest.fixture(params=MARKETPLACES)
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ScriptedShop:
    monkeypatch.setenv("SCRIPTED_SHOP_TOKEN", "secret")
    for name in ("FIRST_BACKOFF_SECONDS", "MAX_BACKOFF_SECONDS", "BACKOFF_JITTER_SECONDS"):
        monkeypatch.setattr(retries, name, 0.0)
    shop = ScriptedShop(request.param)
    shop.orders = [an_order_at(shop.marketplace, number) for number in (1, 2)]
    return shop


@pytest.fixture
def account(shop: ScriptedShop, connection: Connection) -> Iterator[SellerAccount]:
    """An account whose two orders are stored."""
    with account_at(shop) as opened:
        sync(opened)
        yield opened


def a_label(marketplace: str, of_order: int, key: int, **odd: Any) -> dict[str, Any]:
    """A label in the marketplace's form."""
    url = f"https://l.example.com/{key}"
    match marketplace:
        case "back_market":
            return {"order": of_order, "shipmentId": key, "labelUrl": url, "trackingNumber": f"T{key}", **odd}
        case "refurbed":
            return {"id": str(key), "label_printer_url": url, "tracking_data": {"tracking_number": f"T{key}"}, **odd}
        case "mirakl":
            return {"id": key, "order_id": str(of_order), "type": "SHIPPING_LABEL", **odd}
        case _:
            return {"id": str(key), "label_url": url, "tracking_number": f"T{key}", **odd}


def answering(marketplace: str, labels: Callable[[int], Any]) -> Callable[[str, Query], object]:
    """The answers to the calls for documents; `labels`: those of an order by its number, or the text of its answer."""

    def answer(path: str, query: Query) -> object:
        if path == "/ws/orders/1" or path == "/ws/orders/2":
            return {"order_id": int(path[-1]), "delivery_note": NOTE}
        if path != PATHS[marketplace] or (marketplace == "medusa" and "id[]" not in query):
            return None
        match marketplace:
            case "back_market":
                found = labels(int(query["order_id"]))
                return found if isinstance(found, str) else {"results": found, "next": None}
            case "refurbed":
                found = labels(int(query["order_id"]))
                return found if isinstance(found, str) else {"shipping_labels": found}
            case "mirakl":
                numbers = [int(number) for number in query["order_ids"].split(",")]
                return {"order_documents": [label for number in numbers for label in labels(number)]}
            case _:
                return {"orders": [{"id": str(n), "fulfillments": [{"labels": labels(n)}]} for n in (1, 2)], "count": 2}

    return answer


def labels_of(connection: Connection) -> list[tuple[str, str]]:
    """The ids of the orders, with the keys of their labels that are not cancelled."""
    return connection.execute(
        "SELECT order_id, document_key FROM order_documents WHERE kind = 'label' AND cancelled_at IS NULL ORDER BY 1, 2"
    ).fetchall()


def test_a_label_whose_ids_have_spaces_around_them_is_the_same_label(
    shop: ScriptedShop, account: SellerAccount, connection: Connection
) -> None:
    spaced = {
        "back_market": {"order": " 1", "shipmentId": "10\t"}, "refurbed": {"id": "10\t"},
        "mirakl": {"order_id": " 1", "id": "10\t"}, "medusa": {"id": "10\t"},
    }  # fmt: skip
    label = a_label(shop.marketplace, 1, 10)
    for odd in ({}, spaced[shop.marketplace]):
        connection.execute("UPDATE orders SET label_url = NULL")
        shop.answer = answering(shop.marketplace, lambda n, odd=odd: [{**label, **odd}] if n == 1 else [])
        assert sync(account, "incomplete").documents_found >= 1
        assert labels_of(connection) == [("1", "10")]


UNREADABLE: dict[str, list[Any]] = {
    "back_market": [None, 5, {"shipmentId": 12}, {"order": {}, "shipmentId": 12}, {"order": None}],
    "refurbed": [None, 5, []],
    "mirakl": [
        None,
        {"id": 12},
        {"id": None, "order_id": "1", "type": "SHIPPING_LABEL"},
        {"order_id": "1", "type": {}},
    ],
    "medusa": [None, 5, []],
}
"""Labels of order 1 that can't be read at all."""


@pytest.mark.parametrize("position", range(5))
def test_a_label_that_can_not_be_read_takes_no_other_with_it_and_is_tried_again(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, position: int
) -> None:
    bad = UNREADABLE[shop.marketplace][position % len(UNREADABLE[shop.marketplace])]
    good = {number: a_label(shop.marketplace, number, 10 * number) for number in (1, 2)}
    known = a_label(shop.marketplace, 1, 11)
    shop.answer = answering(shop.marketplace, lambda n: [known] if n == 1 else [])
    sync(account, "incomplete")
    # Order 1 gets a second label, while the first one can't be read: it is not a label that was replaced.
    connection.execute("UPDATE orders SET label_url = NULL")
    shop.answer = answering(shop.marketplace, lambda n: [bad, good[1]] if n == 1 else [good[2]])
    shop.calls.clear()
    summary = sync(account, "incomplete")
    assert labels_of(connection) == [("1", "10"), ("1", "11"), ("2", "20")]
    assert (summary.documents_found >= 2, len(summary.problems)) == (True, 1)
    assert summary.problems[0].startswith("order 1: ")
    assert shop.calls_of(PATHS[shop.marketplace]) <= 3  # halves of one call find the order; no call is repeated
    connection.execute("UPDATE orders SET label_url = NULL")
    shop.answer = answering(shop.marketplace, lambda n: [good[n]])
    assert sync(account, "incomplete").problems == []
    assert labels_of(connection) == [("1", "10"), ("2", "20")]


ODD: dict[str, list[dict[str, Any]]] = {
    "back_market": [
        {"carrierName": {"a": 1}}, {"orderlines": [{"id": 100}]}, {"carrierName": f"x{HALF}"}, {"trackingNumber": []},
        {"trackingNumber": "a\0b"}, {"order": 1.0}, {"weight": float("nan")}, {"carrierName": "a\0b"},
    ],
    "refurbed": [
        {"tracking_data": []}, {"normal_printer_urls": []}, {"tracking_data": {"tracking_number": 7}},
        {"tracking_data": {"carrier": f"x{HALF}"}}, {"tracking_data": {"carrier": "a\0b"}}, {"weight": float("nan")},
        {"tracking_data": {"carrier": f"{HALF}"}}, {"tracking_data": "x"},
    ],
    "mirakl": [{"order_id": 1}, {"id": 11.0}, {"file_name": HALF}, {"file_name": "a\0b"}, {"size": float("nan")}] * 2,
    "medusa": [
        {"tracking_number": 7}, {"tracking_number": {}}, {"tracking_number": f"x{HALF}"}, {"tracking_number": "a\0b"},
        {"tracking_url": []}, {"weight": float("nan")}, {"tracking_url": HALF}, {"tracking_url": 5},
    ],
}  # fmt: skip
"""Values of a label without which it is of use."""


@pytest.mark.parametrize("position", range(8))
def test_a_label_with_an_odd_value_is_stored_with_a_flaw(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, position: int
) -> None:
    odd = a_label(shop.marketplace, 1, 11, **ODD[shop.marketplace][position])
    shop.answer = answering(
        shop.marketplace, lambda n: [a_label(shop.marketplace, n, 10 * n), *([odd] if n == 1 else [])]
    )
    summary = sync(account, "incomplete")
    assert labels_of(connection) == [("1", "10"), ("1", "11"), ("2", "20")]
    assert summary.problems == []
    flaws = connection.execute("SELECT record_id, field FROM record_flaws WHERE field LIKE 'documents.%'").fetchall()
    assert flaws
    assert {record_id for record_id, _ in flaws} == {"1"}


@pytest.mark.parametrize("shop", ["back_market", "refurbed"], indirect=True)
@pytest.mark.parametrize("answer", ["<html></html>", '{"error": {"code": "throttled"}}', '{"results": [{"order": 1'])
def test_an_answer_that_can_not_be_read_takes_nothing_of_another_call_and_costs_two_tries(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, answer: str
) -> None:
    """Mirakl and Medusa answer for many orders with one call."""
    shop.answer = answering(shop.marketplace, lambda n: answer if n == 1 else [a_label(shop.marketplace, 2, 20)])
    shop.calls.clear()
    (problem,) = sync(account, "incomplete").problems
    assert problem.startswith("order 1: the answer about documents came twice and is not that of the contract")
    assert shop.calls_of(PATHS[shop.marketplace]) == 2 + 1
    assert labels_of(connection) == [("2", "20")]
    notes = connection.execute("SELECT order_id FROM orders WHERE delivery_note_url = %s ORDER BY 1", [NOTE]).fetchall()
    assert notes == ([("1",), ("2",)] if shop.marketplace == "back_market" else [])


@pytest.mark.parametrize("shop", ["back_market"], indirect=True)
@pytest.mark.parametrize("link", ["?page=1", "?page=0", "https://shop.example.com/x?order_id=1&page=1"])
def test_deliveries_that_lead_back_end_with_the_true_cause_and_keep_what_came(
    shop: ScriptedShop, account: SellerAccount, connection: Connection, link: str
) -> None:
    def answer(path: str, query: Query) -> object:
        if path != PATHS["back_market"]:
            return None
        number = int(query["order_id"])
        return {"results": [a_label("back_market", number, 10 * number)], "next": link if number == 1 else None}

    shop.answer = answer
    shop.calls.clear()
    (problem,) = sync(account, "incomplete").problems
    assert problem.startswith("order 1: Page 1 of an order's deliveries names page ")
    assert shop.calls_of(PATHS["back_market"]) == 2
    assert labels_of(connection) == [("1", "10"), ("2", "20")]


@pytest.mark.parametrize("shop", ["back_market"], indirect=True)
def test_deliveries_without_an_end_are_bounded(
    shop: ScriptedShop, account: SellerAccount, connection: Connection
) -> None:
    def answer(path: str, query: Query) -> object:
        if path != PATHS["back_market"]:
            return None
        page, number = int(query["page"]), int(query["order_id"])
        return {"results": [a_label("back_market", number, 100 * number + page)], "next": f"?page={page + 1}"}

    shop.answer = answer
    shop.calls.clear()
    problems = sync(account, "incomplete").problems
    assert [problem.split(": ")[1] for problem in problems] == ["An order's deliveries have more than 10 pages."] * 2
    assert shop.calls_of(PATHS["back_market"]) == 2 * MAX_DELIVERY_PAGES
    assert len(labels_of(connection)) == 2 * MAX_DELIVERY_PAGES
