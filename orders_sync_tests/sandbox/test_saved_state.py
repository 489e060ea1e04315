"""A sandbox continues where the last one stopped, also from files that an earlier version saved."""

import json
from pathlib import Path

import pytest

from orders_sync.sandbox.entities import ACCEPTED, SHIPPED
from orders_sync.sandbox.saved_state import SavedStateError
from orders_sync.sandbox.server import Sandbox, open_sandbox

TOKENS = {"back_market": "t", "refurbed": "r", "mirakl": "m"}


def opened(folder: Path, orders: int = 400) -> Sandbox:
    return open_sandbox(folder, tokens=TOKENS, orders=orders, days=5)


def accept_an_order(folder: Path) -> int:
    """Starts a sandbox, accepts an order that waits, and returns the order's id."""
    marketplace = opened(folder).marketplaces["back_market"]
    waiting = next(order for order in marketplace.listed() if order["state"] == 1)
    sku = waiting["orderlines"][0]["listing"]
    assert marketplace.world.merchant_sets(waiting["order_id"], ACCEPTED, sku, marketplace.clock.now()) is None
    marketplace.save_actions()
    return int(waiting["order_id"])


def is_accepted(sandbox: Sandbox, order_id: int) -> bool:
    return sandbox.marketplaces["back_market"].world.orders[order_id].lines[0].state in (ACCEPTED, SHIPPED)


def test_it_continues_where_it_stopped(tmp_path: Path) -> None:
    order_id = accept_an_order(tmp_path)
    again = opened(tmp_path, orders=1)
    assert len(again.marketplaces["back_market"].world.orders) >= 400
    assert is_accepted(again, order_id)


def test_it_reads_what_version_0_1_saved(tmp_path: Path) -> None:
    order_id = accept_an_order(tmp_path)
    settings = json.loads((tmp_path / "world.json").read_text())
    settings["arrivals_a_day"] = settings.pop("arrivals_per_day")
    (tmp_path / "world.json").write_text(json.dumps(settings))
    folder = tmp_path / "back_market"
    (folder / "merchant_actions.jsonl").rename(folder / "deeds.jsonl")
    assert is_accepted(opened(tmp_path, orders=1), order_id)
    assert [file.name for file in folder.iterdir()] == ["merchant_actions.jsonl"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"seed": 1}', '{"seed": 1, "orders": 1, "days": 1, "arrivals_per_day": 1, "start": "yesterday"}'],
)
def test_unusable_settings_are_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "world.json").write_text(content)
    with pytest.raises(SavedStateError) as caught:
        opened(tmp_path)
    assert str(tmp_path / "world.json") in str(caught.value)
    assert f"Delete the folder {tmp_path} to start with a new world" in str(caught.value)


def test_an_unusable_action_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    accept_an_order(tmp_path)
    file = tmp_path / "back_market" / "merchant_actions.jsonl"
    file.write_text(file.read_text() + '{"at": "2026-')
    with pytest.raises(SavedStateError) as caught:
        opened(tmp_path)
    assert f"{file}: the sandbox's saved state can't be used: line 2 is no action" in str(caught.value)
    assert f"Delete the folder {tmp_path} to" in str(caught.value)
