"""What has left: subtracted once, by its own time and with the parts of that time, and put back as it left."""

from datetime import datetime, timedelta

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, adjust, decide, return_to_stock, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import has_left
from orders_sync.stock.levels import Count, import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.settings import UnknownShippingTime, set_unknown_shipping_time
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import repair, wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order

ANN = By("ann@desk", "says so")
ITEM = (ACCOUNT, "100")


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    return StockConnection(connection)


def store(stock: StockConnection, item: StoredItem, minutes: float = 0, **order: object) -> None:
    """Stores an order of one item as of so many minutes after START, and applies its events."""
    changed = StoredOrder(item.item_id[:-2], [item], modified_at=at(minutes))._replace(**order)
    store_order(stock.connection, changed)
    apply_pending(stock)
    check_invariants(stock.connection)


def ships(stock: StockConnection, item_id: str = "100", minutes: float = 0, sku: str = "PHONE", **item: object) -> None:
    """An order of one item is stored as open, then as shipped so many minutes after START."""
    facts = StoredItem(item_id, sku)._replace(**item)
    store(stock, facts, minutes - 1)
    store(stock, facts._replace(status="shipped"), minutes, shipped_at=at(minutes))


def on_hand(stock: StockConnection, sku: str = "PHONE") -> int | None:
    row = stock.execute("SELECT on_hand FROM stock_levels WHERE sku = %s", [sku]).fetchone()
    return row[0] if row else None


def counted(stock: StockConnection, pieces: int, minutes: float, sku: str = "PHONE") -> int | None:
    """Imports a list with one SKU, counted so many minutes after START; returns its pieces on hand."""
    import_levels(stock, {sku: Count(pieces, at(minutes))})
    check_invariants(stock.connection)
    return on_hand(stock, sku)


class TestEachParcelHasItsTime:
    def test_of_an_items_two_parcels_the_one_that_left_before_the_count_is_not_subtracted(self, stock: StockConnection):
        counted(stock, 9, minutes=50)
        item = StoredItem("100", quantity=3)
        store(stock, item)
        store(stock, item._replace(shipped=2, parcels=((1, at(60)), (1, at(40)))), 60, shipped_at=at(60))
        assert on_hand(stock) == 8

    def test_a_parcel_that_is_known_later_has_its_own_time(self, stock: StockConnection) -> None:
        counted(stock, 9, minutes=50)
        item = StoredItem("100", quantity=3)
        store(stock, item._replace(shipped=1, parcels=((1, at(40)),)), 40, shipped_at=at(40))
        store(stock, item._replace(shipped=2, parcels=((1, at(40)), (1, at(60)))), 60, shipped_at=at(60))
        assert on_hand(stock) == 8

    def test_a_parcel_that_is_known_later_and_left_earlier_has_its_own_time(self, stock: StockConnection) -> None:
        counted(stock, 9, minutes=50)
        item = StoredItem("100", quantity=3)
        store(stock, item._replace(shipped=1, parcels=((1, at(60)),)), 60, shipped_at=at(60))
        assert on_hand(stock) == 8
        store(stock, item._replace(shipped=2, parcels=((1, at(40)), (1, at(60)))), 70, shipped_at=at(70))
        assert on_hand(stock) == 8

    def test_the_items_that_are_looked_at_together_have_each_their_own_parcels(self, stock: StockConnection) -> None:
        counted(stock, 9, minutes=50)
        late, early = StoredItem("100", quantity=3), StoredItem("200", quantity=3)
        both = ((1, at(40)), (1, at(60)))
        store(stock, late._replace(shipped=1, parcels=((1, at(60)),)), 60, shipped_at=at(60))
        store(stock, early._replace(shipped=1, parcels=((1, at(40)),)), 60, shipped_at=at(60))
        assert on_hand(stock) == 8, "one left after the count"
        for item in (late, early):
            changed = StoredOrder(item.item_id[:-2], [item._replace(shipped=2, parcels=both)], modified_at=at(70))
            store_order(stock.connection, changed._replace(shipped_at=at(70)))
        apply_pending(stock)
        assert on_hand(stock) == 7, "of those that are known now, one did as well"
        check_invariants(stock.connection)

    @pytest.mark.parametrize("noticed_at", [60, 65])
    def test_a_piece_that_was_noticed_later_was_in_the_last_parcel_before(
        self, stock: StockConnection, noticed_at: float
    ) -> None:
        counted(stock, 9, minutes=50)
        item = StoredItem("100", quantity=3)
        store(stock, item)
        store(stock, item._replace(shipped=1), noticed_at, shipped_at=at(noticed_at))
        parcels = ((1, at(40)), (1, at(60)), (1, at(66)))
        store(stock, item._replace(shipped=3, parcels=parcels), 70, shipped_at=at(70))
        assert on_hand(stock) == 7

    def test_a_held_piece_that_has_left_is_in_no_parcel_of_the_others(self, stock: StockConnection) -> None:
        item = StoredItem("100", quantity=3)
        counted(stock, 10, minutes=0)
        store(stock, item)
        store_label(stock.connection, "1")
        store(stock, item._replace(cancelled=1), 5)
        counted(stock, 9, minutes=20)
        has_left(stock, ITEM, None, ANN, at(30))
        assert on_hand(stock) == 8
        store(stock, item._replace(cancelled=1, shipped=1, parcels=((1, at(10)),)), 40, shipped_at=at(40))
        assert on_hand(stock) == 8
        parcels = ((1, at(10)), (1, at(45)))
        store(stock, item._replace(cancelled=1, shipped=2, parcels=parcels), 50, shipped_at=at(50))
        assert on_hand(stock) == 7

    def test_pieces_of_which_no_parcel_is_known_left_when_the_order_did(self, stock: StockConnection) -> None:
        counted(stock, 9, minutes=50)
        item = StoredItem("100", quantity=3)
        store(stock, item)
        store(stock, item._replace(shipped=3, parcels=((1, at(40)),)), 60, shipped_at=at(60))
        assert on_hand(stock) == 7

    def test_a_shipping_time_in_the_future_counts_as_now(self, stock: StockConnection) -> None:
        counted(stock, 10, minutes=0)
        store(stock, StoredItem("100"))
        store(stock, StoredItem("100", status="shipped"), 1, shipped_at=datetime.now(at(0).tzinfo) + timedelta(days=9))
        assert on_hand(stock) == 9
        import_levels(stock, {"PHONE": 9})
        assert on_hand(stock) == 9, "it has left before this count"


