"""`orders-sync stock receive`, `put-away` and `received`: what came back goes through quarantine to the shelf."""

import json
from pathlib import Path

import pytest

from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run, ship_and_return

REASON = ("--reason", "opened")


@pytest.fixture
def returned(shop: Marketplace, tmp_path: Path) -> Marketplace:
    """Two of six phones have shipped for an item, and the care record 900 is about it; four are on hand."""
    ship_and_return(shop, tmp_path, "PHONE,6\nPHONE-B,0", quantity=2)
    return shop


def listed(*options: str) -> list[dict[str, object]]:
    return json.loads(run("stock", "received", "--json", *options).output)


def said(*arguments: str) -> str:
    result = run("stock", *arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.usefixtures("returned")
def test_pieces_are_received_and_put_away_each_by_itself() -> None:
    unknown = run("stock", "receive", "900", *REASON)
    assert (unknown.exit_code, "does not say how many pieces of the items 100" in unknown.output) == (1, True)
    assert "Receipt 1: 2 pieces of SKU PHONE of item 100 are in quarantine." in said(
        "receive", "shop/900", "100", "2", *REASON
    )
    assert "4 on hand, 0 reserved, 0 short, 2 in quarantine" in said("explain", "PHONE")
    assert [level["quarantine"] for level in json.loads(said("levels", "--json"))] == [2, 0]
    (receipt,) = listed()
    assert (receipt["care_id"], receipt["care_state"], receipt["quarantine"]) == ("900", "open", 2)
    assert receipt["reason"] == "opened"
    assert "1 pieces are on hand as SKU PHONE-B." in said("put-away", "1", "1", "--sku", "PHONE-B", *REASON)
    assert "1 pieces of SKU PHONE were scrapped." in said("put-away", "1", "--scrap", *REASON)
    again = run("stock", "put-away", "1", "--same-sku", *REASON)
    assert (again.exit_code, "were put away already" in again.output) == (1, True)
    assert listed() == []
    (receipt,) = listed("--all")
    assert (receipt["shelved"], receipt["scrapped"], receipt["shelved_as"]) == (1, 1, "PHONE-B")
    assert "Received pieces" in said("explain", "100")


def test_what_a_receipt_does_to_locks_is_shown(returned: Marketplace) -> None:
    """The item's lock is consumed only now: its shipment was stored, and the stock job has yet to look at it."""
    an_order(returned, 2)
    returned.set_states(2, 9, 3)
    returned.put_folder(901, 200, None)
    run("sync", "--type", "new")
    run("sync", "--type", "care")
    assert "1 locks are now consumed." in said("receive", "901", "200", "1", *REASON)
    assert "consumed" not in said("receive", "900", "100", "1", *REASON)


@pytest.mark.usefixtures("returned")
def test_where_pieces_go_is_named_once() -> None:
    said("receive", "900", "100", "1", *REASON)
    for options in ((), ("--same-sku", "--scrap"), ("--sku", "PHONE-B", "--scrap")):
        refused = run("stock", "put-away", "1", *options, *REASON)
        assert (refused.exit_code, "Name one of --same-sku, --sku and --scrap." in refused.output) == (2, True)
    assert listed()[0]["quarantine"] == 1
