"""Merging on a first load, which looks nothing up: what another lane stored meanwhile is known all the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync.batch import BatchResult
from orders_sync.sync.merge import OrderMerger
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
        return merger.write(merger.prepare(records), PassSummary())

    return merged


def _record(order: dict[str, Any]) -> RawRecord:
    raw = json.dumps(order).encode()
    return RawRecord(str(order["order_id"]), raw, str(hash(raw)).encode())


def test_an_order_that_another_lane_stored_since_is_no_new_one(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    orders = [an_order(marketplace, number) for number in (1, 2, 3)]
    with connect() as mine:
        first_load = OrderMerger(mine, "shop", adapter.decode_order)
        merge(OrderMerger(connection, "shop", adapter.decode_order), orders[:2])
        shipped = {**orders[1], "state": 9}
        result = merge(first_load, [orders[0], shipped, orders[2]])
        assert [one.order.order_id for one in result.created] == ["3"]
        assert [one.order.order_id for one in result.changed] == ["2"]
        assert result.unchanged == 1
        again = merge(first_load, [orders[0], shipped, orders[2]])
        assert (len(again.created), len(again.changed), again.unchanged, again.events) == (0, 0, 3, 0)
    check_invariants(connection)


def test_a_record_without_its_items_is_looked_up_even_then(
    marketplace: Marketplace, adapter: Adapter, connection: Connection, merge: Merge
) -> None:
    orders = [an_order(marketplace, number) for number in (1, 2)]
    without_items = [{name: told for name, told in order.items() if name != "orderlines"} for order in orders]
    with connect() as mine:
        first_load = OrderMerger(mine, "shop", adapter.decode_order)
        merge(OrderMerger(connection, "shop", adapter.decode_order), orders[:1])
        result = merge(first_load, without_items)
    assert [one.order.order_id for one in result.changed] == ["1"]
    assert [one.record_id for one in result.rejected] == ["2"]
    items = connection.execute("SELECT count(*) FROM order_items WHERE order_id = '1'").fetchone()
    assert items == (len(orders[0]["orderlines"]),)
