"""The pick list: what is to leave the warehouse, by the rules of the locks, whatever kinds of orders there are."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection
from orders_sync.model.statuses import Status
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import decide
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, settle
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.pick_list import BY_ORDER, BY_SKU, STATUSES, parameters_of_pick_list
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.store import load
from orders_sync_tests.stock.stored_orders import START, StoredItem, StoredOrder, at, store_order
from orders_sync_tests.stock.test_wrong_locks import (
    ALIASES,
    all_rows,
    store_labels_and_unreported,
    store_random_locks,
    store_rows,
)

ANN = By("ann@desk", "a test")


def picked(stock: StockConnection, *, by_order: bool = False, **selection: Any) -> list[dict[str, Any]]:
    parameters = {
        "accounts": None, "since": None, "until": None, "skus": None, "picked": list(STATUSES),
        **parameters_of_pick_list(), **selection,
    }  # fmt: skip
    rows = stock.execute(BY_ORDER if by_order else BY_SKU, parameters)
    assert rows.description is not None
    names = [column.name for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def pieces(stock: StockConnection, **selection: Any) -> dict[str, tuple[int, int]]:
    """By SKU: the pieces and the orders."""
    return {row["sku"]: (row["pieces"], row["orders"]) for row in picked(stock, **selection)}


def store(connection: Connection, order_id: str, *items: StoredItem, **order: Any) -> None:
    store_order(connection, StoredOrder(order_id, items, **order))


def test_what_is_to_be_picked_of_each_kind_of_order(connection: Connection, stock: StockConnection) -> None:
    store(connection, "1", StoredItem("10", quantity=2))
    store(connection, "2", StoredItem("20", status="pending"), status="pending")
    store(connection, "3", StoredItem("30", quantity=5, shipped=2, cancelled=1))  # two are left
    store(connection, "4", StoredItem("40", quantity=3, shipped=3))  # all have left, though it is accepted
    store(connection, "5", StoredItem("50", status="cancelled"), status="cancelled")
    store(connection, "6", StoredItem("60", status="awaiting_payment"), status="awaiting_payment")
    store(connection, "7", StoredItem("70", status="unpaid"), status="unpaid")
    store(connection, "8", StoredItem("80", status="shipped"), status="shipped")
    store(connection, "9", StoredItem("90", status="refunded_before_shipping"), status="refunded_before_shipping")
    store(connection, "11", StoredItem("110", "CARD", kind="gift_card"), StoredItem("111", "CASE", quantity=4))
    store(connection, "12", StoredItem("120", status="removed"), StoredItem("121", "CASE"))
    store(connection, "13", StoredItem("130", status="unknown"))  # the order's own status counts
    store(connection, "14", StoredItem("140", status="unknown"), status="unknown")
    store(connection, "15", StoredItem("10", quantity=7), account="other")  # the same SKU at another account
    store(connection, "16", StoredItem("160", "CABLE", quantity=3, shipped=1))
    connection.execute("UPDATE order_items SET refunded = 1 WHERE item_id = '160'")  # whether of those, nobody says
    expected = {"CABLE": (2, 1), "CASE": (5, 2), "PHONE": (2 + 1 + 2 + 1 + 7, 5)}
    assert pieces(stock) == expected
    assert list(pieces(stock)) == sorted(expected)
    assert {row["sku"]: row["refunded"] for row in picked(stock)} == {"CABLE": 1, "CASE": 0, "PHONE": 0}
    apply_pending(stock)
    assert pieces(stock) == expected, "the locks change nothing of it"


def test_a_decision_by_hand_counts(connection: Connection, stock: StockConnection) -> None:
    for number in range(1, 4):
        store(connection, f"{number}", StoredItem(f"{number}00"))
    apply_pending(stock)
    with stock.changing():
        decide(stock, ("shop", "100"), Decision.RELEASE, ANN)
    with stock.changing():
        decide(stock, ("shop", "200"), Decision.SHIPPED, ANN)
    assert [row["order_id"] for row in picked(stock, by_order=True)] == ["3"]


def test_the_columns_say_what_is_due_and_what_is_there(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 3})
    store(connection, "1", StoredItem("10", quantity=2))
    store(connection, "2", StoredItem("20", quantity=2), StoredItem("21", "CASE"), created_at=at(5))
    connection.execute("UPDATE orders SET dispatch_due_at = created_at + interval '1 day'")
    [case, phone] = picked(stock)
    assert (phone["on_hand"], phone["available"], phone["locked"]) == (3, 3, 0)
    apply_pending(stock)
    [case, phone] = picked(stock)
    assert phone == {
        "sku": "PHONE", "pieces": 4, "orders": 2, "dispatch_due_at": START + timedelta(days=1), "refunded": 0,
        "locked": 3, "on_hand": 3, "available": 0,
    }  # fmt: skip
    assert (case["on_hand"], case["available"], case["locked"]) == (None, None, 0)
    assert case["dispatch_due_at"] == at(5) + timedelta(days=1)


def test_a_bundle_and_an_alias_are_what_is_on_the_shelf(connection: Connection, stock: StockConnection) -> None:
    import_stock_skus(
        stock,
        [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2), StockSku("other", "PHONE-FR", "PHONE", 1)],
    )
    store(connection, "1", StoredItem("10", "SET", quantity=3))
    store(connection, "2", StoredItem("20", "PHONE-FR"), account="other")
    store(connection, "3", StoredItem("30", "PHONE-FR"))  # no alias of this account
    assert pieces(stock) == {"CASE": (6, 1), "PHONE": (4, 2), "PHONE-FR": (1, 1)}
    assert pieces(stock, skus=["CASE"]) == {"CASE": (6, 1)}
    assert {(row["ordered_sku"], row["sku"], row["pieces"]) for row in picked(stock, by_order=True)} == {
        ("SET", "CASE", 6), ("SET", "PHONE", 3), ("PHONE-FR", "PHONE", 1), ("PHONE-FR", "PHONE-FR", 1),
    }  # fmt: skip
    set_sku_case(stock, SkuCase.IGNORE, ANN)
    assert pieces(stock, skus=[" case "]) == {"CASE": (6, 1)}


def test_only_what_is_selected_is_listed(connection: Connection, stock: StockConnection) -> None:
    store(connection, "1", StoredItem("10"), created_at=at(0))
    store(connection, "2", StoredItem("20", status="pending"), status="pending", created_at=at(60))
    store(connection, "3", StoredItem("30"), account="other", created_at=at(120))
    connection.execute("UPDATE orders SET created_at = NULL, first_stored_at = %s WHERE order_id = '3'", [at(90)])

    def orders(**selection: Any) -> list[str]:
        return sorted(row["order_id"] for row in picked(stock, by_order=True, **selection))

    assert orders() == ["1", "2", "3"]
    assert orders(accounts=["shop"]) == ["1", "2"]
    assert orders(accounts=["shop", "other"]) == ["1", "2", "3"]
    assert orders(picked=["pending"]) == ["2"]
    assert orders(since=at(60)) == ["2", "3"]
    assert orders(until=at(60)) == ["1"]
    assert orders(since=at(61), until=at(91)) == ["3"]
    assert orders(skus=["CASE"]) == []


def test_the_earliest_dispatch_comes_first(connection: Connection, stock: StockConnection) -> None:
    due: dict[str, datetime | None] = {"1": None, "2": at(9), "3": at(5)}
    for order_id, dispatch_due_at in due.items():
        store(connection, order_id, StoredItem(f"{order_id}0"))
        connection.execute("UPDATE orders SET dispatch_due_at = %s WHERE order_id = %s", [dispatch_due_at, order_id])
    assert [row["order_id"] for row in picked(stock, by_order=True)] == ["3", "2", "1"]


def test_the_pick_list_has_what_the_rules_of_the_locks_hold(connection: Connection, stock: StockConnection) -> None:
    """For all combinations of statuses, kinds, numbers of pieces, decisions and kinds of SKUs."""
    import_levels(stock, {"PHONE": 5, "CASE": 5})
    import_stock_skus(stock, ALIASES)
    rows = list(all_rows())
    keys = store_rows(connection, rows)
    store_random_locks(connection, keys, Random(1))
    store_labels_and_unreported(connection)
    found = {(row["item_id"], row["sku"]): row["pieces"] for row in picked(stock, by_order=True)}
    with stock.transaction():
        loaded = load(stock, keys)
        causes = dict.fromkeys(keys, Cause("test"))
        after = settle(loaded.items, loaded.stock_skus, causes, loaded.locks, loaded.levels)
    counted = {
        item_id: row.order_status if row.status == Status.UNKNOWN else row.status
        for (_, item_id), row in zip(keys, rows, strict=True)
    }
    expected = {
        (lock.item_id, lock.sku): lock.locked + lock.short
        for lock in after.locks.values()
        if lock.locked + lock.short > 0 and counted[lock.item_id] in STATUSES
    }
    assert len(expected) > 400
    assert found == expected
