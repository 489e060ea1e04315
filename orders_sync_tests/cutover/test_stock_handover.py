"""Stock handed back to V1 and taken over again: the pieces on hand are those of the shadow, each counted once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orders_sync.cutover.stock_handover import V1Lock, hand_back, take_over
from orders_sync.marketplaces.kit import accounts
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, adjust, return_to_stock, undo_shipment
from orders_sync.stock.connection import StockConnection, StockSchema
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


def test_skus_that_were_merged_in_the_shadow_have_the_movements_of_the_shadow(
    public: StockConnection, shadow: StockConnection
) -> None:
    store_order(public.connection, StoredOrder("1", [StoredItem("1", sku="phone", quantity=2)]))
    apply_pending(shadow)
    adjust(shadow, "PHONE", 1, ANN)
    set_sku_case(shadow, SkuCase.IGNORE, ANN)
    apply_pending(shadow)
    adjust(shadow, "PHONE", 2, ANN)
    go_live(public)
    assert level(public) == (13, 2)
    changes = public.execute("SELECT on_hand_change FROM {movements} WHERE on_hand_change <> 0 ORDER BY movement_id")
    assert changes.fetchall() == [(10,), (1,), (2,)]
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
    go_live(public, V1Lock(ACCOUNT, "2"))
    rows = public.execute("SELECT item_id, locked, short FROM {locks} ORDER BY item_id").fetchall()
    assert rows == [("1", 0, 1), ("2", 1, 0)]
    check_invariants(public.connection)


def test_what_v1_holds_is_taken_from_the_newest_of_the_others_and_not_from_one_that_may_oversell(
    public: StockConnection, shadow: StockConnection
) -> None:
    import_levels(shadow, {"PHONE": 4})
    for number, quantity in ((1, 2), (2, 1), (3, 1)):
        store_order(
            public.connection,
            StoredOrder(str(number), [StoredItem(str(number), quantity=quantity)], created_at=at(number)),
        )
    oversold = StoredOrder("4", [StoredItem("4", quantity=5)], created_at=at(4), account="oversells")
    store_order(public.connection, oversold)
    store_order(public.connection, StoredOrder("5", [StoredItem("5", quantity=2)], created_at=at(5)))
    apply_pending(shadow, frozenset({"oversells"}))
    with public.connection.transaction():
        take_over(public.connection, [V1Lock(ACCOUNT, "5")], frozenset({"oversells"}))
    rows = public.execute("SELECT item_id, locked, short FROM {locks} ORDER BY item_id").fetchall()
    assert rows == [("1", 2, 0), ("2", 0, 1), ("3", 0, 1), ("4", 5, 0), ("5", 2, 0)]
    assert (level(public), wrong_locks(public)) == ((4, 9), [])
    causes = public.execute("SELECT cause FROM {history} WHERE item_id = '3' ORDER BY entry_id").fetchall()
    assert [cause for (cause,) in causes][1:] == ["V1 holds the pieces for others: 0 of 1 available"]


def test_nothing_is_taken_from_an_account_whose_file_has_an_error(
    public: StockConnection, shadow: StockConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one that may oversell."""
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    write_account(tmp_path, ACCOUNT, {"marketplace": "back_market", "token": "TOKEN", "alow_oversell": True})
    import_levels(shadow, {"PHONE": 1})
    for number in ("1", "2"):
        store_order(public.connection, StoredOrder(number, [StoredItem(number)], created_at=at(int(number))))
    apply_pending(shadow)
    with pytest.raises(UnreadableAccountError, match=r"alow_oversell.*Nothing was changed"):
        go_live(public, V1Lock(ACCOUNT, "2"))
    go_live(public, V1Lock(ACCOUNT, "1"))


def test_the_history_of_the_shadow_goes_on(public: StockConnection, shadow: StockConnection) -> None:
    ship(shadow, "1", 10)
    go_live(public)
    causes = public.execute("SELECT cause FROM {history} ORDER BY entry_id").fetchall()
    assert causes == [("OrderCreated accepted",), ("OrderStatusChanged shipped",)]


