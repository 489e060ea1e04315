"""Held pieces of bundles and of SKUs with an alias."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import By, adjust, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import has_left, held, still_here
from orders_sync.stock.levels import import_levels
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync_tests.stock.labelled_item import ANN, ITEM, cancel, check, labelled_item, level, lock, store, two_sets
from orders_sync_tests.stock.stored_orders import StoredItem, at, store_label


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    return labelled_item(connection)


class TestBundlesAndAliases:
    @pytest.fixture
    def sets(self, connection: Connection) -> StockConnection:
        """Two sets of a phone and two cases are held."""
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        two = StoredItem("100", "SET", 2)
        store(stock, two, 2)
        store_label(connection, "1")
        store(stock, two._replace(status="cancelled"), 5)
        assert (lock(stock)[2], lock(stock, "CASE")[2]) == (2, 4)
        return stock

    def test_a_set_has_left_with_all_its_parts(self, sets: StockConnection) -> None:
        has_left(sets, ITEM, 1, ANN)
        assert (level(sets), level(sets, "CASE")) == ((9, 1), (8, 2))
        still_here(sets, ITEM, None, ANN)
        assert (level(sets), level(sets, "CASE")) == ((9, 0), (8, 0))
        check(sets)

    def test_held_parts_stay_what_they_are_when_the_bundle_changes(self, sets: StockConnection) -> None:
        import_stock_skus(sets, [StockSku("", "SET", "BOX", 1)])
        assert pending_events(sets) == 1, "a lock that only holds is looked at as each active lock is"
        apply_pending(sets)
        assert (lock(sets)[2], lock(sets, "CASE")[2]) == (2, 4)
        check(sets)
        has_left(sets, ITEM, 1, ANN)
        still_here(sets, ITEM, 1, ANN)
        assert (level(sets), level(sets, "CASE")) == ((9, 0), (8, 0))
        check(sets)

    @pytest.mark.parametrize(
        "bundle",
        [[("BOX", 1)], [("PHONE", 1), ("CASE", 1)], [("PHONE", 4), ("CASE", 6)], [("PHONE", 2)], [("PHONE", 5)]],
    )
    @pytest.mark.parametrize("sets", [1, 2])
    def test_a_set_leaves_with_the_parts_that_are_held_whatever_the_bundle_is_now(
        self, connection: Connection, sets: int, bundle: list[tuple[str, int]]
    ) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 2), StockSku("", "SET", "CASE", 3)])
        ordered = StoredItem("100", "SET", sets)
        store(stock, ordered, 2)
        store_label(connection, "1")
        store(stock, ordered._replace(status="cancelled"), 5)
        import_stock_skus(stock, [StockSku("", "SET", *part) for part in bundle])
        apply_pending(stock)
        settled = has_left(stock, ITEM, None, ANN)
        assert settled.pieces <= sets
        assert (level(stock), level(stock, "CASE")) == ((10 - 2 * sets, 0), (10 - 3 * sets, 0))
        check(stock)
        undo_shipment(stock, ITEM, None, ANN)
        assert (level(stock)[0], level(stock, "CASE")[0]) == (10, 10)

    def test_what_a_count_did_not_find_leaves_no_more(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 2, "CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        store(stock, StoredItem("100", "SET", 2), 2)
        store_label(connection, "1")
        cancel(stock, StoredItem("100", "SET", 2))
        import_levels(stock, {"PHONE": 1}, counted_at=at(20))
        adjust(stock, "PHONE", 4, ANN)
        has_left(stock, ITEM, None, ANN)
        assert (level(stock), level(stock, "CASE")) == ((4, 0), (6, 0))
        check(stock)

    def test_a_new_alias_holds_nothing(self, stock: StockConnection) -> None:
        import_levels(stock, {"PHONE": 0, "BOX": 5})
        adjust(stock, "PHONE", 3, ANN)
        apply_pending(stock)
        adjust(stock, "PHONE", -3, ANN)
        import_stock_skus(stock, [StockSku("", "PHONE", "BOX", 1)])
        apply_pending(stock)
        assert (held(stock), lock(stock, "BOX")[:2]) == ([], ("locked", 3))
        check(stock)

    def test_a_bundle_of_fewer_parts_holds_nothing(self, connection: Connection) -> None:
        stock = two_sets(connection, cases=10)
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 1)])
        apply_pending(stock)
        assert (lock(stock, "CASE")[:3], held(stock)) == (("locked", 2, 0), [])
        check(stock)

    def test_only_whole_sets_are_held(self, connection: Connection) -> None:
        stock = two_sets(connection, cases=3)
        cancel(stock, StoredItem("100", "SET", 2))
        assert (lock(stock)[2], lock(stock, "CASE")[2]) == (1, 2)
        check(stock)

    def test_case_that_makes_no_difference_any_more_keeps_them(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"phone": 5}, counted_at=at(0))
        store(stock, StoredItem("100", "phone", 2))
        store_label(connection, "1")
        cancel(stock, StoredItem("100", "phone", 2))
        change = set_sku_case(stock, SkuCase.IGNORE, By("ann@desk", ""))
        assert change is not None
        assert change.rechecked == 1
        apply_pending(stock)
        assert (lock(stock), level(stock)) == (("held", 0, 2, 0), (5, 2))
        check(stock)
