"""Ignoring the case of SKUs merges what is stored, and loses no piece, no lock and no history."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.available import Buffer, available_to_sell, set_buffer, stored_buffers
from orders_sync.stock.by_hand import By, adjust, return_to_stock, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.input import StockInputError
from orders_sync.stock.levels import import_levels
from orders_sync.stock.merge_skus import SkuMergeError
from orders_sync.stock.queries import on_hand_mismatches, reserved_mismatches
from orders_sync.stock.received import Destination, put_away, receive
from orders_sync.stock.settings import UnknownShippingTime, set_sku_case, stored_settings
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus, stored_stock_skus
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import (
    ACCOUNT,
    StoredItem,
    StoredOrder,
    at,
    store_care_record,
    store_label,
    store_order,
)

ANN = By("ann@desk", "why")
LEVELS = "SELECT sku, on_hand, reserved FROM stock_levels ORDER BY sku"
LOCKS = "SELECT item_id, sku, locked, short, consumed FROM stock_locks ORDER BY item_id, sku"


def one_order(connection: Connection, number: int, sku: str, status: str = "accepted", quantity: int = 1) -> None:
    item = StoredItem(f"{number}00", sku, quantity=quantity, status=status)
    store_order(connection, StoredOrder(str(number), [item], created_at=at(number), modified_at=at(number)))


def ignore_case(stock: StockConnection) -> None:
    assert set_sku_case(stock, SkuCase.IGNORE, ANN) is not None
    assert wrong_locks(stock) == []
    assert on_hand_mismatches(stock) == []
    assert reserved_mismatches(stock) == []
    apply_pending(stock)
    check_invariants(stock.connection)


def test_the_setting_has_who_changed_it_and_when(stock: StockConnection) -> None:
    assert stored_settings(stock) == (SkuCase.EXACT, UnknownShippingTime.AS_SEEN, None, None)
    set_sku_case(stock, SkuCase.IGNORE, ANN)
    stored = stored_settings(stock)
    assert (stored.sku_case, stored.changed_by) == (SkuCase.IGNORE, ANN.user)
    assert stored.changed_at is not None
    assert set_sku_case(stock, SkuCase.IGNORE, By("bob@desk", "")) is None
    assert stored_settings(stock).changed_by == ANN.user


def test_an_order_gets_the_pieces_that_are_listed_in_another_case(
    connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"phone": 2})
    one_order(connection, 1, "PHONE")
    apply_pending(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 0, 1, 0)]
    ignore_case(stock)
    one_order(connection, 2, "Phone")
    apply_pending(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 1, 0, 0), ("200", "PHONE", 1, 0, 0)]
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 2, 2)]
    assert connection.execute("SELECT sku FROM order_items ORDER BY sku").fetchall() == [("PHONE",), ("Phone",)]
    assert explain(stock, "phone") == explain(stock, "PHONE")
    check_invariants(connection)


def test_locks_of_one_item_under_both_spellings_are_one(connection: Connection, stock: StockConnection) -> None:
    """Two of its pieces left as `phone`; then the marketplace wrote PHONE, and a third one was ordered."""
    import_levels(stock, {"phone": 2}, counted_at=at(-1))
    first = StoredItem("100", "phone", quantity=2, shipped=2)
    store_order(connection, StoredOrder("1", [first]))
    apply_pending(stock)
    store_order(connection, StoredOrder("1", [first._replace(sku="PHONE", quantity=3)]))
    apply_pending(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 0, 1, 0), ("100", "phone", 0, 0, 2)]
    set_sku_case(stock, SkuCase.IGNORE, ANN)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 0, 1, 2)]
    apply_pending(stock)
    check_invariants(connection)
    assert "one now, by ann@desk" in explain(stock, "100").transitions[-1].cause
    import_levels(stock, {"pHone": 5})
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 1, 0, 2)]
    check_invariants(connection)


def test_two_active_locks_of_one_item_are_merged_to_what_it_needs(
    connection: Connection, stock: StockConnection
) -> None:
    """The item changed its spelling, and the stock job has not yet looked at it."""
    import_levels(stock, {"phone": 2})
    one_order(connection, 1, "phone", quantity=2)
    apply_pending(stock)
    one_order(connection, 1, "PHONE", quantity=2)
    ignore_case(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 2, 0, 0)]


def test_pieces_under_two_spellings_are_an_error_that_says_what_to_do(
    connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"phone": 2, "PHONE": 3, "case": 1})
    one_order(connection, 1, "phone")
    apply_pending(stock)
    with pytest.raises(
        SkuMergeError,
        match=r"PHONE \(3 pieces\), phone \(2 pieces\).*If the others are other pieces, add them to it. Set the others to 0",
    ):
        set_sku_case(stock, SkuCase.IGNORE, ANN)
    assert stored_settings(stock).sku_case is SkuCase.EXACT
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 3, 0), ("case", 1, 0), ("phone", 2, 1)]
    assert pending_events(stock) == 0
    adjust(stock, "phone", -2, By(ANN.user, "they are the same pieces"))
    ignore_case(stock)
    assert stock.execute(LEVELS).fetchall() == [("CASE", 1, 0), ("PHONE", 3, 1)]
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 1, 0, 0)]
    last = explain(stock, "phone").movements[-1]
    assert (last.kind, last.pieces, last.on_hand, last.made_by) == ("adjusted", 0, 3, ANN.user)


def test_aliases_and_buffers_follow(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"phone": 9, "case": 9})
    import_stock_skus(stock, [StockSku("", sku, part, 1) for sku in ("set", "SET") for part in ("phone", "case")])
    set_buffer(stock, Buffer("", "phone", 2, 0))
    set_buffer(stock, Buffer("", "PHONE", 2, 0))
    ignore_case(stock)
    assert stored_stock_skus(stock) == [StockSku("", "SET", "CASE", 1), StockSku("", "SET", "PHONE", 1)]
    assert stored_buffers(stock) == [Buffer("", "PHONE", 2, 0)]
    one_order(connection, 1, "Set")
    apply_pending(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "CASE", 1, 0, 0), ("100", "PHONE", 1, 0, 0)]
    import_stock_skus(stock, [StockSku("", "sEt", "Phone", 3)])
    assert pending_events(stock) == 1
    apply_pending(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "CASE", 0, 0, 0), ("100", "PHONE", 3, 0, 0)]
    set_buffer(stock, Buffer("", "pHONE", 3, 0))
    assert {each.sku: each.available for each in available_to_sell(stock, [ACCOUNT])} == {
        "CASE": 9, "PHONE": 3, "SET": 1,
    }  # fmt: skip
    check_invariants(connection)


@pytest.mark.parametrize(
    "rows",
    [
        [StockSku("", "set", "PHONE", 1), StockSku("", "SET", "PHONE", 2)],
        [StockSku("", "set", "PHONE", 1), StockSku("", "SET", "CASE", 1)],
        [StockSku("", "set", "PHONE", 1), StockSku("", "set", "phone", 2)],
    ],
)
def test_aliases_that_would_mean_two_things_are_an_error(stock: StockConnection, rows: list[StockSku]) -> None:
    import_stock_skus(stock, rows)
    with pytest.raises(SkuMergeError, match=r"aliases or bundles of .*set.* Nothing was changed"):
        set_sku_case(stock, SkuCase.IGNORE, ANN)
    assert stored_stock_skus(stock) == sorted(rows)


@pytest.mark.parametrize("account", ["", ACCOUNT])
def test_no_alias_begins_to_apply_to_a_sku_whose_pieces_are_held(
    connection: Connection, stock: StockConnection, account: str
) -> None:
    import_levels(stock, {"phone": 1, "CASE": 1})
    one_order(connection, 1, "phone")
    apply_pending(stock)
    import_stock_skus(stock, [StockSku(account, "PHONE", "CASE", 1)])
    apply_pending(stock)
    with pytest.raises(SkuMergeError, match=r"The SKU phone would stand for CASE.*orders of shop hold pieces of it"):
        set_sku_case(stock, SkuCase.IGNORE, ANN)
    assert stock.execute(LOCKS).fetchall() == [("100", "phone", 1, 0, 0)]


def test_no_alias_begins_to_apply_to_a_sku_that_has_pieces_on_hand(stock: StockConnection) -> None:
    import_levels(stock, {"phone": 1})
    import_stock_skus(stock, [StockSku("", "PHONE", "CASE", 1)])
    with pytest.raises(
        SkuMergeError, match=r"The SKU phone would stand for CASE.*it has pieces on hand.*Nothing was ch"
    ):
        set_sku_case(stock, SkuCase.IGNORE, ANN)
    adjust(stock, "phone", -1, By(ANN.user, "they are cases"))
    ignore_case(stock)


def test_an_alias_begins_to_apply_to_an_item_that_waits(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"phone": 1})
    import_stock_skus(stock, [StockSku("", "phone-fr", "phone", 1)])
    one_order(connection, 1, "PHONE-FR")
    ignore_case(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 1, 0, 0)]


def test_an_alias_that_applied_a_moment_ago_applies_again(connection: Connection, stock: StockConnection) -> None:
    """The stock job has not yet looked at the item, which still holds the alias's piece."""
    import_levels(stock, {"PHONE": 1})
    import_stock_skus(stock, [StockSku("", "PHONE-FR", "PHONE", 1)])
    one_order(connection, 1, "phone-fr")
    ignore_case(stock)
    set_sku_case(stock, SkuCase.EXACT, ANN)
    ignore_case(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 1, 0, 0)]


