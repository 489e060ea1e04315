"""What a person does to stock: it has a reason, it is on record, and no piece is counted twice by it."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, adjust, decide, return_to_stock
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "says so")
ITEM = (ACCOUNT, "100")


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """Ten phones were counted."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10}, counted_at=at(0))
    return stock


def store_item(
    stock: StockConnection, item: StoredItem, minutes: float = 0, order_id: str = "1", **order: object
) -> None:
    """Stores an order of one item as of so many minutes after the first, and applies its events."""
    changed = StoredOrder(order_id, [item], modified_at=at(minutes))._replace(**order)
    store_order(stock.connection, changed)
    apply_pending(stock)


def level(stock: StockConnection, sku: str = "PHONE") -> tuple[int | None, int]:
    """(on hand, reserved)."""
    row = stock.execute("SELECT on_hand, reserved FROM stock_levels WHERE sku = %s", [sku]).fetchone()
    assert row is not None
    return row


def lock(stock: StockConnection, item_id: str = "100", sku: str = "PHONE") -> tuple[int, int, int]:
    """(locked, short, consumed)."""
    row = stock.execute(
        "SELECT locked, short, consumed FROM stock_locks WHERE item_id = %s AND sku = %s", [item_id, sku]
    ).fetchone()
    assert row is not None
    return row


def movements(stock: StockConnection) -> list[tuple[str, int, int, str, str]]:
    """(kind, pieces, on hand, reason, made by), without imports."""
    return stock.execute(
        "SELECT kind, pieces, on_hand, reason, made_by FROM stock_movements WHERE kind <> 'counted' ORDER BY movement_id"
    ).fetchall()


SHIPPED = StoredItem("100", quantity=2, status="shipped")


