"""Returns that are due in stock: each is booked once, by the stock job or by a person, and never more than has left."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.model.records import CareItem, CareRecord
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import By, StockActError, pieces_to_return, return_to_stock
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.levels import import_levels
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.sync.due_returns import note_due_returns, stored_closings
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.row_faults import reject_row
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_care_record, store_order

ANN = By("ann@desk", "in good order")
ITEM = (ACCOUNT, "100")


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """Ten phones were counted; three of them have left for an item. Seven are on hand."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10}, counted_at=at(0))
    ship(stock, StoredItem("100", quantity=3))
    return stock


def ship(stock: StockConnection, item: StoredItem, order_id: str = "1") -> None:
    """An order of one item is accepted, and ships ten minutes after the first."""
    store_order(stock.connection, StoredOrder(order_id, [item]))
    apply_pending(stock)
    store_order(stock.connection, StoredOrder(order_id, [item._replace(status="shipped")], modified_at=at(10)))
    apply_pending(stock)


def close(stock: StockConnection, care_id: str, pieces: int | None, item_id: str = "100", minutes: float = 20) -> None:
    """A return of so many pieces of an item closes as received, so many minutes after the first order."""
    store_care_record(stock.connection, care_id, pieces, item_id)
    stock.execute(
        "INSERT INTO restocking_accounts (account, since) VALUES (%s, %s) ON CONFLICT DO NOTHING", [ACCOUNT, at(0)]
    )
    closed = CareRecord(care_id, [CareItem(item_id, pieces)], "return", "closed", received=True)
    before = stored_closings(stock.connection, ACCOUNT, [care_id])
    stock.execute(
        "UPDATE care_records SET state = 'closed', received = true, closed_at = %s WHERE account = %s AND care_id = %s",
        [at(minutes), ACCOUNT, care_id],
    )
    note_due_returns(stock.connection, ACCOUNT, [closed], before)


def on_hand(stock: StockConnection, sku: str = "PHONE") -> int | None:
    row = stock.execute("SELECT on_hand FROM stock_levels WHERE sku = %s", [sku]).fetchone()
    assert row is not None
    return row[0]


def not_booked(stock: StockConnection) -> list[tuple[int, str]]:
    """(pieces booked, why not all) of what one run of the stock job could not book."""
    return [(each.booked, each.why) for each in apply_pending(stock).not_booked]


