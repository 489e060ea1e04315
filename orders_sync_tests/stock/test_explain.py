"""Explain answers who holds a SKU now, what still waits, and what led to it."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, adjust, decide
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "says so")


@pytest.fixture
def explained(connection: Connection, stock: StockConnection) -> StockConnection:
    """Two orders of two phones each, of which there are three; and a third order, whose event waits."""
    import_levels(stock, {"PHONE": 3}, counted_at=at(0))
    for number in (1, 2):
        store_order(
            connection, StoredOrder(str(number), [StoredItem(f"{number}00", quantity=2)], created_at=at(number))
        )
    apply_pending(stock)
    store_order(connection, StoredOrder("3", [StoredItem("300")], created_at=at(3)))
    return stock


@pytest.mark.parametrize("subject", ["PHONE"])
def test_a_sku_shows_who_holds_it_now_the_oldest_order_first(explained: StockConnection, subject: str) -> None:
    found = explain(explained, subject)
    assert [(each.order_id, each.locked, each.short, each.why) for each in found.holders] == [
        ("1", 2, 0, "OrderCreated accepted"),
        ("2", 1, 1, "OrderCreated accepted: 1 of 2 available"),
    ]
    assert [(level.sku, level.on_hand, level.reserved, level.short) for level in found.levels] == [("PHONE", 3, 3, 1)]


def test_an_item_whose_event_waits_says_so_and_since_when(explained: StockConnection) -> None:
    for subject in ("PHONE", "300", "3", "shop/300", "shop/3"):
        [waiting] = explain(explained, subject).pending
        assert (waiting.order_id, waiting.item_id, waiting.status) == ("3", "300", "accepted")
        assert waiting.waits_since.tzinfo is not None
    apply_pending(explained)
    assert explain(explained, "300").pending == []


@pytest.mark.parametrize("subject", ["2", "200", "shop/2", "shop/200"])
def test_an_order_or_item_shows_its_own_history_and_the_levels_of_its_skus(
    explained: StockConnection, subject: str
) -> None:
    found = explain(explained, subject)
    assert [(each.item_id, each.from_state, each.to_state) for each in found.transitions] == [("200", None, "short")]
    assert [level.sku for level in found.levels] == ["PHONE"]
    assert found.movements == []


def test_the_latest_rows_are_shown_the_oldest_first(explained: StockConnection) -> None:
    for number in range(5):
        adjust(explained, "CASE", 1, By("ann@desk", str(number)))
    assert [movement.reason for movement in explain(explained, "CASE", 2).movements] == ["3", "4"]
    assert len(explain(explained, "CASE", None).movements) == 5


def test_a_decision_is_shown_and_whether_it_still_holds(explained: StockConnection) -> None:
    decide(explained, (ACCOUNT, "100"), Decision.RELEASE, ANN)
    [decision] = explain(explained, "100").decisions
    assert (decision.decision, decision.reason, decision.made_by, decision.in_force) == (
        "release", "says so", "ann@desk", True,
    )  # fmt: skip
    store_order(explained.connection, StoredOrder("1", [StoredItem("100", quantity=2, status="shipped")]))
    assert [decision.in_force for decision in explain(explained, "1").decisions] == [False]


def test_an_undone_shipment_is_only_on_record(explained: StockConnection) -> None:
    store_order(explained.connection, StoredOrder("1", [StoredItem("100", quantity=2, status="shipped")]))
    decide(explained, (ACCOUNT, "100"), Decision.NOT_SHIPPED, ANN)
    assert [(each.decision, each.in_force) for each in explain(explained, "100").decisions] == [("not_shipped", False)]


def test_what_does_not_exist_has_no_explanation(explained: StockConnection) -> None:
    assert explain(explained, "NOBODY").is_empty()
    assert explain(explained, "other/100").is_empty()


def test_a_changed_quantity_that_waits_to_be_looked_at_is_shown(explained: StockConnection) -> None:
    store_order(explained.connection, StoredOrder("1", [StoredItem("100", quantity=1)]))
    assert [waiting.item_id for waiting in explain(explained, "100").pending] == ["100"]


@pytest.fixture
def aliased(connection: Connection, stock: StockConnection) -> StockConnection:
    """PHONE-FR is a PHONE, at another account it is a CASE; a SET is a PHONE and two CASEs. One order of each waits."""
    import_levels(stock, {"PHONE": 10})
    import_stock_skus(
        stock,
        [
            StockSku("", "PHONE-FR", "PHONE", 1),
            StockSku("other", "PHONE-FR", "CASE", 1),
            StockSku("", "SET", "PHONE", 1),
            StockSku("", "SET", "CASE", 2),
        ],
    )
    for number, sku in ((1, "PHONE-FR"), (2, "SET")):
        store_order(connection, StoredOrder(str(number), [StoredItem(f"{number}00", sku)], created_at=at(number)))
    store_order(connection, StoredOrder("3", [StoredItem("300", "PHONE-FR")], account="other", created_at=at(3)))
    return stock


@pytest.mark.parametrize(
    ("subject", "items"),
    [
        ("PHONE", {"100", "200"}),
        ("PHONE-FR", {"100", "200", "300"}),
        ("SET", {"100", "200", "300"}),
        ("CASE", {"200", "300"}),
    ],
)
def test_a_sku_is_explained_by_each_of_its_names_before_and_after_the_stock_job(
    aliased: StockConnection, subject: str, items: set[str]
) -> None:
    assert {each.item_id for each in explain(aliased, subject).pending} == items
    apply_pending(aliased)
    found = explain(aliased, f" {subject} ")
    assert (found.pending, found.items) == ([], [])
    assert {each.item_id for each in found.holders} == items
    assert {each.item_id: each.ordered_sku for each in found.holders}.items() <= {
        "100": "PHONE-FR", "200": "SET", "300": "PHONE-FR",
    }.items()  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "rows"),
    [
        ("PHONE", [("", "PHONE-FR", "PHONE", 1), ("", "SET", "PHONE", 1)]),
        ("200", [("", "SET", "CASE", 2), ("", "SET", "PHONE", 1)]),
    ],
)
def test_aliases_and_bundles_are_shown(
    aliased: StockConnection, subject: str, rows: list[tuple[str, str, str, int]]
) -> None:
    assert explain(aliased, subject).stock_skus == rows


def test_an_order_shows_its_items_and_the_levels_of_what_they_take(aliased: StockConnection) -> None:
    apply_pending(aliased)
    found = explain(aliased, "2")
    assert [(item.item_id, item.sku, item.status, item.quantity) for item in found.items] == [
        ("200", "SET", "accepted", 1)
    ]
    assert [level.sku for level in found.levels] == ["CASE", "PHONE"]


def test_an_item_that_never_had_a_lock_is_explained_too(connection: Connection, stock: StockConnection) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("100", status="cancelled")]))
    apply_pending(stock)
    found = explain(stock, "100")
    assert [(item.item_id, item.status) for item in found.items] == [("100", "cancelled")]
    assert found.transitions == []


def test_a_name_of_both_an_item_and_a_sku_shows_both(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"100": 10, "PHONE": 10})
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    store_order(connection, StoredOrder("2", [StoredItem("200", "100")]))
    apply_pending(stock)
    found = explain(stock, "100")
    assert [(each.item_id, each.sku) for each in found.transitions] == [("100", "PHONE"), ("200", "100")]
    assert {(each.item_id, each.sku) for each in found.holders} == {("100", "PHONE"), ("200", "100")}
    assert [(each.sku, each.kind) for each in found.movements] == [("100", "counted")]
    assert [item.item_id for item in found.items] == ["100"]


@pytest.mark.parametrize("subject", ["PHONE", "PHONE-FR", "100"])
def test_a_sku_shows_what_was_decided_about_its_items(aliased: StockConnection, subject: str) -> None:
    apply_pending(aliased)
    decide(aliased, (ACCOUNT, "100"), Decision.RELEASE, ANN)
    assert [each.decision for each in explain(aliased, subject).decisions] == ["release"]
    assert explain(aliased, "OTHER").decisions == []


@pytest.mark.parametrize("subject", ["PH\0ONE", "\ud800", "", "  "])
def test_what_can_not_be_a_name_has_no_explanation(explained: StockConnection, subject: str) -> None:
    assert explain(explained, subject).is_empty()
