"""The sandbox's world: equal seeds give equal worlds, time changes them, the merchant's moves follow the contract."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orders_sync.sandbox.entities import ACCEPTED, PAID, SHIPPED
from orders_sync.sandbox.world import World, stock_levels

START = datetime(2026, 11, 1, tzinfo=UTC)


def a_world(seed: int = 1) -> World:
    world = World(seed, 100, START, days=5)
    world.advance(START)
    return world


def states(world: World) -> dict[int, list[int]]:
    return {order.id: [line.state for line in order.lines] for order in world.orders.values()}


def a_paid_order(world: World) -> int:
    return next(order.id for order in world.orders.values() if all(line.state == PAID for line in order.lines))


def test_equal_seeds_give_equal_worlds() -> None:
    assert states(a_world()) == states(a_world())
    assert stock_levels(a_world()) == stock_levels(a_world())
    assert states(a_world(seed=1)) != states(a_world(seed=2))


def test_time_brings_orders_and_changes_them() -> None:
    world = a_world()
    before = states(world)
    world.advance(START + timedelta(days=1))
    after = states(world)
    assert after.keys() > before.keys()
    assert any(after[order_id] != before[order_id] for order_id in before)


def test_the_merchant_moves_lines_only_as_the_contract_allows() -> None:
    world = a_world()
    order_id = a_paid_order(world)
    assert world.merchant_sets(order_id, SHIPPED, None, START) == "no orderline can go to state 3 from state 1"
    assert world.merchant_sets(order_id, ACCEPTED, "NO-SUCH-SKU", START) == (
        "no orderline of this order has the SKU NO-SUCH-SKU"
    )
    assert world.merchant_sets(order_id, ACCEPTED, None, START) is None
    assert {line.state for line in world.orders[order_id].lines} == {ACCEPTED}


def test_saved_actions_are_replayed(tmp_path: Path) -> None:
    file = tmp_path / "actions.jsonl"
    world = a_world()
    order_id = a_paid_order(world)
    world.merchant_sets(order_id, ACCEPTED, None, START)
    world.save_actions(file)
    again = World(1, 100, START, days=5)
    again.replay_actions(file)
    again.advance(START)
    assert states(again) == states(world)
    assert again.unsaved_actions == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not JSON", "line 1 is no action of a merchant"),
        ('{"at": "2026-11-01T00:00:00+00:00"}', "line 1 is no action of a merchant"),
        (
            '{"at": "2026-11-01T00:00:00+00:00", "order": 1, "state": 2, "sku": null}',
            "line 1: this world has no order 1",
        ),
    ],
)
def test_an_action_that_can_not_be_replayed_is_named(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "actions.jsonl"
    file.write_text(text + "\n")
    with pytest.raises(ValueError, match=reason):
        a_world().replay_actions(file)
