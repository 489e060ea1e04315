"""A label that becomes known only after its item was cancelled: the pieces are held then, as far as they are available."""

from datetime import UTC, datetime

import pytest

from orders_sync.database.engine import Connection
from orders_sync.model.records import Document, DocumentKind
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import By, decide
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.held import IF_RELEASED, has_left, held, still_here
from orders_sync.stock.labels import released_before_label
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.queries import sku_levels
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.sync.documents import store_documents
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "looked at the desk")
ITEM = (ACCOUNT, "100")
THREE = StoredItem("100", quantity=3)
LABEL = Document("L1", DocumentKind.LABEL, "https://x.example/l")


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """Three of ten phones were locked for an item, and released when it was cancelled."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
    store(stock, THREE)
    store(stock, THREE._replace(status="cancelled"))
    assert reserved(stock) == 0
    return stock


def store(stock: StockConnection, *items: StoredItem, order_id: str = "1", minutes: float = 0) -> None:
    store_order(stock.connection, StoredOrder(order_id, items, items[0].status, modified_at=at(minutes)))
    apply_pending(stock)


def label(stock: StockConnection, document: Document = LABEL) -> None:
    """A pass reads the label of the order, and the stock job runs."""
    store_documents(stock.connection, ACCOUNT, {"1": [document]})
    apply_pending(stock)


def reserved(stock: StockConnection, sku: str = "PHONE") -> int:
    return {level.sku: level.reserved for level in sku_levels(stock)}[sku]


def check(stock: StockConnection) -> None:
    assert wrong_locks(stock) == []
    check_invariants(stock.connection)


def test_the_pieces_that_were_released_are_held(stock: StockConnection) -> None:
    label(stock)
    assert ([each.held for each in held(stock)], reserved(stock)) == ([3], 3)
    cause = "it had a label, which was stored only after its pieces were released"
    assert explain(stock, "100").transitions[-1].cause == cause
    check(stock)
    has_left(stock, ITEM, None, ANN)
    assert (held(stock), reserved(stock)) == ([], 0)
    assert {level.sku: level.on_hand for level in sku_levels(stock)}["PHONE"] == 7
    check(stock)


def test_what_is_here_stays_released_whatever_is_read_again(stock: StockConnection) -> None:
    label(stock)
    still_here(stock, ITEM, None, ANN)
    label(stock)
    store(stock, THREE._replace(status="refunded_before_shipping"), minutes=9)
    assert (held(stock), reserved(stock)) == ([], 0)


def test_pieces_that_another_order_has_got_stay_there_and_the_item_is_on_the_list(stock: StockConnection) -> None:
    store(stock, StoredItem("200", quantity=10), order_id="2")
    label(stock)
    [missing] = held(stock)
    assert (missing.item_id, missing.held, missing.next_step) == ("100", 0, IF_RELEASED)
    assert reserved(stock) == 10
    check(stock)
    decide(stock, ITEM, Decision.RELEASE, ANN)
    assert held(stock) == []


def test_those_that_are_still_available_are_held(stock: StockConnection) -> None:
    store(stock, StoredItem("200", quantity=8), order_id="2")
    label(stock)
    assert ([each.held for each in held(stock)], reserved(stock)) == ([2], 10)
    check(stock)


def test_a_set_is_held_whole(connection: Connection) -> None:
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10, "CASE": 4})
    import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
    store(stock, StoredItem("100", "SET", 2))
    store(stock, StoredItem("100", "SET", 2, "cancelled"))
    store(stock, StoredItem("200", "CASE"), order_id="2")
    label(stock)
    assert (reserved(stock), reserved(stock, "CASE")) == (1, 3)
    check(stock)


def test_only_pieces_that_were_locked_are_held(connection: Connection) -> None:
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 1})
    store(stock, THREE)
    store(stock, THREE._replace(status="cancelled"))
    import_levels(stock, {"PHONE": 10})
    label(stock)
    assert ([each.held for each in held(stock)], reserved(stock)) == ([1], 1)


def test_two_items_whose_labels_come_together_hold_each_piece_once(stock: StockConnection) -> None:
    """Another order has got all but one piece since their release."""
    store(stock, THREE._replace(status="cancelled"), StoredItem("101", quantity=2))
    store(stock, THREE._replace(status="cancelled"), StoredItem("101", quantity=2, status="cancelled"), minutes=1)
    store(stock, StoredItem("200", quantity=9), order_id="2")
    label(stock)
    assert [each.held for each in held(stock)] == [1, 0]
    assert reserved(stock) == 10
    check(stock)


def test_a_piece_that_becomes_available_then_is_for_the_order_that_waits(stock: StockConnection) -> None:
    """In the same batch, an order of ten gives one back, and the label is read."""
    store(stock, StoredItem("050", quantity=10), order_id="2")
    store(stock, StoredItem("300"), order_id="3", minutes=2)
    store_order(stock.connection, StoredOrder("2", [StoredItem("050", quantity=9)], modified_at=at(3)))
    label(stock)
    locks = stock.execute("SELECT item_id, locked, held FROM stock_locks ORDER BY item_id").fetchall()
    assert locks == [("050", 9, 0), ("100", 0, 0), ("300", 1, 0)]
    check(stock)


class TestAnotherSkuBefore:
    """The list names only what was released when the item was cancelled."""

    def test_by_an_alias(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"A": 5, "B": 1})
        for alias in ("A", "B"):
            import_stock_skus(stock, [StockSku("", "PHONE", alias, 1)])
            store(stock, StoredItem("100"))
        store(stock, StoredItem("100", status="cancelled"))
        store(stock, StoredItem("200"), order_id="2")
        label(stock)
        assert released_before_label(stock) == {ITEM: {"B": 1}}
        assert [(each.item_id, each.sku, each.held) for each in held(stock)] == [("100", "B", 0)]

    def test_by_spellings_that_are_one_since_then(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"phone": 0, "PHONE": 5})
        for item in (StoredItem("100", "phone"), StoredItem("100"), StoredItem("100", status="cancelled")):
            store(stock, item)
        set_sku_case(stock, SkuCase.IGNORE, ANN)
        label(stock)
        assert ([(each.sku, each.held) for each in held(stock)], reserved(stock)) == ([("PHONE", 1)], 1)
        check(stock)


class TestAnotherItemOfTheOrderIsToShip:
    """An item of an order is cancelled, and the label is made for the other one."""

    @pytest.fixture
    def order(self, stock: StockConnection) -> StockConnection:
        store(stock, StoredItem("101"), THREE._replace(status="cancelled"))
        return stock

    def test_a_label_of_the_whole_order_is_for_that_one(self, order: StockConnection) -> None:
        label(order)
        assert (held(order), reserved(order)) == ([], 1)

    def test_a_label_that_names_the_item_is_its_own(self, order: StockConnection) -> None:
        label(order, Document("L1", DocumentKind.LABEL, "https://x.example/l", item_ids=("100", "101")))
        assert ([each.item_id for each in held(order)], reserved(order)) == (["100"], 4)
        check(order)


def test_an_item_that_is_no_goods_has_no_label(stock: StockConnection) -> None:
    """The label of the whole order is for the cancelled item, since a discount is not sent."""
    store(stock, StoredItem("101", kind="discount"), THREE._replace(status="cancelled"))
    label(stock)
    assert [each.held for each in held(stock)] == [3]


class TestALabelThatWasKnownBefore:
    """Another one, which comes late, says nothing new unless the first one was for something else."""

    LATE = Document("L2", DocumentKind.LABEL, "https://x.example/2", item_ids=("100",))

    def held_late(self, connection: Connection, known: Document) -> list[int]:
        """Three pieces are cancelled once a label is known, which does not hold them; another label comes late."""
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10, "CASE": 10})
        store(stock, THREE, StoredItem("101", "CASE"))
        label(stock, known)
        store(stock, THREE._replace(status="cancelled"), StoredItem("101", "CASE"))
        assert held(stock) == []
        label(stock, self.LATE)
        check(stock)
        return [each.held for each in held(stock)]

    def test_for_another_item(self, connection: Connection) -> None:
        of_another = Document("L1", DocumentKind.LABEL, "https://x.example/l", item_ids=("101",))
        assert self.held_late(connection, of_another) == [3]

    def test_cancelled_before_the_release(self, connection: Connection) -> None:
        cancelled = Document("L1", DocumentKind.LABEL, "https://x.example/l", cancelled_at=at(1))
        assert self.held_late(connection, cancelled) == [3]

    def test_cancelled_after_the_release(self, stock: StockConnection) -> None:
        """The pieces were held, and a count has shown that they have left."""
        label(stock)
        import_levels(stock, {"PHONE": 0})
        import_levels(stock, {"PHONE": 5})
        label(stock, Document("L1", DocumentKind.LABEL, "https://x.example/l", cancelled_at=datetime.now(UTC)))
        label(stock, self.LATE)
        assert (held(stock), reserved(stock)) == ([], 0)


def test_a_late_label_whose_parcel_has_left_says_nothing(stock: StockConnection) -> None:
    label(stock, Document("L1", DocumentKind.LABEL, "https://x.example/l", shipped_at=at(9)))
    assert (held(stock), reserved(stock)) == ([], 0)


def test_a_late_label_of_an_item_of_which_some_have_shipped_says_nothing(stock: StockConnection) -> None:
    store_order(stock.connection, StoredOrder("1", [THREE._replace(status="cancelled", shipped=1)]))
    label(stock)
    assert (held(stock), reserved(stock)) == ([], 0)
    check(stock)


def test_another_label_of_an_item_that_had_one_says_nothing_new(stock: StockConnection) -> None:
    """Its pieces were held, and a count has shown that they have left."""
    label(stock)
    import_levels(stock, {"PHONE": 0})
    import_levels(stock, {"PHONE": 5})
    label(stock, Document("L2", DocumentKind.LABEL, "https://x.example/2"))
    assert (held(stock), reserved(stock)) == ([], 0)
    check(stock)


def test_a_cancelled_label_says_nothing(stock: StockConnection) -> None:
    label(stock, Document("L1", DocumentKind.LABEL, "https://x.example/l", cancelled_at=at(9)))
    assert (held(stock), pending_events(stock)) == ([], 0)


def test_what_a_person_has_released_stays_released(stock: StockConnection) -> None:
    store(stock, THREE._replace(status="accepted"), minutes=1)
    decide(stock, ITEM, Decision.RELEASE, ANN)
    store(stock, THREE._replace(status="cancelled"), minutes=2)
    label(stock)
    assert (held(stock), reserved(stock)) == ([], 0)


def test_the_lock_of_an_item_whose_sku_the_marketplace_changes_moves_and_nothing_is_held(
    connection: Connection,
) -> None:
    """It needs as many pieces as before, so that none of the former SKU may have left beside them."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10, "CASE": 10})
    store(stock, THREE)
    label(stock)
    store(stock, THREE._replace(sku="CASE"))
    assert (held(stock), reserved(stock), reserved(stock, "CASE")) == ([], 0, 3)
    check(stock)