class TestAdjust:
    def test_pieces_are_added_and_taken_away_with_a_record(self, stock: StockConnection) -> None:
        adjust(stock, "PHONE", 2, ANN)
        adjust(stock, "PHONE", -5, ANN)
        assert level(stock) == (7, 0)
        assert movements(stock) == [
            ("adjusted", 2, 12, "says so", "ann@desk"),
            ("adjusted", -5, 7, "says so", "ann@desk"),
        ]
        check_invariants(stock.connection)

    def test_more_than_there_is_cannot_be_taken(self, stock: StockConnection) -> None:
        with pytest.raises(StockActError, match="SKU PHONE has 10 pieces on hand; 11 can't be taken"):
            adjust(stock, "PHONE", -11, ANN)
        assert level(stock) == (10, 0)
        assert movements(stock) == []

    def test_new_pieces_go_to_the_order_that_waits(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", sku="CASE"))
        assert lock(stock, sku="CASE") == (0, 1, 0)
        adjust(stock, "CASE", 1, ANN)
        assert lock(stock, sku="CASE") == (1, 0, 0)
        cause = stock.execute("SELECT cause FROM stock_lock_history ORDER BY entry_id DESC LIMIT 1").fetchone()
        assert cause == ("stock adjusted by ann@desk: says so",)
        check_invariants(stock.connection)

    def test_pieces_that_are_taken_are_missing_for_the_newest_order(self, stock: StockConnection) -> None:
        for number in (1, 2):
            item = StoredItem(f"{number}00", quantity=5)
            store_item(stock, item, order_id=str(number), created_at=at(number))
        adjust(stock, "PHONE", -3, ANN)
        assert (lock(stock, "100"), lock(stock, "200")) == ((5, 0, 0), (2, 3, 0))
        check_invariants(stock.connection)


class TestDecide:
    def test_an_item_is_released_until_its_status_changes(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2, status="pending"))
        decide(stock, ITEM, Decision.RELEASE, ANN)
        assert (lock(stock), level(stock)) == ((0, 0, 0), (10, 0))
        store_item(stock, StoredItem("100", quantity=3, status="pending"), 1)
        assert lock(stock) == (0, 0, 0), "a new quantity does not end it"
        store_item(stock, StoredItem("100", quantity=3, status="accepted"), 2)
        assert lock(stock) == (3, 0, 0)
        check_invariants(stock.connection)

    def test_a_cancelled_item_is_locked_until_its_status_changes(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", status="cancelled"))
        decide(stock, ITEM, Decision.LOCK, ANN)
        assert lock(stock) == (1, 0, 0)
        store_item(stock, StoredItem("100", status="refunded_before_shipping"), 1)
        assert lock(stock) == (0, 0, 0)
        check_invariants(stock.connection)

    def test_an_item_counts_as_shipped_and_the_marketplace_consumes_it_only_once(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2))
        decide(stock, ITEM, Decision.SHIPPED, ANN)
        assert (lock(stock), level(stock)) == ((0, 0, 2), (8, 0))
        store_item(stock, SHIPPED, 1)
        assert (lock(stock), level(stock)) == ((0, 0, 2), (8, 0))
        check_invariants(stock.connection)

    def test_a_shipped_item_cannot_be_released_before_its_shipment_is_undone(self, stock: StockConnection) -> None:
        """Or it would not be consumed if its event still waits."""
        store_order(stock.connection, StoredOrder("1", [SHIPPED], modified_at=at(1)))
        with pytest.raises(StockActError, match="The item 100 is shipped: its pieces have left"):
            decide(stock, ITEM, Decision.RELEASE, ANN)
        apply_pending(stock)
        assert lock(stock) == (0, 0, 2)

    def test_a_shipment_that_was_undone_can_be_locked_and_released(self, stock: StockConnection) -> None:
        """The marketplace says that it has shipped, and the pieces are still here."""
        store_item(stock, StoredItem("100", quantity=2))
        store_item(stock, SHIPPED, 10)
        for decision, pieces in (
            (Decision.NOT_SHIPPED, (0, 0, 0)),
            (Decision.LOCK, (2, 0, 0)),
            (Decision.RELEASE, (0, 0, 0)),
            (Decision.SHIPPED, (0, 0, 2)),
        ):
            decide(stock, ITEM, decision, ANN)
            assert lock(stock) == pieces
        check_invariants(stock.connection)

    def test_it_is_on_record_with_its_reason(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100"))
        decide(stock, ITEM, Decision.RELEASE, ANN)
        cause = stock.execute(
            "SELECT cause, event_id FROM stock_lock_history ORDER BY entry_id DESC LIMIT 1"
        ).fetchone()
        assert cause == ("released by ann@desk: says so", None)
        decision = stock.execute("SELECT decision, item_status, reason, made_by FROM stock_decisions").fetchone()
        assert decision == ("release", "accepted", "says so", "ann@desk")

    def test_an_item_that_does_not_exist_cannot_be_decided_on(self, stock: StockConnection) -> None:
        with pytest.raises(StockActError, match="There is no order item 999 in the account shop"):
            decide(stock, (ACCOUNT, "999"), Decision.LOCK, ANN)


class TestUndoShipment:
    def test_the_pieces_are_on_hand_again(self, stock: StockConnection) -> None:
        store_item(stock, SHIPPED)
        store_item(stock, StoredItem("100", quantity=2, status="shipped", shipped=2), 1)
        assert level(stock) == (10, 0), "shipped before the count"
        store_item(stock, StoredItem("200", quantity=2), 1, "2")
        store_item(stock, StoredItem("200", quantity=2, status="shipped"), 2, "2")
        assert level(stock) == (8, 0)
        decide(stock, (ACCOUNT, "200"), Decision.NOT_SHIPPED, ANN)
        assert (lock(stock, "200"), level(stock)) == ((0, 0, 0), (10, 0))
        assert movements(stock)[-1] == ("not_shipped", 2, 10, "says so", "ann@desk")
        check_invariants(stock.connection)

    def test_pieces_that_were_never_subtracted_are_not_added(self, stock: StockConnection) -> None:
        store_item(stock, SHIPPED, created_at=at(-60))
        assert (lock(stock), level(stock)) == ((0, 0, 2), (10, 0))
        decide(stock, ITEM, Decision.NOT_SHIPPED, ANN)
        assert (lock(stock), level(stock)) == ((0, 0, 0), (10, 0))

    def test_pieces_that_were_on_the_shelf_when_it_was_counted_are_not_added(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2))
        store_item(stock, SHIPPED, 10)
        assert level(stock) == (8, 0)
        import_levels(stock, {"PHONE": 10}, counted_at=at(20))
        decide(stock, ITEM, Decision.NOT_SHIPPED, ANN)
        assert level(stock) == (10, 0)
        check_invariants(stock.connection)

    def test_a_count_that_arrives_after_it_sees_neither_shipment_nor_undoing(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2))
        store_item(stock, SHIPPED, 10)
        decide(stock, ITEM, Decision.NOT_SHIPPED, ANN)
        for counted_at in (at(5), at(20)):
            import_levels(stock, {"PHONE": 9}, counted_at=counted_at)
            assert level(stock) == (9, 0)

    def test_pieces_of_a_reopened_item_are_locked_again(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2))
        store_item(stock, SHIPPED, 10)
        store_item(stock, StoredItem("100", quantity=2), 20)
        decide(stock, ITEM, Decision.NOT_SHIPPED, ANN)
        assert (lock(stock), level(stock)) == ((2, 0, 0), (10, 2))
        store_item(stock, SHIPPED, 30)
        assert (lock(stock), level(stock)) == ((0, 0, 2), (8, 0))
        check_invariants(stock.connection)

    def test_what_has_not_left_cannot_be_undone(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100"))
        with pytest.raises(StockActError, match="No piece of the item 100 has left"):
            decide(stock, ITEM, Decision.NOT_SHIPPED, ANN)
        assert stock.execute("SELECT count(*) FROM stock_decisions").fetchone() == (0,)


class TestReturnToStock:
    @pytest.fixture
    def shipped(self, stock: StockConnection) -> StockConnection:
        """Two of ten pieces have left."""
        store_item(stock, StoredItem("100", quantity=2))
        store_item(stock, SHIPPED, 10)
        return stock

    def test_pieces_that_came_back_are_on_hand_and_their_lock_stays_consumed(self, shipped: StockConnection) -> None:
        return_to_stock(shipped, {ITEM: 1}, ANN)
        assert (lock(shipped), level(shipped)) == ((0, 0, 2), (9, 0))
        return_to_stock(shipped, {ITEM: 1}, ANN)
        assert level(shipped) == (10, 0)
        check_invariants(shipped.connection)

    def test_a_shipment_whose_event_still_waits_counts(self, stock: StockConnection) -> None:
        store_order(stock.connection, StoredOrder("1", [SHIPPED], "shipped", created_at=at(10)))
        result = return_to_stock(stock, {ITEM: 1}, ANN)
        assert (level(stock), result.transitions) == ((9, 0), {"consumed": 1})
        apply_pending(stock)
        assert (lock(stock), level(stock)) == ((0, 0, 2), (9, 0))
        check_invariants(stock.connection)

    def test_no_more_come_back_than_have_left(self, shipped: StockConnection) -> None:
        return_to_stock(shipped, {ITEM: 1}, ANN)
        with pytest.raises(StockActError, match="2 pieces have left, and 1 came back already: 2 more"):
            return_to_stock(shipped, {ITEM: 2}, ANN)
        assert level(shipped) == (9, 0)

    def test_they_go_to_the_order_that_waits(self, shipped: StockConnection) -> None:
        store_item(shipped, StoredItem("200", quantity=9), 20, "2")
        assert lock(shipped, "200") == (8, 1, 0)
        return_to_stock(shipped, {ITEM: 2}, ANN)
        assert (lock(shipped, "200"), level(shipped)) == ((9, 0, 0), (10, 9))
        check_invariants(shipped.connection)

    def test_an_undone_shipment_does_not_bring_returned_pieces_back_again(self, shipped: StockConnection) -> None:
        return_to_stock(shipped, {ITEM: 1}, ANN)
        decide(shipped, ITEM, Decision.NOT_SHIPPED, ANN)
        assert level(shipped) == (10, 0)

    def test_what_has_not_left_cannot_come_back(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100"))
        with pytest.raises(StockActError, match="No piece of the item 100 has left the stock"):
            return_to_stock(stock, {ITEM: 1}, ANN)

    @pytest.mark.parametrize(("shipped", "left"), [(None, 2), (1, 1)])
    def test_of_a_bundle_all_its_parts_come_back(self, stock: StockConnection, shipped: int | None, left: int) -> None:
        import_levels(stock, {"CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        store_item(stock, StoredItem("100", "SET", 2))
        store_item(stock, StoredItem("100", "SET", 2, "shipped", shipped=shipped), 10)
        assert (level(stock), level(stock, "CASE")) == ((10 - left, 0), (10 - 2 * left, 0))
        return_to_stock(stock, {ITEM: left}, ANN)
        assert (level(stock), level(stock, "CASE")) == ((10, 0), (10, 0))
        check_invariants(stock.connection)

    def test_what_left_under_a_former_sku_comes_back_as_that_one(self, shipped: StockConnection) -> None:
        import_levels(shipped, {"CASE": 10}, counted_at=at(0))
        store_item(shipped, SHIPPED._replace(sku="CASE"), 20)
        return_to_stock(shipped, {ITEM: 1}, ANN)
        assert (level(shipped), level(shipped, "CASE")) == ((9, 0), (10, 0))


class TestTheEndOfADecision:
    """It ends with the next status of the item, and stays ended if the status comes back."""

    def test_a_shipment_that_was_undone_is_consumed_when_the_item_ships_for_real(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2))
        store_item(stock, SHIPPED, 10)
        decide(stock, ITEM, Decision.NOT_SHIPPED, ANN)
        store_item(stock, StoredItem("100", quantity=2), 20)
        assert (lock(stock), level(stock)) == ((2, 0, 0), (10, 2))
        store_item(stock, SHIPPED, 30)
        assert (lock(stock), level(stock)) == ((0, 0, 2), (8, 0))
        check_invariants(stock.connection)

    def test_a_released_item_that_is_cancelled_and_reopened_is_locked(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2))
        decide(stock, ITEM, Decision.RELEASE, ANN)
        store_item(stock, StoredItem("100", quantity=2, status="cancelled"), 10)
        store_item(stock, StoredItem("100", quantity=2), 20)
        assert (lock(stock), level(stock)) == ((2, 0, 0), (10, 2))
        assert [each.in_force for each in explain(stock, "100").decisions] == [False]
        check_invariants(stock.connection)

    def test_a_cancelled_item_that_was_locked_is_released_when_it_is_cancelled_again(
        self, stock: StockConnection
    ) -> None:
        store_item(stock, StoredItem("100", quantity=2, status="cancelled"))
        decide(stock, ITEM, Decision.LOCK, ANN)
        assert level(stock) == (10, 2)
        store_item(stock, StoredItem("100", quantity=2), 10)
        store_item(stock, StoredItem("100", quantity=2, status="cancelled"), 20)
        assert level(stock) == (10, 0)
        check_invariants(stock.connection)

    def test_the_order_decides_for_an_item_of_unknown_status(self, stock: StockConnection) -> None:
        store_item(stock, StoredItem("100", quantity=2, status="unknown"))
        decide(stock, ITEM, Decision.RELEASE, ANN)
        assert level(stock) == (10, 0)
        store_item(stock, StoredItem("100", quantity=2, status="unknown"), 10, status="shipped")
        assert (lock(stock), level(stock)) == ((0, 0, 2), (8, 0))
        check_invariants(stock.connection)
