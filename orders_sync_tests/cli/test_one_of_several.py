"""What fails at one account stops no other, and is reported at once; each record counts once."""

import json
import time
from pathlib import Path

import pytest

from orders_sync.cli.sync import grouped_problems
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.deployment import free_port
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run
from orders_sync_tests.hostile_texts import MARKUP


def test_rejected_records_of_the_other_accounts_are_tried_again(
    shop: Marketplace, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orders_sync.passes.hold_lane.hold_lane.__kwdefaults__", {"wait_seconds": 0.1})
    for name in ("busy", "idle", "zoo"):
        add_account(tmp_path, shop, name)
    add_account(tmp_path, shop, "down", base_url=f"http://127.0.0.1:{free_port()}")
    add_account(tmp_path, shop, "idle", token="NOT_SET_TOKEN")  # it has nothing to retry: nobody needs its credential
    good = an_order(shop, 1)
    shop.put({**good, "orderlines": []})
    run("sync", "--type", "new", "--account", "zoo", "--account", "busy")
    connection.execute(
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) VALUES ('down', 'order', '1', '{}', '[]')"
    )
    shop.put(good)
    with hold(Lane("busy", SyncType.NEW), "another"):
        result = run("rejected", "retry")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "idle: 0 passed, 0 still rejected.", "shop: 0 passed, 0 still rejected.", "zoo: 1 passed, 0 still rejected.",
    ]  # fmt: skip
    errors = " ".join(result.stderr.split())
    assert "busy: Lane busy/new is busy: " in errors
    assert "down: " in errors
    assert "127.0.0.1" in errors


def test_status_counts_each_rejected_record_once(shop: Marketplace, connection: Connection, tmp_path: Path) -> None:
    connection.execute(
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) VALUES ('shop', 'order', '1', '{}', '[]'),"
        " ('shop', 'order', '2', '{}', '[]'), ('shop', 'care', '1', '{}', '[]')"
    )
    lanes = json.loads(run("status", "--json").output)
    assert {lane["sync_type"]: lane["rejected"] for lane in lanes} == {
        "new": 2,
        "modified": 0,
        "care": 1,
        "incomplete": 0,
    }
    add_account(tmp_path, shop, "shop", syncs={"new": False, "care": False})
    lanes = json.loads(run("status", "--json").output)
    assert {lane["sync_type"]: lane["rejected"] for lane in lanes} == {"modified": 3, "incomplete": 0}


def test_a_marketplace_that_is_down_is_reported_at_once(shop: Marketplace, tmp_path: Path) -> None:
    add_account(tmp_path, shop, "down", base_url=f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    result = run("accounts", "check", "down", "shop")
    assert time.monotonic() - began < 5
    assert result.exit_code == 1
    assert result.stderr.startswith("down, GET /ws/orders: ")
    assert result.stdout.count("not tried: the marketplace answers no call now") == 2
    found = json.loads(run("accounts", "check", "shop", "--json").stdout)
    assert [(each["account"], each["works"]) for each in found] == [("shop", True)] * 3
    shop.fault("status", status=500, path="/ws/sav", times=1)
    assert "500" in run("accounts", "check", "shop").stderr, "it is tried once, and would work the second time"


def test_a_sync_groups_what_it_rejected_by_reason(shop: Marketplace) -> None:
    for number in range(1, 9):
        an_order(shop, number, orderlines=[])
    good = an_order(shop, 9)
    shop.put({**good, "orderlines": [{**good["orderlines"][0], "listing": ""}]})
    result = run("sync", "--type", "new")
    lines = result.stderr.splitlines()
    assert "shop/new: 8 records rejected: items are missing, and the order is not stored yet: " in lines[0]
    assert lines[0].endswith(" and 3 more")
    assert lines[1].startswith("shop/new: order 9 rejected: items[0].sku is missing")
    assert len(lines) == 2


def test_equal_problems_are_one_line() -> None:
    problems = [
        "order 1 rejected: items[0].sku is missing", "order 10 rejected: items[1].sku is missing", "a clock is ahead",
        "care record 7 put off: 404", "order 2 rejected: created_at can't be read as a time: 'x'", "a clock is ahead",
    ]  # fmt: skip
    assert grouped_problems(problems) == [
        "2 records rejected: items[].sku is missing: order 1, order 10", "a clock is ahead", "care record 7 put off: 404",
        "order 2 rejected: created_at can't be read as a time: 'x'",
    ]  # fmt: skip


def test_an_order_id_shows_its_items_and_how_long_they_wait(shop: Marketplace, connection: Connection) -> None:
    an_order(shop, 4711, skus=("PHONE", "CASE"))
    run("sync", "--type", "new")
    connection.execute("UPDATE order_events SET recorded_at = now() - interval '6 minutes'")
    result = run("stock", "explain", "4711")
    assert result.exit_code == 0
    assert "Order items" in result.output
    for item in json.loads(run("stock", "explain", "4711", "--json").output)["items"]:
        assert f"Item {item['item_id']} of order 4711: waits since 6 min." in result.output


def test_brackets_in_what_a_marketplace_says_are_shown(shop: Marketplace) -> None:
    """rich would take them for markup, and end with a traceback at one that closes nothing."""
    an_order(shop, 1, skus=(f"[refurb] {MARKUP}",), currency="[/x]")
    an_order(shop, 2, orderlines=[], date_creation="[/x] [red]")
    for command in (("sync", "--type", "new"), ("stock", "apply"), ("stock", "levels"), ("stock", "levels", "--short")):
        assert run(*command).exit_code == 0, command
    assert "[refurb]" in run("stock", "explain", "1").output
    body = '{"error": {"code": "[/x]", "message": "[/x] \\u001b[2J"}}'
    shop.fault("status", status=400, times=0, body=body)
    for command in (("sync", "--type", "new"), ("accounts", "check"), ("status",), ("rejected", "list"), ("doctor",)):
        result = run(*command)
        assert isinstance(result.exception, SystemExit | None), (command, result.exception)
        assert "\x1b" not in result.output


def test_a_problem_with_brackets_and_control_characters_is_shown_in_status(
    shop: Marketplace, connection: Connection
) -> None:
    run("sync", "--type", "new")
    connection.execute("UPDATE lanes SET last_outcome = 'failed', last_problem = 'it says [/x] [red] \x1b[2J'")
    for command in (("status",), ("doctor",)):
        assert "it says [/x] [red] ^[[2J" in " ".join(run(*command).output.split())


def test_a_line_that_was_given_up_and_then_answered_by_hand_is_no_trouble(
    shop: Marketplace, connection: Connection
) -> None:
    """Five requests were in vain; a person accepted it in the back office, and it has shipped since."""
    an_order(shop, 1, state=1, line_state=1)
    run("sync", "--type", "new")
    connection.execute(
        "INSERT INTO acceptances (account, order_id, sku, item_id, state, request) "
        "SELECT 'shop', '1', 'PHONE', '100', 'refused', '{}' "
        "FROM generate_series(1, 5)"
    )

    def wrong() -> list[str]:
        return [each.kind for each in EXAMINATIONS["waiting orderlines"]() if not each.ok]

    assert wrong() == ["lines given up"]
    shop.pass_time(minutes=1)
    shop.set_states(1, 9, 3)
    run("sync", "--type", "modified")
    run("stock", "apply")
    assert wrong() == []
