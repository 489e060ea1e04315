"""`orders-sync stock held`: what was cancelled after its label is listed, and settled by who knows where it is."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run

REASON = ("--reason", "looked")


@pytest.fixture
def cancelled(shop: Marketplace, tmp_path: Path, connection: Connection) -> Marketplace:
    """An order of three of six phones has a label from a pass of `incomplete`, and is refunded before the shipping."""
    file = tmp_path / "stock.csv"
    file.write_text("sku,on_hand\nPHONE,6\n")
    an_order(shop, 1, quantity=3)
    run("stock", "import", str(file), "--counted-at", (shop.now() - timedelta(hours=1)).isoformat())
    run("sync", "--type", "new")
    run("stock", "apply")
    shop.set_states(1, 3, 2)
    shop.pass_time(minutes=1)
    run("sync", "--type", "modified")
    shop.change(1, _deliveries=[{"order": 1, "labelUrl": "/static/1.pdf"}])
    run("sync", "--type", "incomplete")
    shop.pass_time(minutes=1)
    shop.set_states(1, 9, 5)
    run("sync", "--type", "modified")
    run("stock", "apply")
    return shop


def said(*arguments: str) -> str:
    result = run("stock", *arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.usefixtures("cancelled")
def test_held_pieces_are_listed_and_settled() -> None:
    (row,) = json.loads(said("held", "--json"))
    assert (row["order_id"], row["item_id"], row["sku"], row["held"]) == ("1", "100", "PHONE", 3)
    assert row["since"]
    assert "6 on hand, 3 reserved (3 held), 0 short" in said("explain", "PHONE")
    assert [level["held"] for level in json.loads(said("levels", "--json"))] == [3]
    text = said("held", "has-left", "shop", "100", "1", *REASON)
    assert text == "1 pieces of item 100 have left. 1 locks are now held."
    text = said("held", "still-here", "shop", "100", *REASON)
    assert text == "2 pieces of item 100 are released. 1 locks are now consumed."
    assert json.loads(said("held", "--json")) == []
    assert "5 on hand, 0 reserved, 0 short" in said("explain", "PHONE")
    again = run("stock", "held", "still-here", "shop", "100", *REASON)
    assert (again.exit_code, "No piece of the item 100 is held." in again.output) == (1, True)


@pytest.mark.usefixtures("cancelled")
def test_the_time_at_which_they_left_is_in_the_past() -> None:
    refused = run("stock", "held", "has-left", "shop", "100", "--at", "2999-01-01", *REASON)
    assert (refused.exit_code, "--at is '2999-01-01', which is in the future" in refused.output) == (1, True)
    said("held", "has-left", "shop", "100", "--at", "2026-01-01T08:00", *REASON)
    assert "6 on hand, 0 reserved" in said("explain", "PHONE"), "they left before the shelf was counted"
