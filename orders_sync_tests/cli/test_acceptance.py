"""`orders-sync acceptance`: the hours that are left, what will be refused when, and holding it back."""

import json
from datetime import timedelta
from pathlib import Path

from orders_sync.database.engine import Connection
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.deployment import write_account
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run

SETTINGS = {"accept_orderlines": True, "when_short": {"refuse_after": "20h"}, "acceptance_deadline": "24h"}


def a_short_order(shop: Marketplace, connection: Connection, tmp_path: Path, **settings: object) -> None:
    add_account(tmp_path, shop, "shop", **{**SETTINGS, **settings})
    import_levels(StockConnection(connection), {"PHONE": 0})
    an_order(shop, 1, state=1, line_state=1, age=timedelta(hours=2))
    run("sync", "--type", "new")


def test_waiting_lines_show_their_hours_and_what_happens_next(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    assert "No orderline waits for the merchant." in run("acceptance", "waiting").output
    a_short_order(shop, connection, tmp_path)
    (line,) = json.loads(run("acceptance", "waiting", "--json").stdout)
    assert (line["order"], line["item"], line["SKU"], line["in_time"]) == ("1", "100", "PHONE", "yes")
    assert 21.9 <= line["hours_left"] <= 22
    assert "refuses it, if it is still short" in line["what_happens"]
    shown = run("acceptance", "waiting", "--account", "shop").output
    assert "1 waiting orderlines" in shown
    assert "The next pass of `new` is at " in shown
    assert run("acceptance", "waiting", "--account", "typo").exit_code == 1


def test_lines_of_an_account_whose_file_has_an_error_stay_listed(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    a_short_order(shop, connection, tmp_path)
    write_account(tmp_path, "shop", {"marketplace": "none"})
    (line,) = json.loads(run("acceptance", "waiting", "--json").stdout)
    assert (line["order"], line["hours_left"], line["in_time"]) == ("1", None, None)
    assert "the account's file has an error, so that no pass answers it" in line["what_happens"]
    assert "The account files of shop have errors" in run("acceptance", "waiting").output


def test_lines_of_an_account_without_a_deadline_are_listed_with_a_hint(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    a_short_order(shop, connection, tmp_path, acceptance_deadline=None)
    (line,) = json.loads(run("acceptance", "waiting", "--json").stdout)
    assert (line["hours_left"], line["in_time"]) == (None, None)
    assert "Set an acceptance_deadline for shop: nothing warns before its lines run out." in (
        run("acceptance", "waiting").output
    )


def test_an_order_is_held_back_from_refusal_with_a_reason_and_let_go(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    a_short_order(shop, connection, tmp_path)
    held = run("acceptance", "hold-back", "shop", "1", "--reason", "a box is on its way")
    assert "No orderline of order 1 is refused until you undo this." in held.output
    assert "held back from refusal: a box is on its way" in run("acceptance", "waiting", "--csv").output
    undone = run("acceptance", "hold-back", "shop", "1", "--undo", "--reason", "it was lost")
    assert "The account's setting counts again for order 1." in undone.output
    assert "refuses it, if it is still short" in run("acceptance", "waiting", "--csv").output
    on_record = connection.execute("SELECT order_id, holds, reason FROM refusal_holds ORDER BY hold_id").fetchall()
    assert on_record == [("1", True, "a box is on its way"), ("1", False, "it was lost")]


def test_holding_back_what_is_not_there_or_without_a_reason_is_an_error(shop: Marketplace) -> None:
    missing = run("acceptance", "hold-back", "shop", "9", "--reason", "x")
    assert (missing.exit_code, missing.stderr) == (1, "Error: There is no order 9 in the account shop.\n")
    assert run("acceptance", "hold-back", "typo", "9", "--reason", "x").exit_code == 1
    assert run("acceptance", "hold-back", "shop", "9", "--reason", " ").exit_code == 1
