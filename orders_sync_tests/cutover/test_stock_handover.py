"""Stock that V2 takes over from V1: the pieces on hand are those that V2 has counted, each once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orders_sync.cutover.stock_handover import V1Lock, take_over
from orders_sync.marketplaces.kit import accounts
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, adjust, return_to_stock, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.unreadable_accounts import UnreadableAccountError
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.deployment import write_account
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.cutover.handed_over import go_live, level, ship
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "broken")


def test_what_shipped_since_the_count_is_subtracted_once(stock: StockConnection) -> None:
    ship(stock, "1", 10)
    assert level(stock) == (9, 0)
    go_live(stock)
    assert level(stock) == (9, 0)
    check_invariants(stock.connection)


def test_going_live_again_and_again_subtracts_nothing_more(stock: StockConnection) -> None:
    ship(stock, "1", 10)
    go_live(stock)
    for number in range(2, 5):
        ship(stock, str(number), 10 * number)
        go_live(stock)
        assert level(stock) == (10 - number, 0)
    check_invariants(stock.connection)


def test_what_was_done_before_is_known_to_a_list_that_comes_late(stock: StockConnection) -> None:
    adjust(stock, "PHONE", -2, ANN)
    ship(stock, "1", 10)
    go_live(stock)
    assert level(stock) == (7, 0)
    import_levels(stock, {"PHONE": 12}, counted_at=at(5))
    assert level(stock) == (9, 0), "12 were counted before the shipment and the adjustment"
    check_invariants(stock.connection)


def test_skus_that_were_merged_before_keep_their_movements(stock: StockConnection) -> None:
    store_order(stock.connection, StoredOrder("1", [StoredItem("1", sku="phone", quantity=2)]))
    apply_pending(stock)
    adjust(stock, "PHONE", 1, ANN)
    set_sku_case(stock, SkuCase.IGNORE, ANN)
    apply_pending(stock)
    adjust(stock, "PHONE", 2, ANN)
    go_live(stock)
    assert level(stock) == (13, 2)
    changes = stock.execute("SELECT on_hand_change FROM stock_movements WHERE on_hand_change <> 0 ORDER BY movement_id")
    assert changes.fetchall() == [(10,), (1,), (2,)]
    check_invariants(stock.connection)


def test_what_left_before_can_be_undone_and_comes_back_once(stock: StockConnection) -> None:
    ship(stock, "1", 10)
    ship(stock, "2", 20)
    return_to_stock(stock, {(ACCOUNT, "2"): 1}, ANN)
    go_live(stock)
    assert level(stock) == (9, 0)
    undo_shipment(stock, (ACCOUNT, "1"), None, ANN)
    assert level(stock) == (10, 0)
    with pytest.raises(StockActError, match="1 more can't come back"):
        return_to_stock(stock, {(ACCOUNT, "2"): 1}, ANN)
    check_invariants(stock.connection)


def test_what_was_undone_before_is_needed_again(stock: StockConnection) -> None:
    ship(stock, "1", 10)
    undo_shipment(stock, (ACCOUNT, "1"), None, ANN)
    go_live(stock)
    assert level(stock) == (10, 0)
    store_order(stock.connection, StoredOrder("1", [StoredItem("1")], modified_at=at(30)))
    apply_pending(stock)
    assert level(stock) == (10, 1)
    check_invariants(stock.connection)


def test_an_order_keeps_the_piece_that_v1_holds_for_it(stock: StockConnection) -> None:
    """An older order came later, and waits."""
    import_levels(stock, {"PHONE": 1})
    for number, minutes in (("1", -90), ("2", -30)):
        store_order(stock.connection, StoredOrder(number, [StoredItem(number)], created_at=at(minutes)))
    apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "2"))
    rows = stock.execute("SELECT item_id, locked, short FROM stock_locks ORDER BY item_id").fetchall()
    assert rows == [("1", 0, 1), ("2", 1, 0)]
    check_invariants(stock.connection)


def test_what_v1_holds_is_taken_from_the_newest_of_the_others_and_not_from_one_that_may_oversell(
    stock: StockConnection,
) -> None:
    import_levels(stock, {"PHONE": 4})
    for number, quantity in ((1, 2), (2, 1), (3, 1)):
        store_order(
            stock.connection,
            StoredOrder(str(number), [StoredItem(str(number), quantity=quantity)], created_at=at(number)),
        )
    oversold = StoredOrder("4", [StoredItem("4", quantity=5)], created_at=at(4), account="oversells")
    store_order(stock.connection, oversold)
    store_order(stock.connection, StoredOrder("5", [StoredItem("5", quantity=2)], created_at=at(5)))
    apply_pending(stock, frozenset({"oversells"}))
    with stock.connection.transaction():
        take_over(stock.connection, [V1Lock(ACCOUNT, "5")], frozenset({"oversells"}))
    rows = stock.execute("SELECT item_id, locked, short FROM stock_locks ORDER BY item_id").fetchall()
    assert rows == [("1", 2, 0), ("2", 0, 1), ("3", 0, 1), ("4", 5, 0), ("5", 2, 0)]
    assert (level(stock), wrong_locks(stock)) == ((4, 9), [])
    causes = stock.execute("SELECT cause FROM stock_lock_history WHERE item_id = '3' ORDER BY entry_id").fetchall()
    assert [cause for (cause,) in causes][1:] == ["V1 holds the pieces for others: 0 of 1 available"]


def test_nothing_is_taken_from_an_account_whose_file_has_an_error(
    stock: StockConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one that may oversell."""
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    write_account(tmp_path, ACCOUNT, {"marketplace": "back_market", "token": "TOKEN", "alow_oversell": True})
    import_levels(stock, {"PHONE": 1})
    for number in ("1", "2"):
        store_order(stock.connection, StoredOrder(number, [StoredItem(number)], created_at=at(int(number))))
    apply_pending(stock)
    with pytest.raises(UnreadableAccountError, match=r"alow_oversell.*Nothing was changed"):
        go_live(stock, V1Lock(ACCOUNT, "2"))
    go_live(stock, V1Lock(ACCOUNT, "1"))