def test_different_buffers_are_an_error(stock: StockConnection) -> None:
    set_buffer(stock, Buffer("", "phone", 1, 0))
    set_buffer(stock, Buffer("", "PHONE", 2, 0))
    with pytest.raises(SkuMergeError, match="PHONE and phone differ only in case, and have different buffers"):
        set_sku_case(stock, SkuCase.IGNORE, ANN)


def test_what_shipped_under_another_case_has_left(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"phone": 2}, counted_at=at(-1))
    one_order(connection, 1, "phone")
    apply_pending(stock)
    ignore_case(stock)
    one_order(connection, 1, "Phone", status="shipped")
    apply_pending(stock)
    assert stock.execute(LOCKS).fetchall() == [("100", "PHONE", 0, 0, 1)]
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 1, 0)]
    check_invariants(connection)


@pytest.mark.parametrize(
    ("counts", "shipped_at", "on_hand"),
    [
        pytest.param({"PHONE": 10}, 60, 9, id="not in the list, after the count"),
        pytest.param({"PHONE": 10}, -60, 10, id="not in the list, before the count"),
        pytest.param({"PHONE": 10, "phone": 0}, 60, 9, id="none in the list"),
        pytest.param({"PHONE": 0}, 60, 0, id="more than the list has"),
    ],
)
def test_what_left_as_another_spelling_is_subtracted_from_the_count_before(
    connection: Connection, stock: StockConnection, counts: dict[str, int], shipped_at: int, on_hand: int
) -> None:
    import_levels(stock, counts, counted_at=at(0))
    item = StoredItem("100", "phone", quantity=2, shipped=1, parcels=((1, at(shipped_at)),))
    store_order(connection, StoredOrder("1", [item], created_at=at(-90)))
    apply_pending(stock)
    ignore_case(stock)
    assert stock.execute(LEVELS).fetchall() == [("PHONE", on_hand, min(1, on_hand))]
    import_levels(stock, {"PHONE": counts["PHONE"]}, counted_at=at(0))
    assert stock.execute(LEVELS).fetchall() == [("PHONE", on_hand, min(1, on_hand))], "it was subtracted already"
    undo_shipment(stock, (ACCOUNT, "100"), 1, By(ANN.user, "it is still here"))
    assert stock.execute(LEVELS).fetchall() == [("PHONE", counts["PHONE"], min(2, counts["PHONE"]))]
    check_invariants(connection)