class TestAListThatComesLate:
    def test_what_left_while_the_sku_was_not_in_the_list_is_subtracted(self, stock: StockConnection) -> None:
        ships(stock, minutes=60)
        assert counted(stock, 10, minutes=30) == 9
        assert counted(stock, 10, minutes=45) == 9
        assert counted(stock, 9, minutes=61) == 9

    def test_what_left_while_the_list_had_none_is_subtracted(self, stock: StockConnection) -> None:
        counted(stock, 0, minutes=0)
        ships(stock, minutes=60)
        assert on_hand(stock) == 0
        assert counted(stock, 1, minutes=30) == 0

    def test_it_does_not_matter_what_happens_to_the_order_afterwards(self, stock: StockConnection) -> None:
        store(stock, StoredItem("100"))
        store(stock, StoredItem("100", status="shipped"), 10)
        store(stock, StoredItem("100", status="refunded_after_shipping"), 100)
        assert counted(stock, 10, minutes=50) == 10

    def test_pieces_that_a_person_added_are_no_count(self, stock: StockConnection) -> None:
        adjust(stock, "PHONE", 1, ANN)
        assert counted(stock, 10, minutes=0) == 11

    def test_a_return_makes_no_list_and_is_known_to_one_that_was_counted_before(self, stock: StockConnection) -> None:
        ships(stock, minutes=60)
        return_to_stock(stock, {ITEM: 1}, ANN)
        assert on_hand(stock) is None
        ships(stock, "200", minutes=70)
        assert counted(stock, 10, minutes=30) == 9


