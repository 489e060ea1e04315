"""`orders-sync explain`: the whole history of an order."""

import json

from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run

ADDRESS = {"first_name": "Victor", "last_name": "Hugo", "street": "Place des Vosges"}


def test_the_history_of_an_order_is_shown_without_buyers_data(shop: Marketplace) -> None:
    an_order(shop, 1, skus=("[b]PHONE", "CASE"), shipping_address=ADDRESS)
    run("sync", "--type", "new")
    for name in ("1", "100", "shop/1", "shop/100"):
        shown = run("explain", name)
        assert shown.exit_code == 0
        assert "stored for the first time" in shown.output
        assert "event OrderCreated: accepted" in shown.output
        assert "Now accepted: 1 × [b]PHONE no lock, 1 × CASE no lock" in shown.output
        assert not any(each in shown.output for each in ("Victor", "Hugo", "Vosges"))
    entries = json.loads(run("explain", "1", "--json").output)
    assert {entry["source"] for entry in entries} >= {"order", "event"}
    assert all(entry["at"].endswith("+00:00") for entry in entries)


def test_an_order_that_was_only_ever_rejected_has_a_history(shop: Marketplace) -> None:
    an_order(shop, 7, skus=("",))
    run("sync", "--type", "new")
    shown = run("explain", "7")
    assert (shown.exit_code, "This order is not stored." in shown.output) == (0, True)
    assert "rejected" in shown.output


def test_a_name_of_no_order_or_of_several_is_an_error(shop: Marketplace) -> None:
    an_order(shop, 1, skus=("A",))
    an_order(shop, 100)
    run("sync", "--type", "new")
    several = run("explain", "100")
    assert (several.exit_code, "shop/1, shop/100" in several.output) == (1, True)
    assert "or by ACCOUNT/ID; nothing was given." in run("explain", " ").output
    for name in ("nothing", "other/1", "\x1b[2J"):
        unknown = run("explain", name)
        assert (unknown.exit_code, "No order is named" in unknown.output) == (1, True)
        assert "\x1b[2J" not in unknown.output
