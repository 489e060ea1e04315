"""`orders-sync rejected`: what is listed, shown, tried again and dismissed."""

import json
from pathlib import Path

from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run


def test_rejected_records_are_listed_shown_and_tried_again(shop: Marketplace) -> None:
    good = an_order(shop, 1)
    shop.put({**good, "orderlines": []})
    run("sync", "--type", "new")
    reason = "items: are missing, and the order is not stored yet (one item or more)"
    assert reason in run("rejected", "list").output
    assert reason in run("rejected", "--list").output
    assert '"order_id": 1' in run("rejected", "show", "shop", "1").output
    assert "0 passed, 1 still rejected" in run("rejected", "retry").output
    shop.put(good)
    assert "1 passed, 0 still rejected" in run("rejected", "retry").output
    assert "No rejected records" in run("rejected").output


def put_rejected(shop: Marketplace) -> None:
    """Three orders without lines, two without a listing and one care record without an item."""
    for number in range(1, 6):
        order = an_order(shop, number, skus=("PHONE", "CASE"))
        lines = [] if number < 4 else [order["orderlines"][0], {**order["orderlines"][1], "listing": ""}]
        shop.put({**order, "orderlines": lines})
    shop.put_folder(900, 100)
    folder = shop.world.scripted_folders[900]
    folder["detail"] = {**folder["detail"], "orderline": None}
    run("sync", "--type", "new")
    run("sync", "--type", "care")


def test_rejected_records_are_grouped_by_reason_and_filtered(shop: Marketplace, tmp_path: Path) -> None:
    put_rejected(shop)
    add_account(tmp_path, shop, "another")
    groups = json.loads(run("rejected", "--json").output)
    assert [(g["kind"], g["reason"], g["records"]) for g in groups] == [
        ("order", "items: are missing, and the order is not stored yet", 3),
        ("order", "items[].sku: is missing", 2),
        ("care", "item_id: names no order item", 1),
    ]
    assert groups[1]["example"] in ("4", "5")
    assert "items[].sku: is missing" in run("rejected").output

    def ids(*options: str) -> list[str]:
        return [row["id"] for row in json.loads(run("rejected", "--list", "--json", *options).output)]

    assert ids() == ["900", "1", "2", "3", "4", "5"]
    assert ids("--kind", "care") == ["900"]
    assert ids("--reason", "SKU: is missing") == ["4", "5"]
    assert ids("--account", "another") == []
    lines = run("rejected", "--csv", "--reason", "sku").output.splitlines()
    assert lines[0] == "account,kind,reason,allowed,records,first,last,example"
    assert lines[1].startswith("shop,order,items[].sku: is missing,the SKU of the listing,2,2")
    assert run("rejected", "--json", "--csv").exit_code == 2
    assert run("rejected", "--reason", "sku", "retry").exit_code == 2  # it would retry all


def test_one_rejected_record_those_of_a_reason_or_all_are_tried_again(shop: Marketplace) -> None:
    put_rejected(shop)
    for number in range(1, 6):
        an_order(shop, number, skus=("PHONE", "CASE"))
    shop.put_folder(900, 100)
    assert "shop: 1 passed, 0 still rejected." in run("rejected", "retry", "shop", "4").output
    assert "shop: 3 passed, 0 still rejected." in run("rejected", "retry", "--reason", "items: are missing").output
    assert "shop: 1 passed, 0 still rejected." in run("rejected", "retry", "--kind", "care").output
    assert "shop: 1 passed, 0 still rejected." in run("rejected", "retry").output
    unknown = run("rejected", "retry", "shop", "4")
    assert unknown.exit_code == 1
    assert unknown.stderr == "Error: Account shop has no rejected record 4 that is not dismissed.\n"


def test_an_account_that_is_named_twice_is_tried_once(shop: Marketplace) -> None:
    put_rejected(shop)
    calls = shop.calls("GET /ws/orders/…")
    tried = run("rejected", "retry", "shop", "--account", "shop", "--account", "shop")
    assert tried.output == "shop: 0 passed, 6 still rejected.\n"
    assert shop.calls("GET /ws/orders/…") == calls + 5