class TestAMarketplaceThatGivesNoTimeOfShipping:
    """refurbed. The last `modified` pass before was at 8:00; the shelf is counted at 9:00; then SHIPPED is seen."""

    @pytest.mark.parametrize(("value", "left"), [("as_seen", 8), ("before_count", 9)])
    def test_a_setting_says_whether_it_left_before_the_count(
        self, stock: StockConnection, value: str, left: int
    ) -> None:
        set_unknown_shipping_time(stock, UnknownShippingTime(value), ANN)
        store(stock, StoredItem("100"))
        stock.execute(
            "INSERT INTO lane_runs (account, sync_type, run_id, started_at, finished_at, outcome) "
            "VALUES ('shop', 'modified', '', %s, %s, 'succeeded')",
            [at(0), at(1)],
        )
        counted(stock, 9, minutes=60)
        store(stock, StoredItem("100", status="shipped"), modified_at=None)
        assert on_hand(stock) == left

    @pytest.mark.parametrize(
        "later", [status for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.CONSUME]
    )
    def test_a_pass_that_stores_the_order_again_before_the_stock_job_comes_changes_nothing(
        self, stock: StockConnection, later: str
    ) -> None:
        set_unknown_shipping_time(stock, UnknownShippingTime.BEFORE_COUNT, By("ann@desk", ""))
        store(stock, StoredItem("100"))
        counted(stock, 9, minutes=60)
        for status in ("shipped", later):
            shipped = StoredOrder("1", [StoredItem("100", status=status)])._replace(modified_at=None)
            store_order(stock.connection, shipped)
            stock.execute("UPDATE orders SET stored_at = clock_timestamp()")
            stock.execute(
                "INSERT INTO lane_runs (account, sync_type, run_id, started_at, finished_at, outcome) "
                "VALUES ('shop', 'modified', %s, now(), clock_timestamp(), 'succeeded')",
                [status],
            )
        stock.execute("UPDATE orders SET stored_at = clock_timestamp(), first_stored_at = %s", [at(0)])
        apply_pending(stock)
        assert on_hand(stock) == 9, "the pass that stored it as shipped first saw it gone"


class TestAliasesAndBundlesThatChange:
    """A set is a phone; then it is something else."""

    @pytest.fixture(autouse=True)
    def _counted(self, stock: StockConnection) -> None:
        import_levels(stock, {"PHONE": 10, "CASE": 10, "BOX": 10}, counted_at=at(-100))

    @staticmethod
    def a_set_is(stock: StockConnection, **parts: int) -> None:
        import_stock_skus(stock, [StockSku("", "SET", sku, pieces) for sku, pieces in parts.items()])
        apply_pending(stock)

    @staticmethod
    def levels(stock: StockConnection) -> tuple[int | None, ...]:
        return tuple(on_hand(stock, sku) for sku in ("PHONE", "CASE", "BOX"))

    @pytest.mark.parametrize("status", ["refunded_after_shipping", "returned"])
    def test_what_left_keeps_its_parts(self, stock: StockConnection, status: str) -> None:
        self.a_set_is(stock, PHONE=1)
        ships(stock, sku="SET")
        self.a_set_is(stock, PHONE=2, CASE=2)
        store(stock, StoredItem("100", "SET", status=status), 10)
        assert self.levels(stock) == (9, 10, 10)

    def test_only_what_still_leaves_has_the_new_parts(self, stock: StockConnection) -> None:
        self.a_set_is(stock, PHONE=1, CASE=2)
        store(stock, StoredItem("100", "SET", quantity=2))
        store(stock, StoredItem("100", "SET", quantity=2, shipped=1), 10)
        self.a_set_is(stock, BOX=1)
        assert self.levels(stock) == (9, 8, 10)
        store(stock, StoredItem("100", "SET", quantity=2, shipped=2, status="shipped"), 20)
        assert self.levels(stock) == (9, 8, 9)

    def test_it_comes_back_as_it_left(self, stock: StockConnection) -> None:
        self.a_set_is(stock, PHONE=1, CASE=2)
        ships(stock, sku="SET")
        self.a_set_is(stock, BOX=1)
        return_to_stock(stock, {ITEM: 1}, ANN)
        assert self.levels(stock) == (10, 10, 10)

    def test_it_is_undone_as_it_left(self, stock: StockConnection) -> None:
        self.a_set_is(stock, PHONE=2, CASE=1)
        ships(stock, sku="SET", quantity=2)
        self.a_set_is(stock, BOX=1)
        undo_shipment(stock, ITEM, 1, ANN)
        assert self.levels(stock) == (8, 9, 10)
        undo_shipment(stock, ITEM, 1, ANN)
        assert self.levels(stock) == (10, 10, 10)