def test_what_v1_has_consumed_after_the_count_and_the_marketplace_tells_later_is_subtracted(
    public: StockConnection, shadow: StockConnection
) -> None:
    store_order(public.connection, StoredOrder("1", [StoredItem("1")]))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1", 1, at(20)))
    assert level(public) == (9, 0)
    store_order(public.connection, StoredOrder("1", [StoredItem("1", status="shipped")], modified_at=at(30)))
    apply_pending(public)
    assert level(public) == (9, 0)
    check_invariants(public.connection)


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
    public: StockConnection, shadow: StockConnection, consumed_at: datetime | None, on_hand: int
) -> None:
    item = StoredItem("1")
    store_order(public.connection, StoredOrder("1", [item], created_at=at(-60), modified_at=at(-60)))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1", 1, consumed_at))
    assert level(public) == (on_hand, 0)
    shipped = StoredOrder("1", [item._replace(status="shipped")], "shipped", modified_at=at(40), shipped_at=at(-30))
    store_order(public.connection, shipped)
    apply_pending(public)
    assert level(public) == (on_hand, 0)
    check_invariants(public.connection)


@pytest.mark.parametrize("by_parcel", [True, False])
def test_the_marketplace_knows_better_than_v1_when_pieces_left(
    public: StockConnection, shadow: StockConnection, *, by_parcel: bool
) -> None:
    """V1 noticed it after the count. The shadow has yet to look at what the marketplace reports."""
    parcels = ((1, at(-30)),) if by_parcel else ()
    store_order(public.connection, StoredOrder("1", [StoredItem("1")], created_at=at(-60), modified_at=at(-60)))
    apply_pending(shadow)
    shipped = StoredItem("1", status="shipped", parcels=parcels)
    shipped_at = None if by_parcel else at(-30)
    store_order(public.connection, StoredOrder("1", [shipped], "shipped", modified_at=at(40), shipped_at=shipped_at))
    go_live(public, V1Lock(ACCOUNT, "1", 1, at(30)))
    assert level(public) == (10, 0)
    check_invariants(public.connection)


def test_when_another_item_of_the_order_left_says_nothing(public: StockConnection, shadow: StockConnection) -> None:
    items = [StoredItem("1"), StoredItem("2", status="shipped", parcels=((1, at(-30)),))]
    store_order(public.connection, StoredOrder("1", items, created_at=at(-60), shipped_at=at(-30)))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1", 1, at(30)))
    assert level(public) == (9, 0)
    check_invariants(public.connection)


@pytest.mark.parametrize("reported", [None, 0, 1])
@pytest.mark.parametrize("consumed", [1, 3, 6])
def test_only_the_pieces_that_v1_has_consumed_have_left(
    public: StockConnection, shadow: StockConnection, reported: int | None, consumed: int
) -> None:
    """An item of 3. Where V1 has locked it twice, it has consumed more than there are."""
    item = StoredItem("1", quantity=3, shipped=reported)
    store_order(public.connection, StoredOrder("1", [item], created_at=at(5), modified_at=at(10)))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1", consumed, at(30)))
    left = min(3, consumed)
    assert level(public) == (10 - left, 3 - left)
    assert wrong_locks(public) == []
    store_order(public.connection, StoredOrder("1", [item._replace(status="shipped", shipped=3)], modified_at=at(60)))
    apply_pending(public)
    assert level(public) == (7, 0)
    check_invariants(public.connection)


@pytest.mark.parametrize(("cancelled", "consumed"), [(1, 3), (2, 2), (3, 2)])
def test_pieces_that_v1_has_consumed_have_left_although_they_are_cancelled(
    public: StockConnection, shadow: StockConnection, cancelled: int, consumed: int
) -> None:
    item = StoredItem("1", quantity=3, cancelled=cancelled)
    store_order(public.connection, StoredOrder("1", [item], created_at=at(5), modified_at=at(10)))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1", consumed, at(30)))
    assert level(public) == (10 - consumed, 0)
    assert wrong_locks(public) == []
    check_invariants(public.connection)


@pytest.mark.parametrize(("late", "on_hand"), [(at(30), 9), (at(-10), 10), (None, 9)])
def test_each_piece_that_v1_has_consumed_has_its_own_time(
    public: StockConnection, shadow: StockConnection, late: datetime | None, on_hand: int
) -> None:
    """One left before the count."""
    store_order(public.connection, StoredOrder("1", [StoredItem("1", quantity=3)], created_at=at(-60)))
    apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1", 1, late), V1Lock(ACCOUNT, "1", 1, at(-30)))
    assert level(public) == (on_hand, 1)
    assert wrong_locks(public) == []
    check_invariants(public.connection)


