"""Held pieces that have left, as a person says: each is subtracted once, whatever the marketplace reports later."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.by_hand import By, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.held import has_left, still_here
from orders_sync.stock.levels import import_levels
from orders_sync_tests.stock.labelled_item import check, level, lock, store
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order

ANN = By("ann@desk", "looked at the desk")
ITEM = (ACCOUNT, "100")
THREE = StoredItem("100", quantity=3)
ONE_CANCELLED = THREE._replace(cancelled=1)


@pytest.fixture
def phones(connection: Connection) -> StockConnection:
    """Ten phones were counted; three of them are locked for an item that has a label."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10}, counted_at=at(-60))
    store(stock, THREE)
    store_label(connection, "1")
    return stock


def test_what_their_act_applies_first_is_in_its_result(phones: StockConnection) -> None:
    store_order(phones.connection, StoredOrder("1", [THREE._replace(status="cancelled")], "cancelled"))
    assert still_here(phones, ITEM, 3, ANN).applied.transitions == {"held": 1, "released": 1}
    causes = [each.cause for each in explain(phones, "100").transitions]
    assert causes[-2:] == [
        "the item had changed before a person acted on it",
        "3 held pieces are still here, by ann@desk: looked at the desk",
    ]


class TestShipmentsThatTheMarketplaceTookBack:
    def test_a_held_piece_leaves_as_well(self, phones: StockConnection) -> None:
        store(phones, THREE._replace(cancelled=0, shipped=1), 2)
        store(phones, THREE._replace(cancelled=0, shipped=0), 3)
        store(phones, ONE_CANCELLED._replace(shipped=0), 4)
        assert (lock(phones), level(phones)) == (("locked", 1, 1, 1), (9, 2))
        has_left(phones, ITEM, None, ANN)
        assert (lock(phones), level(phones)) == (("locked", 1, 0, 2), (8, 1))
        check(phones)
        store(phones, ONE_CANCELLED._replace(status="shipped", shipped=2), 5)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 3), (7, 0))
        check(phones)

    def test_a_held_piece_of_a_cancelled_item_leaves_as_well(self, phones: StockConnection) -> None:
        store(phones, THREE._replace(shipped=1), 2)
        store(phones, THREE, 3)
        store(phones, THREE._replace(status="cancelled"), 4)
        assert (lock(phones), level(phones)) == (("held", 0, 2, 1), (9, 2))
        has_left(phones, ITEM, None, ANN)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 3), (7, 0))
        check(phones)
        store(phones, THREE._replace(status="shipped", shipped=3), 5)
        assert level(phones) == (7, 0)
        check(phones)


class TestMoreIsCancelledLater:
    @pytest.mark.parametrize(
        "cancelled", [THREE._replace(status="cancelled"), THREE._replace(cancelled=3), THREE._replace(quantity=0)]
    )
    def test_what_the_marketplace_then_reports_has_left_already(
        self, phones: StockConnection, cancelled: StoredItem
    ) -> None:
        store(phones, ONE_CANCELLED, 2)
        has_left(phones, ITEM, None, ANN)
        store(phones, cancelled, 3)
        still_here(phones, ITEM, None, ANN)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 1), (9, 0))
        check(phones)
        store(phones, cancelled._replace(shipped=1), 4)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 1), (9, 0))
        check(phones)

    def test_of_two_that_were_to_be_shipped_one_ships(self, phones: StockConnection) -> None:
        store(phones, ONE_CANCELLED, 2)
        has_left(phones, ITEM, None, ANN)
        store(phones, THREE._replace(cancelled=2), 3)
        still_here(phones, ITEM, None, ANN)
        store(phones, THREE._replace(cancelled=2, shipped=1, status="shipped"), 4)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 2), (8, 0))
        store(phones, THREE._replace(cancelled=1, shipped=2, status="shipped"), 5)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 2), (8, 0))
        check(phones)

    def test_a_shipment_that_was_undone_is_none_that_the_marketplace_is_to_report(
        self, phones: StockConnection
    ) -> None:
        store(phones, THREE._replace(shipped=1), 2)
        undo_shipment(phones, ITEM, 1, ANN)
        store(phones, ONE_CANCELLED._replace(shipped=1), 3)
        has_left(phones, ITEM, None, ANN)
        store(phones, ONE_CANCELLED._replace(shipped=0), 4)
        assert (lock(phones), level(phones)) == (("locked", 2, 0, 1), (9, 2))
        store(phones, ONE_CANCELLED._replace(shipped=2, status="shipped"), 5)
        store(phones, THREE._replace(shipped=3, status="shipped"), 6)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 3), (7, 0))
        check(phones)


class TestTheItemIsToBeShippedAfterAll:
    def test_pieces_that_have_left_are_not_locked_again(self, phones: StockConnection) -> None:
        store(phones, THREE._replace(status="cancelled"), 2)
        has_left(phones, ITEM, 2, ANN)
        store(phones, THREE, 3)
        assert (lock(phones), level(phones)) == (("locked", 1, 0, 2), (8, 1))
        check(phones)
        store(phones, THREE._replace(shipped=2), 4)
        assert (lock(phones), level(phones)) == (("locked", 1, 0, 2), (8, 1)), "these two had left"
        check(phones)
        store(phones, THREE._replace(shipped=3, status="shipped"), 5)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 3), (7, 0))
        check(phones)

    def test_an_item_of_which_all_have_left_waits_for_none(self, phones: StockConnection) -> None:
        store(phones, THREE._replace(status="cancelled"), 2)
        has_left(phones, ITEM, None, ANN)
        import_levels(phones, {"PHONE": 0})
        store(phones, THREE, 3)
        assert (lock(phones), level(phones)) == (("consumed", 0, 0, 3), (0, 0))
        check(phones)


class TestAShipmentIsUndoneWhileAPieceIsHeld:
    """Of four pieces, three are cancelled after the label, and two of them are settled: one is locked, and one held."""

    FOUR = StoredItem("100", quantity=4, cancelled=3)

    @pytest.fixture
    def reported(self, connection: Connection) -> StockConnection:
        """The marketplace then reports the one that is to ship as shipped, by mistake."""
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10}, counted_at=at(-60))
        store(stock, self.FOUR._replace(cancelled=0))
        store_label(connection, "1")
        store(stock, self.FOUR, 2)
        still_here(stock, ITEM, 2, ANN)
        assert (lock(stock), level(stock)) == (("locked", 1, 1, 0), (10, 2))
        store(stock, self.FOUR._replace(shipped=1), 3)
        assert (lock(stock), level(stock)) == (("held", 0, 1, 1), (9, 1))
        return stock

    def test_the_piece_that_did_not_leave_is_locked_and_the_other_one_stays_held(
        self, reported: StockConnection
    ) -> None:
        undo_shipment(reported, ITEM, 1, ANN)
        assert (lock(reported), level(reported)) == (("locked", 1, 1, 0), (10, 2))
        check(reported)

    def test_if_an_older_order_gets_the_piece_the_held_one_is_locked(self, reported: StockConnection) -> None:
        store(reported, StoredItem("200", quantity=9), order_id="2", created_at=at(-5))
        undo_shipment(reported, ITEM, 1, ANN)
        locks = reported.execute("SELECT item_id, locked, short, held FROM stock_locks ORDER BY item_id").fetchall()
        assert (locks, level(reported)) == ([("100", 1, 0, 0), ("200", 9, 0, 0)], (10, 10))
        check(reported)
