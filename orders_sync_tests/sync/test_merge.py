"""Merging batches: each record is counted once. A first load looks nothing up, and finds stored orders all the same."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg.errors import DeadlockDetected

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.kept_fields import NOTHING_KEPT
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.sync.batch import BatchResult, Origin
from orders_sync.sync.merge import MAX_TRIES, OrderMerger
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync.testing.row_faults import reject_row

NO_ITEMS = "are none, and the order is still to be shipped"
"""What is found in an order whose list of items is empty though it waits or is accepted."""
Merge = Callable[[list[dict[str, Any]]], BatchResult]


@pytest.fixture
def adapter(account: SellerAccount) -> Adapter:
    return open_adapter(account)


@pytest.fixture
def merge(adapter: Adapter, connection: Connection) -> Merge:
    return merging(adapter, connection)


def merging(adapter: Adapter, connection: Connection) -> Merge:
    """Merges one batch after the other on a connection, as a pass does, and sees that each record is counted."""
    merger = OrderMerger(connection, "shop", adapter, Origin("new", "test"), NOTHING_KEPT)

    def merge(orders: list[dict[str, Any]]) -> BatchResult:
        records = [_record(order) for order in orders]
        result = merger.write(merger.prepare(records))
        assert result.records == len(records)
        return result

    return merge


def _later(at: str) -> str:
    """A minute later: further ahead of the clock, a modified time is not believed."""
    return (datetime.fromisoformat(at) + timedelta(minutes=1)).isoformat()


def _record(order: dict[str, Any]) -> RawRecord:
    raw = json.dumps(order).encode()
    return RawRecord(str(order["order_id"]), raw, str(hash(raw)).encode())


def test_an_order_that_another_lane_stored_meanwhile_is_not_created_again(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    orders = [an_order(marketplace, number) for number in (1, 2, 3)]
    with connect() as mine:
        first_load = merging(adapter, mine)
        merge(orders[:2])
        shipped = {**orders[1], "state": 9}
        result = first_load([orders[0], shipped, orders[2]])
        assert (list(result.created), list(result.changed)) == (["3"], ["2"])
        assert result.unchanged == 1
        again = first_load([orders[0], shipped, orders[2]])
        assert (len(again.created), len(again.changed), again.unchanged, again.events) == (0, 0, 3, 0)
    check_invariants(connection)


def test_a_record_without_its_items_is_looked_up_on_a_first_load_too(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    orders = [an_order(marketplace, number) for number in (1, 2)]
    without_items = [{name: value for name, value in order.items() if name != "orderlines"} for order in orders]
    with connect() as mine:
        first_load = merging(adapter, mine)
        merge(orders[:1])
        result = first_load(without_items)
    assert list(result.changed) == ["1"]
    assert [rejected.record_id for rejected in result.rejected] == ["2"]
    items = connection.execute("SELECT count(*) FROM order_items WHERE order_id = '1'").fetchone()
    assert items == (len(orders[0]["orderlines"]),)


def test_each_record_of_a_batch_is_counted_once(marketplace: Marketplace, connection: Connection, merge: Merge) -> None:
    """Created, changed, unchanged and rejected in every way, with flaws and without, and with a shared item."""
    reject_row(connection, "orders", "order_id", "5")
    orders = [an_order(marketplace, number) for number in range(1, 8)]
    orders[3]["orderlines"][0]["quantity"] = -1
    orders[2]["currency"] = "eur"
    orders[5]["orderlines"][0]["id"] = orders[6]["orderlines"][0]["id"]
    merge(orders[:2])
    without_id = {**orders[0], "order_id": ""}
    result = merge([orders[0], {**orders[1], "state": 9}, *orders[2:], orders[2], without_id])
    assert (list(result.created), list(result.changed), result.unchanged) == (["3", "6", "7"], ["2"], 2)
    assert sorted(rejected.record_id for rejected in result.rejected) == ["", "4", "5"]
    assert result.flawed == 2
    check_invariants(connection)


def _owners(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT item_id, order_id FROM order_items WHERE status <> 'removed'").fetchall())


def _flaws(connection: Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT record_id, found FROM record_flaws ORDER BY 1, 2").fetchall()


def test_a_line_that_moves_to_another_order_follows_the_newer_record(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    """Orders are split and combined. The line's lock goes with it, and the other order is reported until it is right."""
    old, other, new = (an_order(marketplace, number) for number in (1, 2, 3))
    line = old["orderlines"][0]
    merge([old, other])
    accepted = {**old, "orderlines": [{**line, "state": 2}], "state": 3}
    merge([accepted])  # an event of the line at the order's present revision
    apply_pending(StockConnection(connection))
    later = _later(old["date_modification"])
    taking = {**new, "orderlines": [*new["orderlines"], line], "date_modification": later}
    assert list(merge([taking, {**other, "state": 9}]).created) == ["3"]
    assert _owners(connection)[str(line["id"])] == "3"
    assert _flaws(connection) == [("1", f"item {line['id']} is listed by order 3 as well")]
    without = {**old, "orderlines": [], "date_modification": later}
    assert list(merge([without]).changed) == ["1"]
    assert (_owners(connection)[str(line["id"])], _flaws(connection)) == ("3", [("1", NO_ITEMS)])
    apply_pending(StockConnection(connection))
    assert connection.execute(
        "SELECT order_id, state FROM stock_locks WHERE item_id = %s", [str(line["id"])]
    ).fetchall() == [("3", "short")]
    check_invariants(connection)


