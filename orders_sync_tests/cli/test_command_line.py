"""`orders-sync` on the command line, as a user and as scripts use it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orders_sync.cli import main
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace, an_order


@pytest.fixture
def shop(marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Marketplace:
    """The accounts folder of the command line: one account, at the empty marketplace."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "defs.yaml").write_text(
        "type: orders_sync.components.account.Account\nattributes:\n  marketplace: back_market\n"
        f"  base_url: {marketplace.url}\n  token: BACK_MARKET_SANDBOX_TOKEN\n  limits: {{enforced: false}}\n"
    )
    monkeypatch.setattr("orders_sync.marketplaces.kit.accounts.accounts_folder", lambda: tmp_path)
    return marketplace


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=True)


def test_a_sync_prints_a_summary(shop: Marketplace) -> None:
    an_order(shop, 1)
    result = run("sync", "--type", "new", "--page-size", "20")
    assert result.exit_code == 0, result.output
    assert "shop/new" in result.output
    assert "created" in result.output
    assert [shop.sandbox.seen["GET /ws/orders"]] == [2]  # what waits, and one page


def test_a_range_that_ends_before_it_begins_is_wrong_usage(shop: Marketplace) -> None:
    wrong = run("sync", "--type", "new", "--since", "2026-02-01", "--until", "2026-01-01")
    assert wrong.exit_code == 2
    assert "--since 2026-02-01 00:00 must lie before --until 2026-01-01 00:00" in wrong.output


def test_all_syncs_run_in_their_order(shop: Marketplace, connection: Connection) -> None:
    assert run("sync", "--type", "all", "--days-back", "5").exit_code == 0
    rows = connection.execute("SELECT sync_type FROM lane_runs ORDER BY lane_run_id").fetchall()
    assert [row[0] for row in rows] == ["new", "modified", "care", "incomplete"]


def test_a_fatal_error_is_exit_code_1_and_one_bad_order_is_not(shop: Marketplace) -> None:
    an_order(shop, 1, currency="???")
    result = run("sync", "--type", "new")
    assert result.exit_code == 0
    assert "order 1 rejected: currency is '???'" in result.output
    shop.fault("status", status=401, times=0)
    result = run("sync", "--type", "new")
    assert result.exit_code == 1
    assert "the credential is wrong" in result.output


def test_a_busy_lane_is_exit_code_3(shop: Marketplace) -> None:
    with hold(Lane("shop", SyncType.NEW), "other"):
        result = run("sync", "--type", "new")
    assert result.exit_code == 3
    assert "Lane shop/new is busy" in result.output


def test_what_is_due_is_run_once(shop: Marketplace, connection: Connection) -> None:
    assert "Due: shop/new, shop/modified, shop/care, shop/incomplete" in run("schedule", "run", "--dry-run").output
    assert run("schedule", "run").exit_code == 0
    assert "Nothing is due." in run("schedule", "run").output


def test_the_schedules_are_listed_with_next_and_last_ticks(shop: Marketplace) -> None:
    output = run("schedule", "list").output
    for text in ("0 6-22/2 * * *", "0 2 * * *", "0 */4 * * *", "next tick", "last tick", "never ran"):
        assert text in output


def test_status_tells_each_lane_also_to_scripts(shop: Marketplace) -> None:
    run("sync", "--type", "new")
    assert "shop/new" in run("status").output
    rows = json.loads(run("status", "--json").output)
    assert [row["sync_type"] for row in rows] == ["new", "modified", "care", "incomplete"]
    assert rows[0]["last_outcome"] == "succeeded"
    assert rows[0]["lag_seconds"] < 600


def test_the_log_tells_each_run(shop: Marketplace) -> None:
    run("sync", "--type", "new")
    output = run("log", "--grep", "shop/new", "-n", "1").output
    assert "OrderSync shop/new: run cli-" in output


def test_rejected_records_are_listed_shown_and_tried_again(shop: Marketplace) -> None:
    good = an_order(shop, 1)
    shop.put({**good, "currency": "???"})
    run("sync", "--type", "new")
    assert "currency: is '???' (an ISO 4217 code, e.g. EUR)" in run("rejected", "list").output
    assert '"order_id": 1' in run("rejected", "show", "shop", "1").output
    assert "0 passed, 1 still rejected" in run("rejected", "retry").output
    shop.put({**good, "currency": "USD"})
    assert "1 passed, 0 still rejected" in run("rejected", "retry").output
    assert "No rejected records" in run("rejected", "list").output


def test_stock_is_imported_applied_and_explained(shop: Marketplace, tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("sku,on_hand\nPHONE,1\n")
    assert "1 SKUs imported" in run("stock", "import", str(file)).output
    an_order(shop, 1)
    an_order(shop, 2)
    run("sync", "--type", "new")
    assert "1 locked, 1 short" in run("stock", "apply").output
    output = run("stock", "explain", "PHONE").output
    assert "1 on hand, 1 reserved, 1 locks short" in output
    assert "no lock → locked" in output
    assert "OrderCreated accepted" in output
    assert "PHONE" in run("stock", "levels", "--short").output
    assert run("stock", "explain", "NOBODY").exit_code == 1
    file.write_text("sku,on_hand\nPHONE,many\n")
    wrong = run("stock", "import", str(file))
    assert wrong.exit_code == 1
    assert "line 2: on_hand of SKU PHONE is 'many'" in wrong.output


def test_accounts_are_listed_and_checked(shop: Marketplace, tmp_path: Path) -> None:
    assert run("accounts", "list").exit_code == 0
    checked = run("accounts", "check")
    assert checked.exit_code == 0
    for endpoint in ("GET /ws/orders", "GET /ws/sav", "GET /ws/shipping/v1/deliveries"):
        assert re.search(rf"shop.*{endpoint} .*yes", checked.output), checked.output
    assert shop.calls() == 3
    shop.fault("status", path="/ws/sav", status=403, times=1)
    checked = run("accounts", "check", "shop")
    assert checked.exit_code == 1
    assert re.search(r"GET /ws/sav .*no .*lacks a right", checked.output), checked.output
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "defs.yaml").write_text("type: orders_sync.components.account.Account\nattributes: {}\n")
    result = run("accounts", "list")
    assert result.exit_code == 1
    assert "bad/defs.yaml: marketplace: is missing" in result.output.replace("\n", "")


def test_an_unknown_account_is_told_with_the_known_ones(shop: Marketplace) -> None:
    result = run("sync", "--type", "new", "--account", "shoop")
    assert result.exit_code == 1
    assert "There is no account 'shoop'. Accounts: shop." in result.output


def test_a_database_that_does_not_answer_is_told_without_its_password(
    shop: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/orders")
    result = run("status")
    assert result.exit_code == 1
    assert "does not answer" in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(
    "command", ["sync", "schedule", "status", "log", "doctor", "rejected", "stock", "accounts", "up"]
)
def test_every_command_has_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert len(result.output) > 100
