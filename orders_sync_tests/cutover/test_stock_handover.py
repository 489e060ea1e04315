"""Stock handed back to V1 and taken over again: the pieces on hand are those of the shadow, each counted once."""

from datetime import UTC, datetime

import pytest

from orders_sync.cutover.stock_handover import V1Lock, hand_back, take_over
from orders_sync.database.engine import Connection
from orders_sync.model.records import Document, DocumentKind
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, adjust, return_to_stock, undo_shipment
from orders_sync.stock.connection import StockConnection, StockSchema
from orders_sync.stock.held import has_left, held
from orders_sync.stock.levels import import_levels
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.sync.documents import store_documents
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order

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

    def check(self, public: StockConnection) -> None:
        assert wrong_locks(public) == []
        check_invariants(public.connection)

    @pytest.mark.parametrize("v1_locks", [(), (V1Lock(ACCOUNT, "1"),)])
    def test_cancelled_in_the_shadow(
        self, public: StockConnection, shadow: StockConnection, v1_locks: tuple[V1Lock, ...]
    ) -> None:
        self.labelled_and(shadow, self.CANCELLED)
        go_live(public, *v1_locks)
        assert ([each.held for each in held(public)], level(public)) == ([3], (10, 3))
        self.check(public)

    @pytest.mark.parametrize("v1_locks", [(), (V1Lock(ACCOUNT, "1"),)], ids=["the shadow alone", "V1 too"])
    def test_some_of_an_item_that_is_still_to_ship(
        self, public: StockConnection, shadow: StockConnection, v1_locks: tuple[V1Lock, ...]
    ) -> None:
        self.labelled_and(shadow, self.ONE_CANCELLED)
        go_live(public, *v1_locks)
        assert public.execute("SELECT locked, short, held FROM {locks}").fetchall() == [(2, 0, 1)]
        assert level(public) == (10, 3)
        self.check(public)

    def test_some_of_an_item_of_which_v1_has_consumed_others(
        self, public: StockConnection, shadow: StockConnection
    ) -> None:
        self.labelled_and(shadow, self.ONE_CANCELLED)
        go_live(public, V1Lock(ACCOUNT, "1", 1, at(2)))
        assert public.execute("SELECT locked, short, consumed, held FROM {locks}").fetchall() == [(1, 0, 1, 1)]
        assert level(public) == (9, 2)
        self.check(public)

    def test_some_of_an_item_whose_other_pieces_are_on_no_shelf(
        self, public: StockConnection, shadow: StockConnection
    ) -> None:
        self.labelled_and(shadow, self.ONE_CANCELLED, on_hand=2)
        go_live(public)
        assert level(public) == (2, 2)
        self.check(public)

    def test_a_label_that_was_cancelled_releases_them_in_the_shadow(
        self, public: StockConnection, shadow: StockConnection
    ) -> None:
        self.labelled_and(shadow, self.CANCELLED)
        assert [each.held for each in held(shadow)] == [3]
        label = Document("L1", DocumentKind.LABEL, "https://x.example/l", cancelled_at=at(9))
        store_documents(public.connection, ACCOUNT, {"1": [label]})
        apply_pending(shadow)
        assert (held(shadow), level(shadow)) == ([], (10, 0))

    def test_what_a_count_has_released_in_the_shadow_stays_released(
        self, public: StockConnection, shadow: StockConnection
    ) -> None:
        """The label came after V2's own locks were released, and before those of the shadow were."""
        store_order(public.connection, StoredOrder("1", [self.THREE]))
        apply_pending(shadow)
        go_live(public)
        with public.connection.transaction():
            hand_back(public.connection)
        store_label(public.connection, "1")
        store_order(public.connection, StoredOrder("1", [self.CANCELLED]))
        apply_pending(shadow)
        import_levels(shadow, {"PHONE": 0})
        import_levels(shadow, {"PHONE": 10})
        go_live(public)
        assert (held(public), level(public)) == ([], (10, 0))

    def test_a_label_that_became_known_late_holds_them_in_the_shadow_and_beyond(
        self, public: StockConnection, shadow: StockConnection
    ) -> None:
        for item in (self.THREE, self.CANCELLED):
            store_order(public.connection, StoredOrder("1", [item]))
            apply_pending(shadow)
        label = Document("L1", DocumentKind.LABEL, "https://x.example/l")
        store_documents(public.connection, ACCOUNT, {"1": [label]})
        apply_pending(shadow)
        assert [each.held for each in held(shadow)] == [3]
        go_live(public)
        assert ([each.held for each in held(public)], level(public)) == ([3], (10, 3))
        check_invariants(public.connection)

    def test_held_before_v1_had_the_authority(self, public: StockConnection) -> None:
        self.labelled_and(public, self.CANCELLED)
        with public.connection.transaction():
            hand_back(public.connection)
        assert held(public) == []
        shadow = StockConnection(public.connection, StockSchema.SHADOW)
        has_left(shadow, (ACCOUNT, "1"), 1, ANN)
        go_live(public)
        assert ([each.held for each in held(public)], level(public)) == ([2], (9, 2))
        self.check(public)
        has_left(public, (ACCOUNT, "1"), None, ANN)
        assert level(public) == (7, 0)
        check_invariants(public.connection)