@pytest.mark.parametrize("is_applied", [True, False])
def test_an_item_that_is_refunded_after_a_shipment_that_nobody_saw_is_consumed_and_not_held(
    public: StockConnection, shadow: StockConnection, *, is_applied: bool
) -> None:
    """V1 still holds a piece for it."""
    store_order(public.connection, StoredOrder("1", [StoredItem("1")], created_at=at(5), modified_at=at(10)))
    apply_pending(shadow)
    refunded = StoredItem("1", status="refunded_after_shipping")
    store_order(public.connection, StoredOrder("1", [refunded], "refunded_after_shipping", modified_at=at(40)))
    if is_applied:
        apply_pending(shadow)
    go_live(public, V1Lock(ACCOUNT, "1"))
    assert level(public) == (9, 0)
    check_invariants(public.connection)


class TestStatusesThatKeepALock:
    """`unknown` and `awaiting_payment` make no lock, and release none: nor does going live."""

    @pytest.mark.parametrize("status", ["unknown", "awaiting_payment"])
    def test_the_lock_of_the_shadow_is_kept(
        self, public: StockConnection, shadow: StockConnection, status: str
    ) -> None:
        for stored in ("accepted", status):
            store_order(public.connection, StoredOrder("1", [StoredItem("1", quantity=2, status=stored)], stored))
            apply_pending(shadow)
        go_live(public)
        assert (level(shadow), level(public)) == ((10, 2), (10, 2))
        assert wrong_locks(public) == []
        check_invariants(public.connection)

    def test_a_lock_from_before_v1_had_the_authority_is_kept(self, public: StockConnection) -> None:
        for stored in ("accepted", "unknown"):
            store_order(public.connection, StoredOrder("1", [StoredItem("1", quantity=2, status=stored)], stored))
            apply_pending(public)
        with public.connection.transaction():
            hand_back(public.connection)
        go_live(public)
        assert level(public) == (10, 2)

    @pytest.mark.parametrize("status", ["unknown", "awaiting_payment"])
    def test_what_only_v1_holds_is_kept_and_its_pieces_are_not_given_to_others(
        self, public: StockConnection, shadow: StockConnection, status: str
    ) -> None:
        store_order(public.connection, StoredOrder("1", [StoredItem("1", quantity=8)]))
        store_order(
            public.connection,
            StoredOrder("2", [StoredItem("2", quantity=3, status=status)], status, created_at=at(10)),
        )
        apply_pending(shadow)
        go_live(public, V1Lock(ACCOUNT, "2"))
        locks = public.execute("SELECT item_id, locked, short FROM {locks} ORDER BY item_id").fetchall()
        assert locks == [("1", 7, 1), ("2", 3, 0)]
        assert wrong_locks(public) == []
        check_invariants(public.connection)

    @pytest.mark.parametrize(
        ("status", "v1_locks"), [("unknown", ()), ("awaiting_payment", ()), ("cancelled", (V1Lock(ACCOUNT, "1"),))]
    )
    def test_an_item_without_a_lock_gets_none_and_a_cancelled_one_keeps_none(
        self, public: StockConnection, shadow: StockConnection, status: str, v1_locks: tuple[V1Lock, ...]
    ) -> None:
        store_order(public.connection, StoredOrder("1", [StoredItem("1", status=status)], status))
        apply_pending(shadow)
        go_live(public, *v1_locks)
        assert level(public) == (10, 0)

    def test_the_rest_of_an_item_of_which_v1_has_consumed_some_is_kept_if_the_shadow_has_it(
        self, public: StockConnection, shadow: StockConnection
    ) -> None:
        for stored in ("accepted", "unknown"):
            store_order(public.connection, StoredOrder("1", [StoredItem("1", quantity=3, status=stored)], stored))
            apply_pending(shadow)
        go_live(public, V1Lock(ACCOUNT, "1", 1, at(10)))
        assert level(public) == (9, 2)
        assert wrong_locks(public) == []

    @pytest.mark.parametrize(("v1_holds_the_rest", "locked"), [(True, 2), (False, 0)])
    def test_the_rest_of_an_item_of_which_v1_has_consumed_some_is_kept_if_only_v1_holds_it(
        self, public: StockConnection, shadow: StockConnection, *, v1_holds_the_rest: bool, locked: int
    ) -> None:
        store_order(public.connection, StoredOrder("1", [StoredItem("1", quantity=3, status="unknown")], "unknown"))
        apply_pending(shadow)
        go_live(public, V1Lock(ACCOUNT, "1", 1, at(10)), *[V1Lock(ACCOUNT, "1")] * v1_holds_the_rest)
        assert level(public) == (9, locked)
        assert wrong_locks(public) == []
        check_invariants(public.connection)