def test_what_left_as_another_spelling_comes_back_once(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 10}, counted_at=at(0))
    one_order(connection, 1, "phone", status="shipped", quantity=2)
    apply_pending(stock)
    return_to_stock(stock, {(ACCOUNT, "100"): 1}, By(ANN.user, "unopened"))
    ignore_case(stock)
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 9, 0)]
    return_to_stock(stock, {(ACCOUNT, "100"): 1}, By(ANN.user, "unopened"))
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 10, 0)]
    check_invariants(connection)


def test_what_was_put_away_as_another_spelling_is_on_the_shelf(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 10}, counted_at=at(0))
    one_order(connection, 1, "phone", status="shipped", quantity=2)
    apply_pending(stock)
    store_care_record(connection, "R1", 2)
    (receipt,) = receive(stock, "R1", {(ACCOUNT, "100"): 2}, By(ANN.user, "unopened")).receipts
    put_away(stock, receipt.number, 1, Destination(), By(ANN.user, "as new"))
    put_away(stock, receipt.number, 1, Destination(is_scrap=True), By(ANN.user, "broken"))
    ignore_case(stock)
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 9, 0)]
    import_levels(stock, {"PHONE": 10}, counted_at=at(0))
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 9, 0)]
    check_invariants(connection)


def test_held_pieces_are_looked_at_again(connection: Connection, stock: StockConnection) -> None:
    """Their item is cancelled, and not an open one."""
    import_levels(stock, {"phone": 2})
    one_order(connection, 1, "phone", quantity=2)
    apply_pending(stock)
    store_label(connection, "1")
    one_order(connection, 1, "phone", "cancelled", quantity=2)
    apply_pending(stock)
    change = set_sku_case(stock, SkuCase.IGNORE, ANN)
    assert change is not None
    assert change.rechecked == 1
    apply_pending(stock)
    assert stock.execute("SELECT sku, held FROM stock_locks").fetchall() == [("PHONE", 2)]
    check_invariants(connection)


