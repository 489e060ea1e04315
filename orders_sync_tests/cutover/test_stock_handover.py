"""Stock handed back to V1 and taken over again: the pieces on hand are those of the shadow, each counted once."""

import pytest

from orders_sync.cutover.stock_handover import V1Lock, hand_back, take_over
from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, adjust, return_to_stock, undo_shipment
from orders_sync.stock.connection import StockConnection, StockSchema
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "broken")


@pytest.fixture
def public(connection: Connection) -> StockConnection:
    """Ten phones were counted, before V1 got the authority."""
    public = StockConnection(connection)
    import_levels(public, {"PHONE": 10}, counted_at=at(0))
    return public


@pytest.fixture
def shadow(public: StockConnection) -> StockConnection:
    with public.connection.transaction():
        hand_back(public.connection)
    return StockConnection(public.connection, StockSchema.SHADOW)


def ship(shadow: StockConnection, order_id: str, minutes: float) -> None:
    """An order that is placed, and shipped some minutes later."""
    for status, moment in (("accepted", minutes), ("shipped", minutes + 1)):
        item = StoredItem(order_id, status=status)
        store_order(shadow.connection, StoredOrder(order_id, [item], status, modified_at=at(moment)))
        apply_pending(shadow)


def go_live(public: StockConnection, *v1_locks: V1Lock) -> None:
    with public.connection.transaction():
        take_over(public.connection, v1_locks, frozenset())


def level(stock: StockConnection) -> tuple[int, int]:
    """(on hand, reserved) of the phones."""
    row = stock.execute("SELECT on_hand, reserved FROM {levels} WHERE sku = 'PHONE'").fetchone()
    assert row is not None
    return row


def test_what_shipped_since_the_count_is_subtracted_once(public: StockConnection, shadow: StockConnection) -> None:
    ship(shadow, "1", 10)
    assert level(shadow) == (9, 0)
    go_live(public)
    assert level(public) == (9, 0)
    check_invariants(public.connection)


def test_going_live_again_and_again_subtracts_nothing_more(public: StockConnection, shadow: StockConnection) -> None:
    ship(shadow, "1", 10)
    go_live(public)
    for number in range(2, 5):
        with public.connection.transaction():
            hand_back(public.connection)
        ship(shadow, str(number), 10 * number)
        go_live(public)
        assert level(public) == (10 - number, 0)
    check_invariants(public.connection)


def test_what_was_done_to_the_shadow_is_known_to_a_list_that_comes_late(
    public: StockConnection, shadow: StockConnection
) -> None:
    adjust(shadow, "PHONE", -2, ANN)
    ship(shadow, "1", 10)
    go_live(public)
    assert level(public) == (7, 0)
    import_levels(public, {"PHONE": 12}, counted_at=at(5))
    assert level(public) == (9, 0), "12 were counted before the shipment and the adjustment"
    check_invariants(public.connection)


def test_what_left_in_the_shadow_can_be_undone_and_comes_back_once(
    public: StockConnection, shadow: StockConnection
) -> None:
    ship(shadow, "1", 10)
    ship(shadow, "2", 20)
    return_to_stock(shadow, {(ACCOUNT, "2"): 1}, ANN)
    go_live(public)
    assert level(public) == (9, 0)
    undo_shipment(public, (ACCOUNT, "1"), None, ANN)
    assert level(public) == (10, 0)
    with pytest.raises(StockActError, match="1 more can't come back"):
        return_to_stock(public, {(ACCOUNT, "2"): 1}, ANN)
    check_invariants(public.connection)


def test_what_was_undone_in_the_shadow_is_needed_again(public: StockConnection) -> None:
    ship(public, "1", 10)
    with public.connection.transaction():
        hand_back(public.connection)
    shadow = StockConnection(public.connection, StockSchema.SHADOW)
    undo_shipment(shadow, (ACCOUNT, "1"), None, ANN)
    go_live(public)
    assert level(public) == (10, 0)
    store_order(public.connection, StoredOrder("1", [StoredItem("1")], modified_at=at(30)))
    apply_pending(public)
    assert level(public) == (10, 1)
    check_invariants(public.connection)


def test_an_order_keeps_the_piece_that_v1_holds_for_it(public: StockConnection) -> None:
    """An older order came later, and waits."""
    import_levels(public, {"PHONE": 1})
    with public.connection.transaction():
        hand_back(public.connection)
    shadow = StockConnection(public.connection, StockSchema.SHADOW)
    for number, minutes in (("1", -90), ("2", -30)):
        store_order(public.connection, StoredOrder(number, [StoredItem(number)], created_at=at(minutes)))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "2", 1, consumed=False))
    rows = public.execute("SELECT item_id, locked, short FROM {locks} ORDER BY item_id").fetchall()
    assert rows == [("1", 0, 1), ("2", 1, 0)]
    check_invariants(public.connection)


def test_what_v1_has_consumed_after_the_count_and_the_marketplace_tells_later_is_subtracted(
    public: StockConnection, shadow: StockConnection
) -> None:
    store_order(public.connection, StoredOrder("1", [StoredItem("1")]))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1", 1, consumed=True))
    assert level(public) == (9, 0)
    store_order(public.connection, StoredOrder("1", [StoredItem("1", status="shipped")], modified_at=at(30)))
    apply_pending(public)
    assert level(public) == (9, 0)
    check_invariants(public.connection)
