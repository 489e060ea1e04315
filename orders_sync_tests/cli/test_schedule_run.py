"""`orders-sync schedule run`, where no daemon runs: what a daemon does beside the syncs is done as well."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orders_sync.cli import housekeeping
from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.row_faults import reject_row
from orders_sync_tests.cli.command_line import add_account, run


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(folder))
    return folder


def last_done(state: Path, at: datetime) -> None:
    """The work of the night was done last at this time."""
    folder = state / "schedule_run"
    folder.mkdir(exist_ok=True)
    for name in housekeeping.NIGHTLY:
        (folder / name).write_text(at.isoformat())


def test_order_events_are_applied(shop: Marketplace, connection: Connection) -> None:
    run("stock", "adjust", "--reason", "found", "PHONE", "5")
    an_order(shop, 1)
    result = run("schedule", "run")
    assert result.exit_code == 0, result.output
    assert "1 order events applied." in result.output
    assert connection.execute("SELECT state FROM stock_locks").fetchall() == [("locked",)]
    assert "Nothing is due." in run("schedule", "run").output


def test_an_event_that_can_not_be_applied_is_exit_code_1_and_stops_nothing(
    shop: Marketplace, connection: Connection, state: Path
) -> None:
    last_done(state, datetime.now(UTC) - timedelta(days=2))
    reject_row(connection, "stock_locks", "sku", "PHONE")
    an_order(shop, 1)
    result = run("schedule", "run")
    assert result.exit_code == 1
    assert "1 order events failed." in result.stderr
    assert "Retention: " in result.stdout
    assert "Pruning: " in result.stdout


def test_retention_and_pruning_run_once_a_night(
    shop: Marketplace, connection: Connection, tmp_path: Path, state: Path
) -> None:
    add_account(tmp_path, shop, "shop", retention_days=30)
    an_order(shop, 1)
    run("schedule", "run")
    connection.execute(
        "UPDATE orders SET created_at = now() - interval '90 days', modified_at = now() - interval '90 days'"
    )
    connection.execute(
        "INSERT INTO error_answers (account, sync_type, run_id, method, path, status, headers, body, body_bytes, times, "
        "answered_at) VALUES ('shop', 'new', 'r', 'GET', '/', 500, '{}', 'Ada', 3, 1, now() - interval '1000 days')"
    )
    assert "Retention" not in run("schedule", "run").output, "the first night is that to come"
    last_done(state, datetime.now(UTC) - timedelta(days=2))
    assert "Due: retention, pruning" in run("schedule", "run", "--dry-run").output
    result = run("schedule", "run")
    assert result.exit_code == 0, result.output
    assert "Retention: buyers' data of 1 orders blanked." in result.output
    assert "Pruning: " in result.output
    assert connection.execute("SELECT count(*) FROM error_answers").fetchone() == (0,)
    assert "Nothing is due." in run("schedule", "run").output


def test_examinations_are_evaluated_but_those_of_a_daemon(shop: Marketplace, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) VALUES ('shop', 'order', '1', '{}', '[]')"
    )
    run("schedule", "run")
    found = [row["what"] for row in json.loads(run("alerts", "list", "--json").output)]
    assert found == ["1 rejected records"] or any("1 rejected records" in what for what in found), found
    assert not any("daemon" in what for what in found)


def test_schedules_that_can_not_be_read_are_reported_and_the_last_valid_ones_run(
    shop: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orders_sync.config import schedules

    file = tmp_path / "schedules.yaml"
    file.write_text("attributes: [")
    monkeypatch.setattr(schedules, "schedules_file", lambda: file)
    result = run("schedule", "run")
    assert result.exit_code == 1
    assert "is not readable YAML" in result.stderr
    assert "shop/new: 0 created" in result.stdout
