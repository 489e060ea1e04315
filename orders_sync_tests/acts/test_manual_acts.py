"""Acts by hand: one table, each row in the transaction of its effect, found by what it is about."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, ManualAct, On, Selection, note_act, stored_acts
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.kept_fields import NOTHING_KEPT
from orders_sync.model.texts import InputError
from orders_sync.passes.waiting_lines import hold_back
from orders_sync.stock.apply_events import apply_pending, lock_orders
from orders_sync.stock.available import Buffer, set_buffer
from orders_sync.stock.by_hand import StockActError, adjust, decide, return_to_stock, undo_shipment
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.failed_events import retry_failed
from orders_sync.stock.input import MAX_PIECES
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.settings import UnknownShippingTime, set_sku_case, set_unknown_shipping_time
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.sync.contract_drift import note_seen
from orders_sync.sync.dismissals import dismiss
from orders_sync.sync.rejected_records import RejectedRecord, keep
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order

ANN = By("ann@desk", "says so", "orders-sync stock adjust")


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    return StockConnection(connection)


def acts(connection: Connection, **selection: object) -> list[ManualAct]:
    return stored_acts(connection, Selection(**selection))  # pyright: ignore[reportArgumentType]


def what(found: list[ManualAct]) -> list[tuple[str, str | None]]:
    return [(act.act, act.detail) for act in found]


def test_an_act_says_who_did_what_on_what_where_from_and_why(connection: Connection, stock: StockConnection) -> None:
    before = datetime.now(UTC)
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    decide(stock, (ACCOUNT, "100"), Decision.RELEASE, ANN._replace(run_id="cli-1"))
    (act,) = acts(connection)
    assert act._replace(at=before) == ManualAct(
        before, "ann@desk", "orders-sync stock adjust", "release_item", None, ACCOUNT, "1", "100", "PHONE", None,
        "says so", "cli-1",
    )  # fmt: skip
    assert before <= act.at <= datetime.now(UTC)


#: Acts that change nothing where an order waits, and nothing else is stored.
WITHOUT_EFFECT: dict[str, Callable[[StockConnection], object]] = {
    "pieces that are not there are taken": lambda stock: adjust(stock, "PHONE", -1, ANN),
    "an item that is not there is locked": lambda stock: decide(stock, (ACCOUNT, "?"), Decision.LOCK, ANN),
    "an import shows what it would do": lambda stock: import_levels(stock, {"PHONE": 3}, by=ANN, dry_run=True),
    "an order that nobody holds back is held back no more": lambda stock: hold_back(
        stock, ACCOUNT, "1", ANN, holds=False
    ),
    "a buffer that is not there is removed": lambda stock: set_buffer(stock, Buffer("", "PHONE", 0, 0), ANN),
    "the setting is the default": lambda stock: set_unknown_shipping_time(stock, UnknownShippingTime.AS_SEEN, ANN),
    "the case counts already": lambda stock: set_sku_case(stock, SkuCase.EXACT, ANN),
    "no aliases are there, and none are imported": lambda stock: import_stock_skus(stock, [], ANN),
    "no event has failed": lambda stock: retry_failed(stock, ANN),
    "no difference is new": lambda stock: note_seen(stock.connection, ACCOUNT, None, ANN),
    "no record is rejected": lambda stock: dismiss(stock.connection, ACCOUNT, "order", "1", ANN),
}


@pytest.mark.parametrize("act", WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
def test_an_act_without_an_effect_leaves_no_row(
    connection: Connection, stock: StockConnection, act: Callable[[StockConnection], object]
) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    with suppress(StockActError):
        act(stock)
    assert acts(connection) == []


#: Acts that have an effect once: the second one finds what it would do.
ONCE: dict[str, Callable[[StockConnection], object]] = {
    "hold_back": lambda stock: hold_back(stock, ACCOUNT, "1", ANN, holds=True),
    "set_buffer": lambda stock: set_buffer(stock, Buffer("", "PHONE", 1, 0), ANN),
    "change_stock_settings": lambda stock: set_unknown_shipping_time(stock, UnknownShippingTime.BEFORE_COUNT, ANN),
    "import_skus": lambda stock: import_stock_skus(stock, [StockSku("", "PHONE-FR", "PHONE", 1)], ANN),
    "dismiss_rejected": lambda stock: dismiss(stock.connection, ACCOUNT, "order", "9", ANN),
}


@pytest.mark.parametrize(("name", "act"), ONCE.items(), ids=ONCE)
def test_an_act_that_is_repeated_leaves_one_row(
    connection: Connection, stock: StockConnection, name: str, act: Callable[[StockConnection], object]
) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    keep(connection, ACCOUNT, [RejectedRecord("order", "9", b"{}", [])], lambda: datetime.now(UTC), NOTHING_KEPT)
    for _ in range(2):
        act(stock)
    assert [each.act for each in acts(connection)] == [name]


def test_an_order_is_held_back_again_for_another_reason(connection: Connection, stock: StockConnection) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("100", status="pending")]))
    for reason, holds in (("a box comes", True), ("two boxes come", True), ("none came", False), ("one came", False)):
        assert hold_back(stock, ACCOUNT, "1", ANN._replace(reason=reason), holds=holds)
    assert [(each.act, each.reason) for each in acts(connection)] == [
        ("hold_back", "a box comes"),
        ("hold_back", "two boxes come"),
        ("undo_hold_back", "none came"),
    ]
    assert not hold_back(stock, ACCOUNT, "no such order", ANN, holds=True)


def test_what_a_person_applies_is_one_act_and_none_if_nothing_is_pending(
    connection: Connection, stock: StockConnection
) -> None:
    apply_pending(stock, by=ANN)
    assert acts(connection) == []
    too_many = StoredItem("100", quantity=MAX_PIECES + 1)
    for order_id, item in (("1", too_many), ("2", StoredItem("200")), ("3", StoredItem("300"))):
        store_order(connection, StoredOrder(order_id, [item]))
    connection.execute("INSERT INTO stock_rechecks (account, item_id) VALUES (%s, '200')", [ACCOUNT])
    applied = apply_pending(stock, batch=2, by=ANN)
    assert (applied.events, applied.failed) == (2, 1)
    assert what(acts(connection)) == [("apply_events", None)]


@pytest.mark.parametrize("pending", ["an event that fails", "a recheck", "a return"])
def test_whatever_a_person_applies_is_an_act(connection: Connection, stock: StockConnection, pending: str) -> None:
    quantity = MAX_PIECES + 1 if pending == "an event that fails" else 1
    store_order(connection, StoredOrder("1", [StoredItem("100", quantity=quantity, status="accepted")]))
    if pending != "an event that fails":
        apply_pending(stock)
    if pending == "a recheck":
        connection.execute("INSERT INTO stock_rechecks (account, item_id) VALUES (%s, '100')", [ACCOUNT])
    if pending == "a return":
        connection.execute(
            "INSERT INTO stock_returns (account, care_id, item_id, pieces, at) VALUES (%s, 'C1', '100', 1, now())",
            [ACCOUNT],
        )
    apply_pending(stock, by=ANN)
    assert what(acts(connection)) == [("apply_events", None)]


def test_an_effect_that_is_undone_takes_its_act_with_it(connection: Connection, stock: StockConnection) -> None:
    with connection.transaction() as transaction:
        adjust(stock, "PHONE", 1, ANN)
        raise psycopg.Rollback(transaction)
    assert acts(connection) == []


def test_what_nobody_does_by_hand_is_no_act(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 3})
    set_buffer(stock, Buffer("", "PHONE", 1, 0))
    assert acts(connection) == []


def test_acts_are_found_by_account_order_sku_actor_and_time(connection: Connection, stock: StockConnection) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    store_order(connection, StoredOrder("2", [StoredItem("200", sku="CASE")]))
    import_levels(stock, {"PHONE": 3}, by=ANN)
    decide(stock, (ACCOUNT, "100"), Decision.RELEASE, ANN)
    decide(stock, (ACCOUNT, "200"), Decision.RELEASE, By("Bob@Office", "too late"))
    adjust(stock, "CASE", 2, ANN)
    note_act(connection, ANN, Act.REWIND_LANE, On("other", other="lane other/new"))
    assert what(acts(connection)) == [
        ("import_stock", "1 SKUs, 1 with other pieces on hand"),
        ("release_item", None),
        ("release_item", None),
        ("adjust_stock", "+2 pieces, 2 on hand"),
        ("rewind_lane", None),
    ]
    assert [act.item_id for act in acts(connection, account=ACCOUNT)] == ["100", "200"]
    assert [act.item_id for act in acts(connection, account=ACCOUNT, order_id="2")] == ["200"]
    assert [act.act for act in acts(connection, sku="case")] == ["release_item", "adjust_stock"]
    assert [act.reason for act in acts(connection, actor="bob")] == ["too late"]
    assert acts(connection, since=datetime.now(UTC) + timedelta(minutes=1)) == []
    assert [act.act for act in stored_acts(connection, Selection(), limit=2)] == ["adjust_stock", "rewind_lane"]


def test_pieces_that_come_back_are_an_act_for_each_item(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 5})
    items = [StoredItem("100", status="shipped", quantity=2), StoredItem("101", status="shipped")]
    store_order(connection, StoredOrder("1", items))
    lock_orders(stock, ACCOUNT, ["1"])
    undo_shipment(stock, (ACCOUNT, "101"), 1, ANN)
    return_to_stock(stock, {(ACCOUNT, "100"): 2}, ANN)
    assert [(act.act, act.item_id, act.detail) for act in acts(connection)] == [
        ("undo_shipment", "101", "1 pieces"),
        ("return_to_stock", "100", "2 pieces"),
    ]


def test_acts_while_v1_has_the_authority_are_in_the_same_table(connection: Connection) -> None:
    adjust(StockConnection(connection), "PHONE", 1, ANN)
    assert what(acts(connection)) == [("adjust_stock", "+1 pieces, 1 on hand")]


def test_explain_shows_the_acts_on_an_item_its_order_and_its_sku(
    connection: Connection, stock: StockConnection
) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("100"), StoredItem("101", sku="CASE")]))
    decide(stock, (ACCOUNT, "100"), Decision.RELEASE, ANN)
    decide(stock, (ACCOUNT, "101"), Decision.RELEASE, ANN)
    note_act(connection, ANN, Act.HOLD_BACK, On(ACCOUNT, "1"))
    adjust(stock, "PHONE", 3, ANN)
    assert [act.act for act in explain(stock, "100").acts] == ["release_item", "hold_back"]
    assert [act.act for act in explain(stock, "1").acts] == ["release_item", "release_item", "hold_back"]
    assert [act.act for act in explain(stock, "PHONE").acts] == ["release_item", "adjust_stock"]
    assert [act.act for act in explain(stock, "PHONE", limit=1).acts] == ["adjust_stock"]


def test_a_person_needs_a_reason_and_a_name_that_can_be_stored() -> None:
    with pytest.raises(InputError, match="the reason is empty: say why"):
        By.checked("ann@desk", " ")
    with pytest.raises(InputError, match=r"the user 'ann\\x00' has a character that can't be stored"):
        By.checked("ann\x00", "says so")