@pytest.mark.parametrize("oversell", [frozenset[str](), frozenset({ACCOUNT})])
def test_the_newest_orders_give_back_what_left_as_another_spelling(
    connection: Connection, stock: StockConnection, oversell: frozenset[str]
) -> None:
    import_levels(stock, {"PHONE": 2}, counted_at=at(0))
    one_order(connection, 1, "PHONE")
    one_order(connection, 2, "PHONE")
    one_order(connection, 3, "phone", status="shipped")
    apply_pending(stock)
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 2, 2), ("phone", None, 0)]
    set_sku_case(stock, SkuCase.IGNORE, ANN, oversell)
    apply_pending(stock, oversell)
    held = 1 if oversell else 0
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 1, 1 + held)]
    assert stock.execute(LOCKS).fetchall() == [
        ("100", "PHONE", 1, 0, 0), ("200", "PHONE", held, 1 - held, 0), ("300", "PHONE", 0, 0, 1),
    ]  # fmt: skip
    assert wrong_locks(stock, oversell) == []
    assert on_hand_mismatches(stock) == []
    assert reserved_mismatches(stock) == []


def test_back_to_exact_the_stock_list_stays_in_upper_case(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"phone": 2})
    one_order(connection, 1, "phone")
    one_order(connection, 2, "PHONE")
    ignore_case(stock)
    change = set_sku_case(stock, SkuCase.EXACT, ANN)
    assert change is not None
    assert change.rechecked == 2
    apply_pending(stock)
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 2, 1), ("phone", None, 0)]
    assert stock.execute(LOCKS).fetchall() == [
        ("100", "PHONE", 0, 0, 0), ("100", "phone", 0, 1, 0), ("200", "PHONE", 1, 0, 0),
    ]  # fmt: skip
    check_invariants(connection)
    ignore_case(stock)
    assert stock.execute(LEVELS).fetchall() == [("PHONE", 2, 2)]


def test_counts_that_are_one_by_the_rule_are_an_error(stock: StockConnection) -> None:
    set_sku_case(stock, SkuCase.IGNORE, ANN)
    with pytest.raises(StockInputError, match="are one: phone and PHONE"):
        import_levels(stock, {"phone": 1, "PHONE": 2})


def test_the_time_to_merge_grows_with_the_number_of_locks_only(connection: Connection, stock: StockConnection) -> None:
    """4,000 items with a lock under both spellings: one statement once took 10 s for them, now 0.2 s."""
    connection.execute("INSERT INTO stock_levels (sku) VALUES ('phone'), ('PHONE')")
    connection.execute(
        "INSERT INTO stock_locks (account, item_id, sku, order_id, quantity, locked, short, consumed, state) "
        "SELECT 'shop', number::text, sku, number::text, 1, 0, short, 0, state FROM generate_series(1, 4000) number, "
        "(VALUES ('phone', 1, 'short'), ('PHONE', 0, 'released')) AS each (sku, short, state)"
    )
    connection.execute(
        "INSERT INTO stock_lock_history (account, item_id, sku, cause, to_state, quantity, locked, short, consumed) "
        "SELECT account, item_id, sku, '', state, quantity, locked, short, consumed FROM stock_locks"
    )
    connection.execute("SET statement_timeout = '5s'")
    set_sku_case(stock, SkuCase.IGNORE, ANN)
    assert stock.execute("SELECT sku, short, count(*) FROM stock_locks GROUP BY 1, 2").fetchall() == [
        ("PHONE", 1, 4_000)
    ]