def test_the_history_goes_on(stock: StockConnection) -> None:
    ship(stock, "1", 10)
    go_live(stock)
    causes = stock.execute("SELECT cause FROM stock_lock_history ORDER BY entry_id").fetchall()
    assert causes == [("OrderCreated accepted",), ("OrderStatusChanged shipped",)]


def test_what_v1_has_consumed_after_the_count_and_the_marketplace_tells_later_is_subtracted(
    stock: StockConnection,
) -> None:
    store_order(stock.connection, StoredOrder("1", [StoredItem("1")]))
    apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "1", 1, at(20)))
    assert level(stock) == (9, 0)
    store_order(stock.connection, StoredOrder("1", [StoredItem("1", status="shipped")], modified_at=at(30)))
    apply_pending(stock)
    assert level(stock) == (9, 0)
    check_invariants(stock.connection)


@pytest.mark.parametrize(
    ("consumed_at", "on_hand"),
    [
        pytest.param(at(-30), 10, id="before the count"),
        pytest.param(at(30), 9, id="after it"),
        pytest.param(None, 9, id="when, is not known"),
        pytest.param(datetime(2999, 1, 1, tzinfo=UTC), 9, id="in the future"),
    ],
)
def test_what_v1_has_consumed_before_the_count_is_not_subtracted_again(
    stock: StockConnection, consumed_at: datetime | None, on_hand: int
) -> None:
    item = StoredItem("1")
    store_order(stock.connection, StoredOrder("1", [item], created_at=at(-60), modified_at=at(-60)))
    apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "1", 1, consumed_at))
    assert level(stock) == (on_hand, 0)
    shipped = StoredOrder("1", [item._replace(status="shipped")], "shipped", modified_at=at(40), shipped_at=at(-30))
    store_order(stock.connection, shipped)
    apply_pending(stock)
    assert level(stock) == (on_hand, 0)
    check_invariants(stock.connection)