class TestUndoingAShipment:
    @pytest.fixture(autouse=True)
    def _counted(self, stock: StockConnection) -> None:
        import_levels(stock, {"PHONE": 10}, counted_at=at(-100))

    @staticmethod
    def three(shipped: int, status: str = "accepted") -> StoredItem:
        return StoredItem("100", quantity=3, shipped=shipped, status=status)

    @staticmethod
    def pieces(stock: StockConnection) -> tuple[int, int]:
        """(on hand, reserved)."""
        rows = stock.execute("SELECT on_hand, reserved FROM stock_levels WHERE sku = 'PHONE'").fetchall()
        return rows[0]

    def test_one_of_two_pieces(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=2))
        undo_shipment(stock, ITEM, 1, ANN)
        assert self.pieces(stock) == (9, 2)
        assert wrong_locks(stock) == []

    def test_one_that_the_marketplace_has_corrected_before(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=2))
        store(stock, self.three(shipped=1), 1)
        assert self.pieces(stock) == (8, 1)
        undo_shipment(stock, ITEM, 1, ANN)
        assert self.pieces(stock) == (9, 2)

    def test_one_that_the_marketplace_corrects_afterwards(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=1))
        undo_shipment(stock, ITEM, None, ANN)
        assert self.pieces(stock) == (10, 3)
        store(stock, self.three(shipped=0), 1)
        assert self.pieces(stock) == (10, 3)
        store(stock, self.three(shipped=2), 2)
        assert self.pieces(stock) == (8, 1)
        store(stock, self.three(shipped=3, status="shipped"), 3)
        assert self.pieces(stock) == (7, 0)

    def test_one_that_the_marketplace_never_corrects(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=1))
        undo_shipment(stock, ITEM, None, ANN)
        store(stock, self.three(shipped=2), 2)
        assert self.pieces(stock) == (9, 2)

    def test_a_shipment_that_is_stored_and_not_applied_yet_has_left(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=1))
        store_order(stock.connection, StoredOrder("1", [self.three(shipped=2)], modified_at=at(1)))
        undo_shipment(stock, ITEM, 1, ANN)
        apply_pending(stock)
        assert self.pieces(stock) == (9, 2)
        store(stock, self.three(shipped=3), 2)
        assert self.pieces(stock) == (8, 1)

    @pytest.mark.parametrize(("decision", "held"), [(Decision.RELEASE, 0), (Decision.LOCK, 3)])
    def test_a_later_decision_does_not_end_it(self, stock: StockConnection, decision: Decision, held: int) -> None:
        store(stock, self.three(shipped=1))
        undo_shipment(stock, ITEM, 1, ANN)
        decide(stock, ITEM, decision, ANN)
        assert self.pieces(stock) == (10, held)

    @pytest.mark.parametrize("status", ["refunded_after_shipping", "returned"])
    def test_another_status_of_an_order_that_never_left_takes_nothing(
        self, stock: StockConnection, status: str
    ) -> None:
        store(stock, StoredItem("100"))
        store(stock, StoredItem("100", status="shipped"), 1)
        undo_shipment(stock, ITEM, None, ANN)
        store(stock, StoredItem("100", status=status), 2)
        assert self.pieces(stock) == (10, 0)

    def test_it_can_be_reopened_and_ship_for_real(self, stock: StockConnection) -> None:
        store(stock, StoredItem("100"))
        store(stock, StoredItem("100", status="shipped"), 1)
        undo_shipment(stock, ITEM, None, ANN)
        store(stock, StoredItem("100"), 2)
        assert self.pieces(stock) == (10, 1)
        store(stock, StoredItem("100", status="shipped"), 3)
        assert self.pieces(stock) == (9, 0)

    def test_one_that_the_marketplace_corrects_after_the_next_shipment(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=1))
        undo_shipment(stock, ITEM, 1, ANN)
        store(stock, self.three(shipped=2), 1)
        assert self.pieces(stock) == (9, 2)
        store(stock, self.three(shipped=1), 2)
        assert self.pieces(stock) == (9, 2)
        store(stock, self.three(shipped=2), 3)
        assert self.pieces(stock) == (8, 1)

    def test_what_a_person_set_to_shipped(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=0))
        decide(stock, ITEM, Decision.SHIPPED, ANN)
        assert self.pieces(stock) == (7, 0)
        undo_shipment(stock, ITEM, None, ANN)
        assert self.pieces(stock) == (10, 3)
        store(stock, self.three(shipped=3, status="shipped"), 1)
        assert self.pieces(stock) == (7, 0)

    def test_more_than_have_left_is_refused(self, stock: StockConnection) -> None:
        store(stock, self.three(shipped=1))
        with pytest.raises(StockActError, match="Of the item 100, 1 pieces have left: 2 can't be undone"):
            undo_shipment(stock, ITEM, 2, ANN)

    def test_its_own_order_gets_the_piece_before_a_younger_one(self, stock: StockConnection) -> None:
        import_levels(stock, {"PHONE": 1}, counted_at=at(-99))
        store(stock, StoredItem("100"), created_at=at(-50))
        store(stock, StoredItem("100", status="shipped"), 1, created_at=at(-50))
        store(stock, StoredItem("200"), 2, created_at=at(-10))
        store(stock, StoredItem("100"), 3, created_at=at(-50))
        undo_shipment(stock, ITEM, None, ANN)
        check_invariants(stock.connection)
        rows = stock.execute("SELECT item_id, locked, short FROM stock_locks ORDER BY item_id").fetchall()
        assert rows == [("100", 1, 0), ("200", 0, 1)]

    def test_pieces_that_came_back_before_are_not_added_and_can_come_back_again(self, stock: StockConnection) -> None:
        ships(stock)
        return_to_stock(stock, {ITEM: 1}, ANN)
        undo_shipment(stock, ITEM, None, ANN)
        assert on_hand(stock) == 10
        store(stock, StoredItem("100"), 5)
        store(stock, StoredItem("100", status="shipped"), 6)
        assert on_hand(stock) == 9
        return_to_stock(stock, {ITEM: 1}, ANN)
        assert on_hand(stock) == 10


