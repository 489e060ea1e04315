"""A decision that could not do what it says is refused, in one sentence; every other one is kept on record."""

import pytest

from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, decide
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "first reason")
BOB = By("bob@desk", "second reason")
ITEM = (ACCOUNT, "100")


def store(stock: StockConnection, item: StoredItem, minutes: float = 0, *, apply: bool = True) -> None:
    store_order(stock.connection, StoredOrder("1", [item], modified_at=at(minutes), shipped_at=at(minutes)))
    if apply:
        apply_pending(stock)


@pytest.fixture
def stock(stock: StockConnection) -> StockConnection:
    import_levels(stock, {"PHONE": 10}, counted_at=at(-10))
    return stock


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            StoredItem("100", quantity=2, status="cancelled", cancelled=2),
            "The item 100 has no piece to lock: of 2, the marketplace reports 2 as cancelled and 0 as shipped.",
        ),
        (
            StoredItem("100", quantity=3, cancelled=1, shipped=2),
            "The item 100 has no piece to lock: of 3, the marketplace reports 1 as cancelled and 2 as shipped.",
        ),
        (StoredItem("100", kind="discount"), "The item 100 is no goods (e.g. a discount or a service)"),
        (StoredItem("100", status="shipped"), "The item 100 is shipped: its pieces have left, and none is held."),
    ],
)
def test_a_lock_without_a_piece_to_hold_is_refused(stock: StockConnection, item: StoredItem, message: str) -> None:
    store(stock, item)
    with pytest.raises(StockActError) as problem:
        decide(stock, ITEM, Decision.LOCK, ANN)
    assert message in str(problem.value)
    assert explain(stock, "100").decisions == []


@pytest.mark.parametrize("decision", [Decision.LOCK, Decision.RELEASE])
def test_a_stored_shipment_counts_before_the_stock_job_has_looked_at_it(
    stock: StockConnection, decision: Decision
) -> None:
    store(stock, StoredItem("100"))
    store(stock, StoredItem("100", status="shipped"), 10, apply=False)
    with pytest.raises(StockActError, match="is shipped: its pieces have left"):
        decide(stock, ITEM, decision, ANN)
    apply_pending(stock)
    assert stock.execute("SELECT on_hand, reserved FROM stock_levels").fetchone() == (9, 0)
    check_invariants(stock.connection)


def test_what_was_set_to_shipped_by_a_decision_is_neither_locked_nor_released(stock: StockConnection) -> None:
    store(stock, StoredItem("100"))
    decide(stock, ITEM, Decision.SHIPPED, ANN)
    for decision in (Decision.LOCK, Decision.RELEASE):
        with pytest.raises(StockActError, match="was set to shipped by a decision: its pieces have left"):
            decide(stock, ITEM, decision, ANN)


def test_of_pieces_that_are_cancelled_in_part_the_others_are_locked(stock: StockConnection) -> None:
    store(stock, StoredItem("100", quantity=3, status="awaiting_payment", cancelled=1))
    decide(stock, ITEM, Decision.LOCK, ANN)
    assert stock.execute("SELECT locked, short FROM stock_locks").fetchall() == [(2, 0)]
    check_invariants(stock.connection)


class TestRecord:
    def test_each_decision_stays_also_if_it_changed_no_lock(self, stock: StockConnection) -> None:
        store(stock, StoredItem("100", status="cancelled"))
        for by in (ANN, BOB):
            assert not decide(stock, ITEM, Decision.RELEASE, by).transitions
        for subject in ("100", "PHONE"):
            found = [(each.made_by, each.reason, each.in_force) for each in explain(stock, subject).decisions]
            assert found == [("ann@desk", "first reason", False), ("bob@desk", "second reason", True)]

    def test_the_newest_one_counts(self, stock: StockConnection) -> None:
        store(stock, StoredItem("100", status="awaiting_payment"))
        for decision, locked in ((Decision.LOCK, 1), (Decision.RELEASE, 0), (Decision.LOCK, 1)):
            decide(stock, ITEM, decision, ANN)
            assert stock.execute("SELECT sum(locked) FROM stock_locks").fetchone() == (locked,)
            check_invariants(stock.connection)
        assert [each.decision for each in explain(stock, "100").decisions] == ["lock", "release", "lock"]
