"""Pieces that are held, or were released before a label was known, when V2 goes live."""

import pytest

from orders_sync.acts.by import By
from orders_sync.cutover.stock_handover import V1Lock
from orders_sync.model.records import Document, DocumentKind
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import has_left, held
from orders_sync.stock.levels import import_levels
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.sync.documents import store_documents
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.cutover.handed_over import go_live, level
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order

ANN = By("ann@desk", "broken")


class TestPiecesThatAreHeld:
    """They are cancelled after the label, and still held when V2 goes live."""

    THREE = StoredItem("1", quantity=3)
    CANCELLED = THREE._replace(status="cancelled")
    ONE_CANCELLED = THREE._replace(cancelled=1)

    def labelled_and(self, stock: StockConnection, item: StoredItem, on_hand: int | None = None) -> None:
        """Three pieces are locked and have a label; then the item changes, and is counted."""
        store_order(stock.connection, StoredOrder("1", [self.THREE]))
        store_label(stock.connection, "1")
        apply_pending(stock)
        store_order(stock.connection, StoredOrder("1", [item]))
        if on_hand is not None:
            import_levels(stock, {"PHONE": on_hand})
        apply_pending(stock)

    def check(self, stock: StockConnection) -> None:
        assert wrong_locks(stock) == []
        check_invariants(stock.connection)

    @pytest.mark.parametrize("v1_locks", [(), (V1Lock(ACCOUNT, "1"),)])
    def test_cancelled_while_v1_has_the_authority(self, stock: StockConnection, v1_locks: tuple[V1Lock, ...]) -> None:
        self.labelled_and(stock, self.CANCELLED)
        go_live(stock, *v1_locks)
        assert ([each.held for each in held(stock)], level(stock)) == ([3], (10, 3))
        self.check(stock)

    @pytest.mark.parametrize("v1_locks", [(), (V1Lock(ACCOUNT, "1"),)], ids=["V2 alone", "V1 too"])
    def test_some_of_an_item_that_is_still_to_ship(self, stock: StockConnection, v1_locks: tuple[V1Lock, ...]) -> None:
        self.labelled_and(stock, self.ONE_CANCELLED)
        go_live(stock, *v1_locks)
        assert stock.execute("SELECT locked, short, held FROM stock_locks").fetchall() == [(2, 0, 1)]
        assert level(stock) == (10, 3)
        self.check(stock)

    def test_some_of_an_item_of_which_v1_has_consumed_others(self, stock: StockConnection) -> None:
        self.labelled_and(stock, self.ONE_CANCELLED)
        go_live(stock, V1Lock(ACCOUNT, "1", 1, at(2)))
        assert stock.execute("SELECT locked, short, consumed, held FROM stock_locks").fetchall() == [(1, 0, 1, 1)]
        assert level(stock) == (9, 2)
        self.check(stock)

    def test_some_of_an_item_whose_other_pieces_are_on_no_shelf(self, stock: StockConnection) -> None:
        self.labelled_and(stock, self.ONE_CANCELLED, on_hand=2)
        go_live(stock)
        assert level(stock) == (2, 2)
        self.check(stock)

    def test_a_label_that_was_cancelled_releases_them(self, stock: StockConnection) -> None:
        self.labelled_and(stock, self.CANCELLED)
        assert [each.held for each in held(stock)] == [3]
        label = Document("L1", DocumentKind.LABEL, "https://x.example/l", cancelled_at=at(9))
        store_documents(stock.connection, ACCOUNT, {"1": [label]})
        apply_pending(stock)
        assert (held(stock), level(stock)) == ([], (10, 0))

    def test_what_a_count_has_released_stays_released(self, stock: StockConnection) -> None:
        store_order(stock.connection, StoredOrder("1", [self.THREE]))
        apply_pending(stock)
        go_live(stock)
        store_label(stock.connection, "1")
        store_order(stock.connection, StoredOrder("1", [self.CANCELLED]))
        apply_pending(stock)
        import_levels(stock, {"PHONE": 0})
        import_levels(stock, {"PHONE": 10})
        go_live(stock)
        assert (held(stock), level(stock)) == ([], (10, 0))

    def test_a_label_that_became_known_late_holds_them_beyond_the_move(self, stock: StockConnection) -> None:
        for item in (self.THREE, self.CANCELLED):
            store_order(stock.connection, StoredOrder("1", [item]))
            apply_pending(stock)
        label = Document("L1", DocumentKind.LABEL, "https://x.example/l")
        store_documents(stock.connection, ACCOUNT, {"1": [label]})
        apply_pending(stock)
        assert [each.held for each in held(stock)] == [3]
        go_live(stock)
        assert ([each.held for each in held(stock)], level(stock)) == ([3], (10, 3))
        check_invariants(stock.connection)

    def test_those_that_have_left_in_part(self, stock: StockConnection) -> None:
        self.labelled_and(stock, self.CANCELLED)
        has_left(stock, (ACCOUNT, "1"), 1, ANN)
        go_live(stock)
        assert ([each.held for each in held(stock)], level(stock)) == ([2], (9, 2))
        self.check(stock)
        has_left(stock, (ACCOUNT, "1"), None, ANN)
        assert level(stock) == (7, 0)
        check_invariants(stock.connection)