def test_a_dismissed_record_rests_until_the_marketplace_changes_it(shop: Marketplace, connection: Connection) -> None:
    put_rejected(shop)
    for record_id in ("1", "900"):
        dismissed = run("rejected", "dismiss", "shop", record_id, "--reason", "a test order")
        assert dismissed.output == f"shop: {record_id} is dismissed.\n"
    again = run("rejected", "dismiss", "shop", "1", "--reason", "another reason")
    assert again.exit_code == 0
    assert "shop: 1 was dismissed already, by " in again.output
    assert "a test order. Nothing changes." in " ".join(again.output.split())
    row = connection.execute(
        "SELECT dismissed_by LIKE '%@%', dismissed_reason, dismissed_at <= now(), attempts FROM rejected_records "
        "WHERE record_id = '1'"
    ).fetchone()
    assert row == (True, "a test order", True, 1)
    assert "a test order" in run("rejected", "--list", "--dismissed").output
    assert run("rejected", "retry", "shop", "1").exit_code == 1
    assert run("rejected", "dismiss", "shop", "77", "--reason", "why").exit_code == 1
    assert "Missing option '--reason'" in run("rejected", "dismiss", "shop", "1").output
    again = run("sync", "--type", "new", "--reread").output + run("sync", "--type", "care", "--reread").output
    assert "2 records rejected: items are missing, and the order is not stored yet: order 2, order 3" in again
    assert "order 1" not in again
    assert "care record 900" not in again
    run("rejected", "retry")
    attempts = "SELECT attempts FROM rejected_records WHERE record_id IN ('1', '900')"
    assert connection.execute(attempts).fetchall() == [(1,), (1,)]
    shown = json.loads(run("rejected", "--list", "--json").output)
    assert [row["id"] for row in shown] == ["2", "3", "4", "5"]
    assert json.loads(run("status", "--json").output)[0]["rejected"] == 4
    shop.pass_time(minutes=5)
    shop.change(1, payment_method="PAYPAL")
    run("sync", "--type", "new")
    shown = json.loads(run("rejected", "--list", "--json").output)
    assert [(row["id"], row["dismissed_at"]) for row in shown[:1]] == [("1", None)]
    shop.change(1, orderlines=an_order(shop, 1)["orderlines"])
    run("rejected", "retry", "shop", "1")
    assert connection.execute("SELECT order_id FROM orders").fetchall() == [("1",)]


def test_a_record_that_is_not_rejected_can_not_be_shown(shop: Marketplace) -> None:
    result = run("rejected", "show", "shop", "7")
    assert result.exit_code == 1
    assert result.stderr == "Error: Account shop has no rejected record 7.\n"


def test_square_brackets_of_a_record_are_shown(shop: Marketplace) -> None:
    order = an_order(shop, 1)
    shop.put({**order, "orderlines": [{**order["orderlines"][0], "listing": None}]})
    run("sync", "--type", "new")
    assert "items[0].sku: is missing" in run("rejected", "list").output


def put_equal_ids(shop: Marketplace) -> None:
    """A rejected order and a rejected care record, both with the id 900."""
    order = an_order(shop, 900)
    shop.put({**order, "orderlines": []})
    shop.put_folder(900, 100)
    folder = shop.world.scripted_folders[900]
    folder["detail"] = {**folder["detail"], "orderline": None}
    run("sync", "--type", "new")
    run("sync", "--type", "care")


def test_of_an_order_and_a_care_record_with_the_same_id_the_kind_says_which_one_is_shown(shop: Marketplace) -> None:
    put_equal_ids(shop)
    both = run("rejected", "show", "shop", "900")
    assert both.exit_code == 1
    assert both.stderr == (
        "Error: Account shop has a rejected order 900 and a rejected care record 900: name one of them by --kind order "
        "or --kind care.\n"
    )
    assert '"order_id": 900' in run("rejected", "show", "shop", "900", "--kind", "order").output
    assert "names no order item" in run("rejected", "show", "shop", "900", "--kind", "care").output
    assert run("rejected", "show", "shop", "7", "--kind", "care").stderr == (
        "Error: Account shop has no rejected care record 7.\n"
    )


def test_of_an_order_and_a_care_record_with_the_same_id_only_one_is_dismissed(
    shop: Marketplace, connection: Connection
) -> None:
    put_equal_ids(shop)
    dismiss = ("rejected", "dismiss", "shop", "900", "--reason", "a test")
    assert "name one of them by --kind order or --kind care" in run(*dismiss).stderr
    dismissed = "SELECT kind FROM rejected_records WHERE dismissed_at IS NOT NULL"
    assert connection.execute(dismissed).fetchall() == []
    assert run(*dismiss, "--kind", "care").exit_code == 0
    assert connection.execute(dismissed).fetchall() == [("care",)]
    assert "no rejected care record 900 that is not dismissed" in (
        run("rejected", "retry", "shop", "900", "--kind", "care").stderr
    )


def test_records_with_different_unreadable_times_are_one_group(shop: Marketplace) -> None:
    for number, text in enumerate(("2026-02-30T10:00:00Z", "30.02.2026 11:00", "last year"), 1):
        an_order(shop, number, date_creation=text)
    run("sync", "--type", "new")
    groups = [(group["reason"], group["records"]) for group in json.loads(run("rejected", "--json").output)]
    assert groups == [("created_at: can't be read as a time", 3)]
    listed = run("rejected", "--list", "--json").output
    assert "created_at: can't be read as a time: '2026-02-30T10:00:00Z' (a time with zone)" in listed
    assert "last year" not in listed, "a text that looks like no time may be anything"
