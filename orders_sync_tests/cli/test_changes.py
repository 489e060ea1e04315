"""`orders-sync changes`."""

import json

from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


def test_the_changes_of_an_order_are_shown(shop: Marketplace) -> None:
    an_order(shop, 1, state=1, line_state=1)
    run("sync", "--type", "new")
    assert "Order 1 has not changed since it was first stored" in run("changes", "shop", "1").output
    shop.pass_time(minutes=1)
    shop.set_states(1, 3, 2)
    shop.change(1, shipping_address={"city": "Lyon"})
    run("sync", "--type", "modified")
    result = run("changes", "shop", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert {
        (row["item"], row["field"], row["before"], row["after"]) for row in found if row["field"] != "modified_at"
    } == {
        ("", "marketplace_state", "1", "3"),
        ("", "shipping_city", "(not kept)", "(not kept)"),
        ("", "status", "pending", "accepted"),
        ("100", "marketplace_state", "1", "2"),
        ("100", "status", "pending", "accepted"),
    }
    assert {(row["revision"], row["by"], row["run"][:4]) for row in found} == {(2, "modified", "cli-")}
    assert "Lyon" not in run("changes", "shop", "1").output


def test_an_unknown_order_or_account_is_an_error(shop: Marketplace) -> None:
    an_order(shop, 1)
    run("sync", "--type", "new")
    assert (run("changes", "shop", "2").exit_code, run("changes", "shpo", "1").exit_code) == (1, 1)
    assert "Account shop has no order 2." in run("changes", "shop", "2").output