class TestPiecesThatV1Holds:
    """They are the promised ones: an older order that V1 does not know has one piece locked, and one held, in the stock."""

    @pytest.fixture(autouse=True)
    def beside_an_older_one(self, stock: StockConnection) -> None:
        import_levels(stock, {"PHONE": 3})
        older = StoredItem("1", quantity=2)
        store_order(stock.connection, StoredOrder("1", [older], created_at=at(-20)))
        store_label(stock.connection, "1")
        apply_pending(stock)
        store_order(stock.connection, StoredOrder("1", [older._replace(cancelled=1)], created_at=at(-20)))
        store_order(stock.connection, StoredOrder("2", [StoredItem("2", quantity=2)], created_at=at(10)))
        apply_pending(stock)

    def test_are_not_taken_by_an_older_order(self, stock: StockConnection) -> None:
        go_live(stock, V1Lock(ACCOUNT, "2"))
        locks = stock.execute("SELECT item_id, locked, short, held FROM stock_locks ORDER BY item_id").fetchall()
        assert locks == [("1", 1, 0, 0), ("2", 2, 0, 0)], "the older one gets the piece that may be in its parcel"
        assert wrong_locks(stock) == []
        check_invariants(stock.connection)

    def test_do_not_take_those_that_are_held(self, stock: StockConnection) -> None:
        store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=2, status="cancelled")]))
        go_live(stock, V1Lock(ACCOUNT, "2"))
        locks = stock.execute("SELECT item_id, locked, short, held FROM stock_locks ORDER BY item_id").fetchall()
        assert locks == [("1", 0, 0, 2), ("2", 1, 1, 0)], "of two pieces, nobody knows where they are"
        check_invariants(stock.connection)


class TestLabelsThatBecomeKnownLate:
    """Three pieces of a cancelled item were released in the stock."""

    LABEL = Document("L1", DocumentKind.LABEL, "https://x.example/l")

    @pytest.fixture
    def released(self, stock: StockConnection) -> StockConnection:
        for status in ("accepted", "cancelled"):
            store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=3, status=status)]))
            apply_pending(stock)
        return stock

    def test_after_it_is_live(self, stock: StockConnection, released: StockConnection) -> None:
        go_live(stock)
        assert level(stock) == (10, 0)
        store_documents(stock.connection, ACCOUNT, {"1": [self.LABEL]})
        apply_pending(stock)
        assert ([each.held for each in held(stock)], level(stock)) == ([3], (10, 3))
        check_invariants(stock.connection)

    def test_before_while_others_have_the_pieces(self, stock: StockConnection, released: StockConnection) -> None:
        store_order(stock.connection, StoredOrder("2", [StoredItem("2", quantity=10)]))
        apply_pending(released)
        store_documents(stock.connection, ACCOUNT, {"1": [self.LABEL]})
        apply_pending(released)
        on_the_list = [(each.item_id, each.held, each.since) for each in held(released)]
        assert [each[:2] for each in on_the_list] == [("1", 0)]
        go_live(stock)
        assert [(each.item_id, each.held, each.since) for each in held(stock)] == on_the_list
        check_invariants(stock.connection)
