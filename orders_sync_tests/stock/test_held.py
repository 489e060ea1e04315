"""Pieces that are cancelled after the label: held until the marketplace or a person says where they are."""

from datetime import datetime
from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.model.records import Document, DocumentKind
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import By, StockActError, adjust, decide, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause
from orders_sync.stock.explain import explain
from orders_sync.stock.held import HeldPieces, has_left, held, still_here
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.queries import sku_levels
from orders_sync.stock.reconcile import release_all
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import repair, wrong_locks
from orders_sync.sync.documents import store_documents
from orders_sync.testing.deployment import write_account
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order

ANN = By("ann@desk", "looked at the desk")
ITEM = (ACCOUNT, "100")
THREE = StoredItem("100", quantity=3)


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """Ten phones were counted; three of them are locked for an item that has a label."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
    store(stock, THREE)
    store_label(connection, "1")
    return stock


def store(stock: StockConnection, item: StoredItem, minutes: float = 0, order_id: str = "1", **order: object) -> None:
    changed = StoredOrder(order_id, [item], status=item.status, modified_at=at(minutes))._replace(**order)
    store_order(stock.connection, changed)
    apply_pending(stock)


def cancel(stock: StockConnection, item: StoredItem = THREE) -> None:
    store(stock, item._replace(status="cancelled"), 5)


def lock(stock: StockConnection, sku: str = "PHONE") -> tuple[str, int, int, int]:
    """(state, locked, held, consumed)."""
    row = stock.execute("SELECT state, locked, held, consumed FROM {locks} WHERE sku = %s", [sku]).fetchone()
    assert row is not None
    return row


def level(stock: StockConnection, sku: str = "PHONE") -> tuple[int | None, int]:
    """(on hand, reserved)."""
    row = stock.execute("SELECT on_hand, reserved FROM {levels} WHERE sku = %s", [sku]).fetchone()
    assert row is not None
    return row


def check(stock: StockConnection) -> None:
    assert wrong_locks(stock) == []
    check_invariants(stock.connection)


class TestWhatIsHeld:
    @pytest.mark.parametrize("status", ["cancelled", "refunded_before_shipping", "unpaid", "removed"])
    def test_a_cancelled_item_with_a_label_is_held_and_stays_reserved(
        self, stock: StockConnection, status: str
    ) -> None:
        store(stock, THREE._replace(status=status), 5)
        assert (lock(stock), level(stock)) == (("held", 0, 3, 0), (10, 3))
        (found,) = held(stock)
        assert found[:6] == (ACCOUNT, "1", "100", "PHONE", 3, status)
        assert found.since is not None
        assert "orders-sync stock held still-here" in found.next_step
        check(stock)

    def test_an_item_without_a_label_is_released(self, stock: StockConnection) -> None:
        store(stock, StoredItem("200", quantity=2), order_id="2")
        store(stock, StoredItem("200", quantity=2, status="cancelled"), 5, "2")
        assert (held(stock), level(stock)) == ([], (10, 3))
        check(stock)

    @pytest.mark.parametrize(
        ("label", "are_held"),
        [
            ({"cancelled_at": at(1)}, False),
            ({"kind": "delivery_note"}, False),
            ({"item_ids": ["another"]}, False),
            ({"item_ids": ["100", "another"]}, True),
        ],
    )
    def test_only_a_label_of_the_item_that_was_not_cancelled_counts(
        self, stock: StockConnection, label: dict[str, object], are_held: bool
    ) -> None:
        stock.connection.execute("DELETE FROM order_documents")
        store_label(stock.connection, "1", **label)
        cancel(stock)
        assert bool(held(stock)) is are_held
        check(stock)

    def test_of_several_pieces_those_that_were_cancelled_are_held(self, stock: StockConnection) -> None:
        store(stock, THREE._replace(cancelled=1), 5)
        assert (lock(stock), level(stock)) == (("locked", 2, 1, 0), (10, 3))
        store(stock, THREE._replace(cancelled=1, shipped=2), 6)
        assert (lock(stock), level(stock)) == (("held", 0, 1, 2), (8, 1))
        check(stock)

    def test_pieces_by_which_the_quantity_was_lowered_are_held(self, stock: StockConnection) -> None:
        """Mirakl lowers the quantity of a line of which some pieces are cancelled."""
        store(stock, THREE._replace(quantity=1), 5)
        assert lock(stock) == ("locked", 1, 2, 0)
        check(stock)

    def test_only_pieces_that_were_locked_are_held(self, stock: StockConnection) -> None:
        store(stock, StoredItem("200", quantity=9), order_id="2", created_at=at(1))
        store_label(stock.connection, "2")
        store(stock, StoredItem("200", quantity=9, status="cancelled"), 5, "2")
        assert [(each.item_id, each.held) for each in held(stock)] == [("200", 7)]
        check(stock)

    def test_an_order_that_was_cancelled_when_first_seen_holds_nothing(self, stock: StockConnection) -> None:
        store_label(stock.connection, "2")
        store(stock, StoredItem("200", status="cancelled"), order_id="2")
        assert held(stock) == []

    def test_held_pieces_are_shown(self, stock: StockConnection) -> None:
        cancel(stock)
        (shown,) = [each for each in sku_levels(stock) if each.sku == "PHONE"]
        assert (shown.reserved, shown.held, shown.available()) == (3, 3, 7)
        explained = explain(stock, "100")
        assert [(each.item_id, each.locked, each.held) for each in explained.holders] == [("100", 0, 3)]
        assert (explained.levels[0].held, explained.transitions[-1].to_state) == (3, "held")


class TestTheMarketplacesNews:
    def test_reported_as_shipped_they_have_left(self, stock: StockConnection) -> None:
        cancel(stock)
        store(stock, THREE._replace(status="shipped"), 8)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))
        check(stock)

    def test_an_item_that_is_needed_again_takes_them_back(self, stock: StockConnection) -> None:
        cancel(stock)
        store(stock, THREE, 8)
        assert (lock(stock), level(stock)) == (("locked", 3, 0, 0), (10, 3))
        check(stock)

    def test_a_state_that_nobody_knows_changes_nothing(self, stock: StockConnection) -> None:
        cancel(stock)
        store(stock, THREE._replace(status="unknown"), 8)
        assert lock(stock) == ("held", 0, 3, 0)
        check(stock)

    def test_a_label_that_was_cancelled_releases_them(self, stock: StockConnection) -> None:
        cancel(stock)
        label = Document("L1", DocumentKind.LABEL, "https://x.example/l", cancelled_at=at(9))
        store_documents(stock.connection, ACCOUNT, {"1": [label]})
        apply_pending(stock)
        assert (lock(stock), level(stock)) == (("released", 0, 0, 0), (10, 0))
        check(stock)

    def test_a_count_with_too_few_pieces_shows_that_they_have_left(self, stock: StockConnection) -> None:
        store(stock, StoredItem("200", quantity=6), order_id="2", created_at=at(-5))
        cancel(stock)
        import_levels(stock, {"PHONE": 7}, counted_at=at(20))
        assert level(stock) == (7, 7)
        assert [each.held for each in held(stock)] == [1], "six are promised to another order"
        import_levels(stock, {"PHONE": 5}, counted_at=at(30))
        assert (held(stock), level(stock)) == ([], (5, 5))
        check(stock)


class TestAPersonKnows:
    def test_they_are_still_here(self, stock: StockConnection) -> None:
        store(stock, StoredItem("200", quantity=8), order_id="2")
        cancel(stock)
        done = still_here(stock, ITEM, None, ANN)
        assert (done.pieces, done.applied.transitions) == (3, {"released": 1, "locked": 1})
        assert (held(stock), level(stock)) == ([], (10, 8))
        explained = explain(stock, "100")
        (decision,) = explained.decisions
        assert (decision.decision, decision.reason, decision.made_by) == ("still_here", ANN.reason, ANN.user)
        assert "3 held pieces are still here, by ann@desk: looked at the desk" in explained.transitions[-1].cause
        assert [(each.act, each.detail) for each in explained.acts] == [("held_still_here", "3 pieces")]
        store(stock, THREE._replace(status="refunded_before_shipping"), 9)
        assert held(stock) == [], "nothing is held that was not locked since"
        check(stock)

    def test_they_have_left(self, stock: StockConnection) -> None:
        cancel(stock)
        assert has_left(stock, ITEM, None, ANN).pieces == 3
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))
        explained = explain(stock, "100")
        assert [each.decision for each in explained.decisions] == ["has_left"]
        assert [(each.act, each.detail) for each in explained.acts] == [("held_has_left", "3 pieces")]
        assert [(each.kind, each.made_by) for each in explained.movements[-1:]] == [("shipped", ANN.user)]
        check(stock)

    @pytest.mark.parametrize("facts", [{"status": "shipped"}, {"status": "shipped", "shipped": 3}, {"shipped": 3}])
    def test_pieces_that_have_left_leave_once_if_the_marketplace_reports_them_later(
        self, stock: StockConnection, facts: dict[str, object]
    ) -> None:
        cancel(stock)
        has_left(stock, ITEM, None, ANN)
        store(stock, THREE._replace(**{"status": "cancelled", **facts}), 9)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))
        check(stock)

    @pytest.mark.parametrize(("left_at", "on_hand"), [(at(6), 7), (at(12), 4), (None, 4)])
    def test_pieces_that_left_before_the_shelf_was_counted_are_not_subtracted(
        self, stock: StockConnection, left_at: datetime | None, on_hand: int
    ) -> None:
        cancel(stock)
        import_levels(stock, {"PHONE": 7}, counted_at=at(10))
        has_left(stock, ITEM, None, ANN, left_at)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (on_hand, 0))
        check(stock)

    def test_pieces_of_an_item_of_unknown_state_leave_once(self, stock: StockConnection) -> None:
        cancel(stock)
        store(stock, THREE._replace(status="unknown"), 8)
        has_left(stock, ITEM, None, ANN)
        store(stock, THREE._replace(status="shipped"), 9)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))
        check(stock)

    def test_some_have_left_and_some_are_still_here(self, stock: StockConnection) -> None:
        cancel(stock)
        has_left(stock, ITEM, 2, ANN)
        assert (lock(stock), level(stock)) == (("held", 0, 1, 2), (8, 1))
        check(stock)
        still_here(stock, ITEM, 1, ANN)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 2), (8, 0))
        store(stock, THREE._replace(status="shipped", cancelled=1, shipped=2), 9)
        assert level(stock) == (8, 0), "the marketplace reports the same two"
        store(stock, THREE._replace(status="shipped", shipped=3), 10)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))
        check(stock)

    def test_a_cancelled_piece_has_left_and_the_others_ship_as_well(self, stock: StockConnection) -> None:
        store(stock, THREE._replace(cancelled=1), 5)
        has_left(stock, ITEM, None, ANN)
        assert (lock(stock), level(stock)) == (("locked", 2, 0, 1), (9, 2))
        check(stock)
        store(stock, THREE._replace(cancelled=1, shipped=2, status="shipped"), 6)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))
        check(stock)

    def test_what_a_person_said_by_mistake_is_undone_as_a_shipment_is(self, stock: StockConnection) -> None:
        cancel(stock)
        has_left(stock, ITEM, None, ANN)
        undo_shipment(stock, ITEM, 1, ANN)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 2), (8, 0))
        check(stock)
        undo_shipment(stock, ITEM, None, ANN)
        assert (lock(stock), level(stock)) == (("released", 0, 0, 0), (10, 0))
        store(stock, THREE._replace(status="shipped"), 9)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))
        check(stock)

    def test_a_release_by_hand_leaves_nothing_held(self, stock: StockConnection) -> None:
        cancel(stock)
        decide(stock, ITEM, Decision.RELEASE, ANN)
        assert (lock(stock), level(stock)) == (("released", 0, 0, 0), (10, 0))
        check(stock)

    def test_an_earlier_decision_stays_in_force(self, stock: StockConnection) -> None:
        store(stock, THREE._replace(cancelled=1), 5)
        decide(stock, ITEM, Decision.LOCK, ANN)
        still_here(stock, ITEM, None, ANN)
        assert [(each.decision, each.in_force) for each in explain(stock, "100").decisions] == [
            ("lock", True),
            ("still_here", False),
        ]
        check(stock)

    def test_what_is_not_held_can_not_be_settled(self, stock: StockConnection) -> None:
        with pytest.raises(StockActError, match="No piece of the item 100 is held"):
            still_here(stock, ITEM, None, ANN)
        cancel(stock)
        with pytest.raises(StockActError, match="Of the item 100, 3 pieces are held: 4 are more than that"):
            has_left(stock, ITEM, 4, ANN)
        with pytest.raises(StockActError, match="There is no order item 999 in the account shop"):
            has_left(stock, (ACCOUNT, "999"), None, ANN)

    def test_what_was_stored_and_not_applied_yet_counts(self, stock: StockConnection) -> None:
        cancel(stock)
        store_order(stock.connection, StoredOrder("1", [THREE._replace(status="shipped")], modified_at=at(8)))
        with pytest.raises(StockActError, match="No piece of the item 100 is held"):
            has_left(stock, ITEM, None, ANN)
        apply_pending(stock)
        assert (lock(stock), level(stock)) == (("consumed", 0, 0, 3), (7, 0))


class TestBundlesAndAliases:
    @pytest.fixture
    def sets(self, connection: Connection) -> StockConnection:
        """Two sets of a phone and two cases are held."""
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        two = StoredItem("100", "SET", 2)
        store(stock, two, 2)
        store_label(connection, "1")
        store(stock, two._replace(status="cancelled"), 5)
        assert (lock(stock)[2], lock(stock, "CASE")[2]) == (2, 4)
        return stock

    def test_a_set_has_left_with_all_its_parts(self, sets: StockConnection) -> None:
        has_left(sets, ITEM, 1, ANN)
        assert (level(sets), level(sets, "CASE")) == ((9, 1), (8, 2))
        still_here(sets, ITEM, None, ANN)
        assert (level(sets), level(sets, "CASE")) == ((9, 0), (8, 0))
        check(sets)

    def test_held_parts_stay_what_they_are_when_the_bundle_changes(self, sets: StockConnection) -> None:
        import_stock_skus(sets, [StockSku("", "SET", "BOX", 1)])
        assert pending_events(sets) == 1, "a lock that only holds is looked at as each active lock is"
        apply_pending(sets)
        assert (lock(sets)[2], lock(sets, "CASE")[2]) == (2, 4)
        check(sets)
        has_left(sets, ITEM, 1, ANN)
        still_here(sets, ITEM, 1, ANN)
        assert (level(sets), level(sets, "CASE")) == ((9, 0), (8, 0))
        check(sets)

    @pytest.mark.parametrize(
        "bundle",
        [[("BOX", 1)], [("PHONE", 1), ("CASE", 1)], [("PHONE", 4), ("CASE", 6)], [("PHONE", 2)], [("PHONE", 5)]],
    )
    @pytest.mark.parametrize("sets", [1, 2])
    def test_a_set_leaves_with_the_parts_that_are_held_whatever_the_bundle_is_now(
        self, connection: Connection, sets: int, bundle: list[tuple[str, int]]
    ) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 2), StockSku("", "SET", "CASE", 3)])
        ordered = StoredItem("100", "SET", sets)
        store(stock, ordered, 2)
        store_label(connection, "1")
        store(stock, ordered._replace(status="cancelled"), 5)
        import_stock_skus(stock, [StockSku("", "SET", *part) for part in bundle])
        apply_pending(stock)
        settled = has_left(stock, ITEM, None, ANN)
        assert settled.pieces <= sets
        assert (level(stock), level(stock, "CASE")) == ((10 - 2 * sets, 0), (10 - 3 * sets, 0))
        check(stock)
        undo_shipment(stock, ITEM, None, ANN)
        assert (level(stock)[0], level(stock, "CASE")[0]) == (10, 10)

    def test_what_a_count_did_not_find_leaves_no_more(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 2, "CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        store(stock, StoredItem("100", "SET", 2), 2)
        store_label(connection, "1")
        cancel(stock, StoredItem("100", "SET", 2))
        import_levels(stock, {"PHONE": 1}, counted_at=at(20))
        adjust(stock, "PHONE", 4, ANN)
        has_left(stock, ITEM, None, ANN)
        assert (level(stock), level(stock, "CASE")) == ((4, 0), (6, 0))
        check(stock)

    def test_a_new_alias_holds_nothing(self, stock: StockConnection) -> None:
        import_levels(stock, {"PHONE": 0, "BOX": 5})
        adjust(stock, "PHONE", 3, ANN)
        apply_pending(stock)
        adjust(stock, "PHONE", -3, ANN)
        import_stock_skus(stock, [StockSku("", "PHONE", "BOX", 1)])
        apply_pending(stock)
        assert (held(stock), lock(stock, "BOX")[:2]) == ([], ("locked", 3))
        check(stock)

    def test_a_bundle_of_fewer_parts_holds_nothing(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        store(stock, StoredItem("100", "SET", 2))
        store_label(connection, "1")
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 1)])
        apply_pending(stock)
        assert (lock(stock, "CASE")[:3], held(stock)) == (("locked", 2, 0), [])
        check(stock)

    def test_only_whole_sets_are_held(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10, "CASE": 3}, counted_at=at(0))
        import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
        store(stock, StoredItem("100", "SET", 2))
        store_label(connection, "1")
        cancel(stock, StoredItem("100", "SET", 2))
        assert (lock(stock)[2], lock(stock, "CASE")[2]) == (1, 2)
        check(stock)

    def test_case_that_makes_no_difference_any_more_keeps_them(self, connection: Connection) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"phone": 5}, counted_at=at(0))
        store(stock, StoredItem("100", "phone", 2))
        store_label(connection, "1")
        cancel(stock, StoredItem("100", "phone", 2))
        change = set_sku_case(stock, SkuCase.IGNORE, By("ann@desk", ""))
        assert change is not None
        assert change.rechecked == 1
        apply_pending(stock)
        assert (lock(stock), level(stock)) == (("held", 0, 2, 0), (5, 2))
        check(stock)


def test_an_account_can_release_at_once(
    stock: StockConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel(stock)
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    write_account(tmp_path, ACCOUNT, {"marketplace": "back_market", "token": "TOKEN", "hold_after_label": False})
    assert [(each.needed, each.problem) for each in wrong_locks(stock)] == [
        (0, "3 pieces are held, and the account's file says hold_after_label: false")
    ], "what was held before is found and released"
    repair(stock)
    assert (lock(stock), level(stock)) == (("released", 0, 0, 0), (10, 0))
    store(stock, THREE, 8)
    store(stock, THREE._replace(status="cancelled"), 9)
    assert (lock(stock), held(stock)) == (("released", 0, 0, 0), [])
    check(stock)


def test_all_locks_are_released_when_v1_takes_over_again(stock: StockConnection) -> None:
    cancel(stock)
    with stock.changing():
        release_all(stock, Cause("V1 has the authority"))
    assert (held(stock), level(stock)) == ([], (10, 0))
    check_invariants(stock.connection)


def test_since_is_when_pieces_were_first_held(stock: StockConnection) -> None:
    def since(found: HeldPieces) -> datetime | None:
        return found.since

    store(stock, THREE._replace(cancelled=1), 5)
    (first,) = held(stock)
    cancel(stock, THREE._replace(cancelled=1))
    (again,) = held(stock)
    assert (again.held, since(again)) == (3, since(first))
    assert pending_events(stock) == 0