def test_undoing_what_a_late_list_has_subtracted_gives_it_back(stock: StockConnection) -> None:
    ships(stock, minutes=60)
    assert counted(stock, 10, minutes=30) == 9
    undo_shipment(stock, ITEM, None, ANN)
    assert on_hand(stock) == 10


def test_undoing_what_the_stock_list_did_not_have_gives_nothing_back(stock: StockConnection) -> None:
    counted(stock, 0, minutes=0)
    ships(stock, minutes=60)
    counted(stock, 0, minutes=30)
    undo_shipment(stock, ITEM, None, ANN)
    assert on_hand(stock) == 0


def test_undoing_gives_no_piece_back_that_another_order_has_taken(stock: StockConnection) -> None:
    """The one piece counts as shipped for order 1, and leaves for order 2."""
    counted(stock, 1, minutes=0)
    ships(stock, minutes=60)
    ships(stock, "200", minutes=70)
    undo_shipment(stock, ITEM, None, ANN)
    assert on_hand(stock) == 0
    return_to_stock(stock, {(ACCOUNT, "200"): 1}, ANN)
    assert on_hand(stock) == 1


def test_undoing_what_was_counted_afterwards_gives_nothing_back(stock: StockConnection) -> None:
    ships(stock, minutes=60)
    assert counted(stock, 10, minutes=90) == 10
    undo_shipment(stock, ITEM, None, ANN)
    assert on_hand(stock) == 10


def test_what_shipped_and_was_never_taken_is_found_and_repaired(stock: StockConnection) -> None:
    """An event was skipped, or the stock tables are older than the orders."""
    import_levels(stock, {"PHONE": 10}, counted_at=at(-100))
    store_order(stock.connection, StoredOrder("1", [StoredItem("100", status="shipped")]))
    stock.execute("UPDATE order_events SET applied_at = now()")
    assert [each.problem for each in wrong_locks(stock)] == ["1 of 1 pieces that left were not taken"]
    repair(stock)
    assert on_hand(stock) == 9
    assert wrong_locks(stock) == []