@pytest.mark.parametrize("by_parcel", [True, False])
def test_the_marketplace_knows_better_than_v1_when_pieces_left(stock: StockConnection, *, by_parcel: bool) -> None:
    """V1 noticed it after the count. V2 has yet to look at what the marketplace reports."""
    parcels = ((1, at(-30)),) if by_parcel else ()
    store_order(stock.connection, StoredOrder("1", [StoredItem("1")], created_at=at(-60), modified_at=at(-60)))
    apply_pending(stock)
    shipped = StoredItem("1", status="shipped", parcels=parcels)
    shipped_at = None if by_parcel else at(-30)
    store_order(stock.connection, StoredOrder("1", [shipped], "shipped", modified_at=at(40), shipped_at=shipped_at))
    go_live(stock, V1Lock(ACCOUNT, "1", 1, at(30)))
    assert level(stock) == (10, 0)
    check_invariants(stock.connection)


def test_when_another_item_of_the_order_left_says_nothing(stock: StockConnection) -> None:
    items = [StoredItem("1"), StoredItem("2", status="shipped", parcels=((1, at(-30)),))]
    store_order(stock.connection, StoredOrder("1", items, created_at=at(-60), shipped_at=at(-30)))
    apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "1", 1, at(30)))
    assert level(stock) == (9, 0)
    check_invariants(stock.connection)


@pytest.mark.parametrize("reported", [None, 0, 1])
@pytest.mark.parametrize("consumed", [1, 3, 6])
def test_only_the_pieces_that_v1_has_consumed_have_left(
    stock: StockConnection, reported: int | None, consumed: int
) -> None:
    """An item of 3. Where V1 has locked it twice, it has consumed more than there are."""
    item = StoredItem("1", quantity=3, shipped=reported)
    store_order(stock.connection, StoredOrder("1", [item], created_at=at(5), modified_at=at(10)))
    apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "1", consumed, at(30)))
    left = min(3, consumed)
    assert level(stock) == (10 - left, 3 - left)
    assert wrong_locks(stock) == []
    store_order(stock.connection, StoredOrder("1", [item._replace(status="shipped", shipped=3)], modified_at=at(60)))
    apply_pending(stock)
    assert level(stock) == (7, 0)
    check_invariants(stock.connection)


@pytest.mark.parametrize(("cancelled", "consumed"), [(1, 3), (2, 2), (3, 2)])
def test_pieces_that_v1_has_consumed_have_left_although_they_are_cancelled(
    stock: StockConnection, cancelled: int, consumed: int
) -> None:
    item = StoredItem("1", quantity=3, cancelled=cancelled)
    store_order(stock.connection, StoredOrder("1", [item], created_at=at(5), modified_at=at(10)))
    apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "1", consumed, at(30)))
    assert level(stock) == (10 - consumed, 0)
    assert wrong_locks(stock) == []
    check_invariants(stock.connection)


@pytest.mark.parametrize(("late", "on_hand"), [(at(30), 9), (at(-10), 10), (None, 9)])
def test_each_piece_that_v1_has_consumed_has_its_own_time(
    stock: StockConnection, late: datetime | None, on_hand: int
) -> None:
    """One left before the count."""
    store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=3)], created_at=at(-60)))
    apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "1", 1, late), V1Lock(ACCOUNT, "1", 1, at(-30)))
    assert level(stock) == (on_hand, 1)
    assert wrong_locks(stock) == []
    check_invariants(stock.connection)


