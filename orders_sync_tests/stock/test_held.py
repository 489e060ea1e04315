"""Pieces that are cancelled after the label: held until the marketplace or a person says where they are."""

from datetime import datetime
from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.model.records import Document, DocumentKind
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import StockActError, decide, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.held import HeldPieces, has_left, held, still_here
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.queries import sku_levels
from orders_sync.stock.wrong_locks import repair, wrong_locks
from orders_sync.sync.documents import store_documents
from orders_sync.testing.deployment import write_account
from orders_sync_tests.stock.labelled_item import (
    ANN,
    ITEM,
    THREE,
    cancel,
    check,
    labelled_item,
    level,
    lock,
    store,
)
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    return labelled_item(connection)


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


def test_since_is_when_pieces_were_first_held(stock: StockConnection) -> None:
    def since(found: HeldPieces) -> datetime | None:
        return found.since

    store(stock, THREE._replace(cancelled=1), 5)
    (first,) = held(stock)
    cancel(stock, THREE._replace(cancelled=1))
    (again,) = held(stock)
    assert (again.held, since(again)) == (3, since(first))
    assert pending_events(stock) == 0
