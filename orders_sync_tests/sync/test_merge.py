"""Merging batches: each record is counted once. A first load looks nothing up, and finds stored orders all the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.errors import DeadlockDetected

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.sync.batch import BatchResult
from orders_sync.sync.merge import MAX_TRIES, OrderMerger
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order

Merge = Callable[[OrderMerger, list[dict[str, Any]]], BatchResult]


@pytest.fixture
def adapter(account: SellerAccount) -> Adapter:
    return open_adapter(account)


@pytest.fixture
def merge(adapter: Adapter) -> Merge:
    def merged(merger: OrderMerger, orders: list[dict[str, Any]]) -> BatchResult:
        records = [_record(order) for order in orders]
        result = merger.write(merger.prepare(records))
        assert result.records == len(records)
        return result

    return merged


def _record(order: dict[str, Any]) -> RawRecord:
    raw = json.dumps(order).encode()
    return RawRecord(str(order["order_id"]), raw, str(hash(raw)).encode())


def test_an_order_that_another_lane_stored_meanwhile_is_not_created_again(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    orders = [an_order(marketplace, number) for number in (1, 2, 3)]
    with connect() as mine:
        first_load = OrderMerger(mine, "shop", order_decoder(adapter))
        merge(OrderMerger(connection, "shop", order_decoder(adapter)), orders[:2])
        shipped = {**orders[1], "state": 9}
        result = merge(first_load, [orders[0], shipped, orders[2]])
        assert (list(result.created), list(result.changed)) == (["3"], ["2"])
        assert result.unchanged == 1
        again = merge(first_load, [orders[0], shipped, orders[2]])
        assert (len(again.created), len(again.changed), again.unchanged, again.events) == (0, 0, 3, 0)
    check_invariants(connection)


def test_a_record_without_its_items_is_looked_up_on_a_first_load_too(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    orders = [an_order(marketplace, number) for number in (1, 2)]
    without_items = [{name: value for name, value in order.items() if name != "orderlines"} for order in orders]
    with connect() as mine:
        first_load = OrderMerger(mine, "shop", order_decoder(adapter))
        merge(OrderMerger(connection, "shop", order_decoder(adapter)), orders[:1])
        result = merge(first_load, without_items)
    assert list(result.changed) == ["1"]
    assert [rejected.record_id for rejected in result.rejected] == ["2"]
    items = connection.execute("SELECT count(*) FROM order_items WHERE order_id = '1'").fetchone()
    assert items == (len(orders[0]["orderlines"]),)


def test_each_record_of_a_batch_is_counted_once(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    """Created, changed, unchanged and rejected in every way: by the check, by a shared item, by PostgreSQL."""
    connection.execute("""
        CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'numeric field overflow' USING ERRCODE = '22003'; END $$;
        CREATE TRIGGER reject BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.order_id = '5') EXECUTE FUNCTION reject()
    """)
    orders = [an_order(marketplace, number) for number in range(1, 8)]
    orders[3]["orderlines"][0]["quantity"] = 0
    orders[5]["orderlines"][0]["id"] = orders[6]["orderlines"][0]["id"]
    merger = OrderMerger(connection, "shop", order_decoder(adapter))
    merge(merger, orders[:2])
    without_id = {**orders[0], "order_id": ""}
    result = merge(merger, [orders[0], {**orders[1], "state": 9}, *orders[2:], orders[2], without_id])
    assert (list(result.created), list(result.changed), result.unchanged) == (["3", "6"], ["2"], 2)
    assert sorted(rejected.record_id for rejected in result.rejected) == ["", "4", "5", "7"]
    check_invariants(connection)


def test_a_change_that_takes_another_orders_item_is_rejected_and_the_other_changes_are_written(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    orders = [an_order(marketplace, number) for number in (1, 2, 3)]
    merger = OrderMerger(connection, "shop", order_decoder(adapter))
    merge(merger, orders)
    taking = {**orders[1], "orderlines": [*orders[1]["orderlines"], orders[0]["orderlines"][0]]}
    result = merge(merger, [taking, {**orders[2], "state": 9}])
    assert list(result.changed) == ["3"]
    assert [rejected.one_line() for rejected in result.rejected] == [
        "order 2 rejected: items item 100 belongs to order 1"
    ]
    assert list(merge(merger, [{**orders[1], "state": 9}]).changed) == ["2"]
    resolved = connection.execute("SELECT resolved_at IS NOT NULL FROM rejected_records").fetchall()
    assert resolved == [(True,)]
    check_invariants(connection)


def test_a_batch_that_collides_with_another_writers_locks_is_written_again(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
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
    merger = OrderMerger(connection, "shop", order_decoder(adapter))
    assert list(merge(merger, [an_order(marketplace, 1)]).created) == ["1"]
    assert connection.execute("SELECT last_value FROM tries").fetchone() == (3,)
    with pytest.raises(DeadlockDetected):
        merge(merger, [an_order(marketplace, 2)])
    assert connection.execute("SELECT last_value FROM tries").fetchone() == (3 + MAX_TRIES,)
    check_invariants(connection)