@pytest.mark.parametrize("is_applied", [True, False])
def test_an_item_that_is_refunded_after_a_shipment_that_nobody_saw_is_consumed_and_not_held(
    stock: StockConnection, *, is_applied: bool
) -> None:
    """V1 still holds a piece for it."""
    store_order(stock.connection, StoredOrder("1", [StoredItem("1")], created_at=at(5), modified_at=at(10)))
    apply_pending(stock)
    refunded = StoredItem("1", status="refunded_after_shipping")
    store_order(stock.connection, StoredOrder("1", [refunded], "refunded_after_shipping", modified_at=at(40)))
    if is_applied:
        apply_pending(stock)
    go_live(stock, V1Lock(ACCOUNT, "1"))
    assert level(stock) == (9, 0)
    check_invariants(stock.connection)


class TestStatusesThatKeepALock:
    """`unknown` and `awaiting_payment` make no lock, and release none: nor does going live."""

    @pytest.mark.parametrize("status", ["unknown", "awaiting_payment"])
    def test_the_lock_that_v2_keeps_is_kept(self, stock: StockConnection, status: str) -> None:
        for stored in ("accepted", status):
            store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=2, status=stored)], stored))
            apply_pending(stock)
        go_live(stock)
        assert level(stock) == (10, 2)
        assert wrong_locks(stock) == []
        check_invariants(stock.connection)

    def test_a_lock_from_before_v1_had_the_authority_is_kept(self, stock: StockConnection) -> None:
        for stored in ("accepted", "unknown"):
            store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=2, status=stored)], stored))
            apply_pending(stock)
        go_live(stock)
        assert level(stock) == (10, 2)

    @pytest.mark.parametrize("status", ["unknown", "awaiting_payment"])
    def test_what_only_v1_holds_is_kept_and_its_pieces_are_not_given_to_others(
        self, stock: StockConnection, status: str
    ) -> None:
        store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=8)]))
        store_order(
            stock.connection,
            StoredOrder("2", [StoredItem("2", quantity=3, status=status)], status, created_at=at(10)),
        )
        apply_pending(stock)
        go_live(stock, V1Lock(ACCOUNT, "2"))
        locks = stock.execute("SELECT item_id, locked, short FROM stock_locks ORDER BY item_id").fetchall()
        assert locks == [("1", 7, 1), ("2", 3, 0)]
        assert wrong_locks(stock) == []
        check_invariants(stock.connection)

    @pytest.mark.parametrize(
        ("status", "v1_locks"), [("unknown", ()), ("awaiting_payment", ()), ("cancelled", (V1Lock(ACCOUNT, "1"),))]
    )
    def test_an_item_without_a_lock_gets_none_and_a_cancelled_one_keeps_none(
        self, stock: StockConnection, status: str, v1_locks: tuple[V1Lock, ...]
    ) -> None:
        store_order(stock.connection, StoredOrder("1", [StoredItem("1", status=status)], status))
        apply_pending(stock)
        go_live(stock, *v1_locks)
        assert level(stock) == (10, 0)

    def test_the_rest_of_an_item_of_which_v1_has_consumed_some_is_kept_if_v2_has_it(
        self, stock: StockConnection
    ) -> None:
        for stored in ("accepted", "unknown"):
            store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=3, status=stored)], stored))
            apply_pending(stock)
        go_live(stock, V1Lock(ACCOUNT, "1", 1, at(10)))
        assert level(stock) == (9, 2)
        assert wrong_locks(stock) == []

    @pytest.mark.parametrize(("v1_holds_the_rest", "locked"), [(True, 2), (False, 0)])
    def test_the_rest_of_an_item_of_which_v1_has_consumed_some_is_kept_if_only_v1_holds_it(
        self, stock: StockConnection, *, v1_holds_the_rest: bool, locked: int
    ) -> None:
        store_order(stock.connection, StoredOrder("1", [StoredItem("1", quantity=3, status="unknown")], "unknown"))
        apply_pending(stock)
        go_live(stock, V1Lock(ACCOUNT, "1", 1, at(10)), *[V1Lock(ACCOUNT, "1")] * v1_holds_the_rest)
        assert level(stock) == (9, locked)
        assert wrong_locks(stock) == []
        check_invariants(stock.connection)
