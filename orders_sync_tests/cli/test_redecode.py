"""`orders-sync redecode` and `orders-sync sync --order`."""

import json

from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


def test_differences_are_shown_and_stored_only_with_yes(shop: Marketplace, connection: Connection) -> None:
    for number in (1, 2):
        an_order(shop, number)
    assert run("sync", "--type", "new").exit_code == 0
    assert "0 orders and 0 care records differ" in run("redecode", "--account", "shop").output
    connection.execute("UPDATE orders SET currency = 'USD', shipping_city = 'Lyon'")
    shown = run("redecode", "--account", "shop")
    assert shown.exit_code == 0, shown.output
    assert "2 orders and 0 care records were decoded again" in shown.output
    assert "Nothing is stored: --yes stores the differences." in shown.output
    listed = json.loads(run("redecode", "--account", "shop", "--list", "--json").output)
    assert [tuple(row.values()) for row in listed[:2]] == [
        ("order", "1", "", "currency", "USD", "EUR"),
        ("order", "1", "", "shipping_city", "(not shown)", "(not shown)"),
    ]
    grouped = json.loads(run("redecode", "--account", "shop", "--json").output)
    assert [(row["field"], row["differences"], row["example"]) for row in grouped] == [
        ("currency", 2, "1"),
        ("shipping_city", 2, "1"),
    ]
    assert connection.execute("SELECT DISTINCT currency FROM orders").fetchall() == [("USD",)]
    assert "are stored, and 0 events are written" in run("redecode", "--account", "shop", "--yes").output
    assert connection.execute("SELECT DISTINCT currency FROM orders").fetchall() == [("EUR",)]


def test_one_order_is_fetched_by_its_id(shop: Marketplace, connection: Connection) -> None:
    an_order(shop, 4711)
    result = run("sync", "--order", "4711", "--account", "shop")
    assert result.exit_code == 0, result.output
    assert "shop, order 4711" in result.output
    assert connection.execute("SELECT order_id FROM orders").fetchall() == [("4711",)]
    an_order(shop, 4712, orderlines=[])
    rejected = run("sync", "--order", "4712", "--account", "shop")
    assert rejected.exit_code == 1
    assert "order 4712 rejected: items are missing" in rejected.output
    assert "account shop has no order 7" in run("sync", "--order", "7", "--account", "shop").output
    with hold(Lane("shop", SyncType.NEW), "other"):
        assert run("sync", "--order", "4711", "--account", "shop").exit_code == 3


def test_an_order_and_a_type_exclude_each_other(shop: Marketplace) -> None:
    for arguments, expected in (
        ([], "Name either a sync by --type, or an order by --order."),
        (["--order", "1", "--type", "new"], "Name either a sync by --type, or an order by --order."),
        (["--order", "1"], "--order needs one --account."),
        (["--order", "1", "--account", "shop", "--since", "2026-01-01"], "goes with --account, --reread and --wait"),
    ):
        result = run("sync", *arguments)
        assert (result.exit_code, expected in result.output) == (2, True), result.output