def test_a_line_that_two_orders_list_stays_with_the_newer_record_and_both_are_stored(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    first, second = an_order(marketplace, 1), an_order(marketplace, 2)
    line = first["orderlines"][0]
    claiming = {**second, "orderlines": [*second["orderlines"], line], "date_modification": "2020-01-01T00:00:00Z"}
    merge([first])
    assert list(merge([claiming]).created) == ["2"]
    assert _owners(connection)[str(line["id"])] == "1"
    assert _flaws(connection) == [("2", f"item {line['id']} is listed by order 1 as well")]
    check_invariants(connection)


@pytest.mark.parametrize("applied", [True, False], ids=["with stock applied between", "without"])
def test_a_line_that_moves_between_two_orders_that_change_at_once_keeps_its_lock(
    marketplace: Marketplace, connection: Connection, merge: Merge, applied: bool
) -> None:
    """To the other order and back, in one batch each time: each order has the events of what it got and lost."""
    first, second = an_order(marketplace, 1, skus=("PHONE", "CASE")), an_order(marketplace, 2)
    staying, moving = first["orderlines"]
    merge([first, second])
    at = first["date_modification"]
    for owner in ("2", "1"):
        if applied:
            apply_pending(StockConnection(connection))
        at = _later(at)
        lines = {"1": [staying], "2": [*second["orderlines"]]}
        lines[owner].append(moving)
        changed = [{**first, "orderlines": lines["1"]}, {**second, "orderlines": lines["2"]}]
        merge([{**order, "date_modification": at} for order in changed])
        assert (_owners(connection)[str(moving["id"])], _flaws(connection)) == (owner, [])
    apply_pending(StockConnection(connection))
    lock = "SELECT order_id, state FROM stock_locks WHERE item_id = %s"
    assert connection.execute(lock, [str(moving["id"])]).fetchall() == [("1", "short")]
    check_invariants(connection)


def test_a_cancelled_line_takes_nothing_from_the_order_that_ships_it(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    """A split may leave the line in its old order, cancelled; that record may well be the newer one."""
    old, new = an_order(marketplace, 1, skus=("PHONE", "CASE")), an_order(marketplace, 2)
    staying, moving = old["orderlines"]
    merge([old])
    later = _later(old["date_modification"])
    cancelled = {
        **old, "orderlines": [staying, {**moving, "state": 4, "quantity": 0}], "date_modification": _later(later)
    }  # fmt: skip
    merge([{**new, "orderlines": [moving], "date_modification": later}, cancelled])
    assert (_owners(connection)[str(moving["id"])], _flaws(connection)) == ("2", [])
    apply_pending(StockConnection(connection))
    check_invariants(connection)


def test_an_order_that_lost_a_line_is_read_anew_once_the_other_order_gives_it_up(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    first, second = an_order(marketplace, 1), an_order(marketplace, 2)
    [line] = first["orderlines"]
    claiming = {**second, "orderlines": [*second["orderlines"], line], "date_modification": "2020-01-01T00:00:00Z"}
    merge([first, claiming])
    assert _owners(connection)[str(line["id"])] == "1"
    merge([{**first, "orderlines": [], "date_modification": _later(first["date_modification"])}])
    assert list(merge([claiming]).changed) == ["2"]
    assert (_owners(connection)[str(line["id"])], _flaws(connection)) == ("2", [("1", NO_ITEMS)])
    apply_pending(StockConnection(connection))
    check_invariants(connection)


@pytest.mark.parametrize(
    ("state", "flaws"),
    [(1, [("1", NO_ITEMS)]), (3, [("1", NO_ITEMS)]), (9, []), (8, [])],
    ids=["waits", "accepted", "shipped", "unpaid"],
)
def test_the_last_item_edited_out_releases_its_lock_and_is_a_flaw_while_the_order_can_ship(
    marketplace: Marketplace, connection: Connection, merge: Merge, state: int, flaws: list[tuple[str, str]]
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 1})
    order = an_order(marketplace, 1)
    merge([order])
    apply_pending(StockConnection(connection))
    later = _later(order["date_modification"])
    merge([{**order, "state": state, "orderlines": [], "date_modification": later}])
    apply_pending(StockConnection(connection))
    assert connection.execute("SELECT status FROM order_items").fetchall() == [("removed",)]
    assert connection.execute("SELECT state FROM stock_locks").fetchall() == [("released",)]
    assert _flaws(connection) == flaws
    merge([{**order, "date_modification": _later(later)}])
    apply_pending(StockConnection(connection))
    assert connection.execute("SELECT state FROM stock_locks").fetchall() == [("locked",)]
    assert _flaws(connection) == []
    check_invariants(connection)


def test_each_line_that_two_orders_list_is_a_flaw_of_its_own(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    first, second = an_order(marketplace, 1, skus=("PHONE", "CASE")), an_order(marketplace, 2)
    lines = [*second["orderlines"], *first["orderlines"]]
    claiming = {**second, "orderlines": lines, "date_modification": "2020-01-01T00:00:00Z"}
    merge([first, claiming])
    assert _flaws(connection) == [("2", f"item {line['id']} is listed by order 1 as well") for line in lines[1:]]


def test_a_record_that_claims_to_be_of_the_future_is_not_newer_than_all_others(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    order = an_order(marketplace, 1)
    merge([{**order, "date_modification": "2098-01-01T00:00:00Z"}])
    assert _flaws(connection) == [("1", "lies in the future")]
    cancelled = [{**line, "state": 4} for line in order["orderlines"]]
    assert list(merge([{**order, "orderlines": cancelled}]).changed) == ["1"]
    assert _flaws(connection) == []
    check_invariants(connection)


def test_a_cancelled_line_needs_no_sku_and_keeps_the_stored_one(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    order = an_order(marketplace, 1)
    merge([order])
    cancelled = [{**line, "state": 4, "listing": "", "quantity": 0} for line in order["orderlines"]]
    assert list(merge([{**order, "orderlines": cancelled}]).changed) == ["1"]
    item = connection.execute("SELECT sku, quantity, status FROM order_items").fetchone()
    assert item == ("PHONE", 1, "cancelled")


def test_one_odd_negative_price_does_not_make_goods_a_discount(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    order = an_order(marketplace, 1)
    merge([order])
    merge([{**order, "orderlines": [{**line, "price": "-1.00"} for line in order["orderlines"]]}])
    assert connection.execute("SELECT kind FROM order_items").fetchall() == [("goods",)]
    check_invariants(connection)


def test_a_batch_that_collides_with_another_writers_locks_is_written_again(
    marketplace: Marketplace, connection: Connection, merge: Merge
) -> None:
    """A sequence counts the tries, since no rollback takes its values back."""
    connection.execute("""
        CREATE SEQUENCE tries;
        CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF nextval('tries') < 3 OR NEW.order_id = '2' THEN
            RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';
          END IF;
          RETURN NEW;
        END $$;
        CREATE TRIGGER collide BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION collide()
    """)
    assert list(merge([an_order(marketplace, 1)]).created) == ["1"]
    assert connection.execute("SELECT last_value FROM tries").fetchone() == (3,)
    with pytest.raises(DeadlockDetected):
        merge([an_order(marketplace, 2)])
    assert connection.execute("SELECT last_value FROM tries").fetchone() == (3 + MAX_TRIES,)
    check_invariants(connection)


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_version_that_only_postgresql_rejects_takes_the_place_of_no_older_one(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge, is_stored: bool
) -> None:
    """Of two older ones that it takes, the newer one is stored."""
    reject_row(connection, "order_items", "sku", "REJECTED")
    order, other = an_order(marketplace, 1), an_order(marketplace, 2)
    if is_stored:
        merge([order])
    [line] = order["orderlines"]
    at = order["date_modification"]
    oldest = {**order, "date_modification": _later(at), "tracking_number": "T-1"}
    older = {**order, "date_modification": _later(_later(at)), "tracking_number": "T-2"}
    added = {**line, "id": 77, "listing": "REJECTED"}
    newest = {**order, "date_modification": _later(_later(_later(at))), "orderlines": [line, added]}
    result = merge([older, newest, other, oldest])
    assert (len(result.created), len(result.changed), len(result.rejected)) == ((1, 1, 1) if is_stored else (2, 0, 1))
    rows = connection.execute("SELECT tracking_number FROM orders WHERE order_id = '1'").fetchall()
    assert rows == [("T-2",)]
    assert connection.execute("SELECT record_id FROM rejected_records WHERE resolved_at IS NULL").fetchall() == [("1",)]
    check_invariants(connection)


def test_an_order_that_somebody_deleted_by_hand_begins_again(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in (1, 2):
        an_order(marketplace, number)
    sync(account)
    connection.execute("DELETE FROM order_items WHERE order_id = '2'")
    connection.execute("DELETE FROM orders WHERE order_id = '2'")
    marketplace.pass_time(minutes=5)
    marketplace.set_states(1, 9, 3)
    summary = sync(account, "modified", reread=True)
    assert (summary.created, summary.changed) == (1, 1)
    created = connection.execute("SELECT count(*), count(applied_at) FROM order_events WHERE order_id = '2'").fetchall()
    assert created == [(1, 0)], "stock locks for it anew"
    check_invariants(connection)