class TestTheStockJob:
    def test_the_pieces_of_a_care_record_are_on_hand_again_and_explained(self, stock: StockConnection) -> None:
        close(stock, "C1", 2)
        assert pending_events(stock) == 1
        result = apply_pending(stock)
        assert (result.returned, result.not_booked, on_hand(stock)) == (2, (), 9)
        assert pending_events(stock) == 0
        explained = explain(stock, "100")
        movement = explained.movements[-1]
        assert (movement.kind, movement.pieces, movement.reason) == ("returned", 2, "care record C1: return received")
        assert [(each.care_id, each.pieces, each.booked, each.note) for each in explained.returns] == [
            ("C1", 2, 2, None)
        ]
        check_invariants(stock.connection)

    def test_they_go_to_the_order_that_waits(self, stock: StockConnection) -> None:
        store_order(stock.connection, StoredOrder("2", [StoredItem("200", quantity=8)]))
        apply_pending(stock)
        close(stock, "C1", 1)
        assert apply_pending(stock).transitions == {"locked": 1}
        cause = explain(stock, "200").transitions[-1].cause
        assert cause == "return C1 was received"
        check_invariants(stock.connection)

    def test_no_more_come_back_than_have_left_less_those_that_came_back_before(self, stock: StockConnection) -> None:
        close(stock, "C1", 2)
        close(stock, "C2", 2)
        assert not_booked(stock) == [(1, "1 more than have left and not come back")]
        assert on_hand(stock) == 10
        close(stock, "C3", 1)
        assert not_booked(stock) == [(0, "1 more than have left and not come back")]
        assert on_hand(stock) == 10
        check_invariants(stock.connection)

    def test_of_an_item_that_has_not_left_nothing_comes_back(self, stock: StockConnection) -> None:
        store_order(stock.connection, StoredOrder("2", [StoredItem("200")]))
        close(stock, "C1", 1, "200")
        close(stock, "C2", 1, "an item that is not stored")
        assert not_booked(stock) == [(0, "no piece of the item has left the stock")] * 2
        assert on_hand(stock) == 7

    def test_an_unknown_number_of_pieces_is_not_guessed(self, stock: StockConnection) -> None:
        close(stock, "C1", None)
        assert not_booked(stock) == [(0, "the care record does not say how many pieces come back")]
        assert on_hand(stock) == 7

    def test_pieces_that_were_on_the_shelf_when_it_was_counted_are_not_added_to_the_count(
        self, stock: StockConnection
    ) -> None:
        import_levels(stock, {"PHONE": 8}, counted_at=at(30))
        close(stock, "C1", 1)
        assert not_booked(stock) == [(0, "SKU PHONE was counted after they came back")]
        assert on_hand(stock) == 8
        # They have come back all the same: of three, two are still away.
        close(stock, "C2", 3, minutes=40)
        assert not_booked(stock) == [(2, "1 more than have left and not come back")]
        assert on_hand(stock) == 10

    def test_a_sku_that_is_not_in_the_stock_list_does_not_get_into_it(self, stock: StockConnection) -> None:
        ship(stock, StoredItem("200", "MYSTERY"), "2")
        close(stock, "C1", 1, "200")
        assert not_booked(stock) == [(0, "SKU MYSTERY is not in the stock list")]
        assert on_hand(stock, "MYSTERY") is None

    def test_of_a_bundle_all_its_parts_come_back(self, stock: StockConnection) -> None:
        import_levels(stock, {"CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        ship(stock, StoredItem("200", "SET", 2), "2")
        assert (on_hand(stock), on_hand(stock, "CASE")) == (5, 6)
        close(stock, "C1", 1, "200")
        close(stock, "C2", 2, "200")
        assert not_booked(stock) == [(1, "1 more than have left and not come back")]
        assert (on_hand(stock), on_hand(stock, "CASE")) == (7, 10)
        check_invariants(stock.connection)

    def test_one_that_fails_stops_no_other(self, stock: StockConnection) -> None:
        ship(stock, StoredItem("200"), "2")
        close(stock, "C1", 1)
        close(stock, "C2", 1, "200")
        reject_row(stock.connection, "stock_movements", "item_id", "100")
        result = apply_pending(stock)
        assert [(each.care_id, each.why) for each in result.not_booked] == [("C1", "it failed: NumericValueOutOfRange")]
        assert (result.returned, on_hand(stock), pending_events(stock)) == (1, 7, 0)


class TestByHand:
    def book(self, stock: StockConnection, care_id: str, item_id: str | None = None, pieces: int | None = None) -> None:
        returned = pieces_to_return(stock, ACCOUNT, item_id, pieces, care_id)
        return_to_stock(stock, returned, ANN, care_id=care_id)

    def test_a_care_records_pieces_are_booked_with_its_id_in_the_reason(self, stock: StockConnection) -> None:
        store_care_record(stock.connection, "C1", 2)
        self.book(stock, "C1")
        assert on_hand(stock) == 9
        assert explain(stock, "100").movements[-1].reason == "care record C1: in good order"

    def test_a_record_that_was_booked_by_hand_is_not_booked_again_when_it_closes(self, stock: StockConnection) -> None:
        store_care_record(stock.connection, "C1", 2)
        self.book(stock, "C1")
        close(stock, "C1", 2)
        assert apply_pending(stock).returned == 0
        assert on_hand(stock) == 9

    def test_the_rest_of_a_record_that_was_booked_by_hand_in_part_is_booked_when_it_closes(
        self, stock: StockConnection
    ) -> None:
        store_care_record(stock.connection, "C1", 3)
        self.book(stock, "C1", "100", 1)
        close(stock, "C1", 3)
        result = apply_pending(stock)
        assert (result.returned, result.not_booked, on_hand(stock)) == (2, (), 10)
        assert [(each.pieces, each.booked, each.note) for each in explain(stock, "100").returns] == [(3, 3, None)]
        check_invariants(stock.connection)

    def test_what_of_the_rest_can_not_be_booked_is_said(self, stock: StockConnection) -> None:
        return_to_stock(stock, {ITEM: 1}, ANN)
        store_care_record(stock.connection, "C1", 4)
        self.book(stock, "C1", "100", 1)
        close(stock, "C1", 4)
        why = "a person had booked 1 before; 1 more than have left and not come back"
        assert not_booked(stock) == [(2, why)]
        assert [(each.booked, each.note) for each in explain(stock, "100").returns] == [(2, why)]
        assert on_hand(stock) == 10

    def test_the_rest_of_a_record_that_is_booked_by_hand_in_part_while_it_is_due_is_booked(
        self, stock: StockConnection
    ) -> None:
        close(stock, "C1", 2)
        self.book(stock, "C1", "100", 1)
        assert (pending_events(stock), apply_pending(stock).returned, on_hand(stock)) == (1, 1, 9)

    def test_a_record_that_is_booked_by_hand_while_it_is_due_is_booked_once(self, stock: StockConnection) -> None:
        close(stock, "C1", 2)
        self.book(stock, "C1")
        assert (pending_events(stock), apply_pending(stock).returned, on_hand(stock)) == (0, 0, 9)

    def test_pieces_that_were_booked_without_a_care_record_count_as_the_first_records(
        self, stock: StockConnection
    ) -> None:
        return_to_stock(stock, {ITEM: 1}, ANN)
        close(stock, "C1", 2)
        assert not_booked(stock) == [(1, "a person had booked 1 before")]
        assert on_hand(stock) == 9
        close(stock, "C2", 1)
        assert not_booked(stock) == []
        assert on_hand(stock) == 10

    def test_what_was_booked_is_not_booked_by_hand_again(self, stock: StockConnection) -> None:
        close(stock, "C1", 1)
        apply_pending(stock)
        with pytest.raises(StockActError, match="All pieces of care record C1 were booked already"):
            self.book(stock, "C1")
        with pytest.raises(
            StockActError, match=r"1 pieces of the item 100 come back, and 1 were booked already: 1 mor"
        ):
            self.book(stock, "C1", "100", 1)
        assert on_hand(stock) == 8

    def test_what_the_stock_job_could_not_book_can_be_booked_by_hand(self, stock: StockConnection) -> None:
        close(stock, "C1", None)
        apply_pending(stock)
        with pytest.raises(StockActError, match="does not say how many pieces of the items 100 come back"):
            self.book(stock, "C1")
        self.book(stock, "C1", "100", 2)
        assert on_hand(stock) == 9

    def test_a_care_record_of_other_items_or_none_is_an_error(self, stock: StockConnection) -> None:
        store_care_record(stock.connection, "C1", 1, "200")
        with pytest.raises(StockActError, match="There is no care record C2 in the account shop"):
            self.book(stock, "C2")
        with pytest.raises(StockActError, match="has no care record C1 about an item 100"):
            self.book(stock, "C1", "100", 1)
        with pytest.raises(StockActError, match="Name the item and its pieces, the care record, or all three"):
            pieces_to_return(stock, ACCOUNT, "100", None, None)
        assert on_hand(stock) == 7
