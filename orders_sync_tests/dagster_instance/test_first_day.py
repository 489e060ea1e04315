"""Where the partitions begin if the settings name no day: with what the first pass covered, and there they stay."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance import first_day as module
from orders_sync.dagster_instance.first_day import EARLIEST_DAY, FIRST_PASS_DAYS, first_day
from orders_sync.dagster_instance.lane_assets import days
from orders_sync.database.engine import Connection
from orders_sync.database.pruning import prune_rows
from orders_sync.marketplaces.kit import accounts
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS, environment, write_account
from orders_sync.testing.waiting import limit
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order

UNSET = ScheduleSettings()
CODE_SERVER = ["dagster", "api", "grpc"]
Load = Callable[[], date]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """The first day, as of a code server that is started now."""

    def loaded() -> date:
        module._first_covered_day.cache_clear()
        monkeypatch.setattr(sys, "argv", CODE_SERVER)
        return first_day(UNSET)

    yield loaded
    module._first_covered_day.cache_clear()


def before_first_pass(first_pass: datetime) -> date:
    return first_pass.astimezone(UTC).date() - timedelta(days=FIRST_PASS_DAYS)


def a_pass(connection: Connection, ago: timedelta) -> datetime:
    started_at = datetime.now(UTC) - ago
    connection.execute(
        "INSERT INTO lane_runs (account, sync_type, run_id, started_at, outcome) "
        "VALUES ('shop', 'new', 'r', %s, 'succeeded')",
        [started_at],
    )
    return started_at


def test_before_the_first_pass_it_is_the_first_day_that_it_would_cover(connection: Connection, load: Load) -> None:
    assert load() == before_first_pass(datetime.now(UTC))
    connection.execute("DROP TABLE lane_runs CASCADE")
    assert load() == before_first_pass(datetime.now(UTC)), "the schema is made later"


def test_it_stays_where_the_first_pass_began_also_when_old_passes_are_deleted(
    connection: Connection, load: Load
) -> None:
    first = a_pass(connection, timedelta(days=100))
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    connection.execute("UPDATE order_events SET recorded_at = %s", [first + timedelta(minutes=1)])
    for _ in range(2):
        assert load() == before_first_pass(first)
        a_pass(connection, timedelta(days=1))
        store_order(connection, StoredOrder("2", [StoredItem("200")]))
    prune_rows(connection, runs=timedelta(days=90), events=timedelta(days=1))
    assert connection.execute("SELECT FROM lane_runs WHERE started_at = %s", [first]).rowcount == 0
    assert load() == before_first_pass(first + timedelta(minutes=1))


def test_it_stays_while_the_code_server_runs(connection: Connection, load: Load) -> None:
    before = load()
    a_pass(connection, timedelta(days=30))
    assert first_day(UNSET) == before
    assert load() < before


def test_an_account_that_looks_back_further_begins_earlier(
    connection: Connection, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account(tmp_path, "shop", {**SANDBOX_ACCOUNTS["back_market_sandbox"], "months_back": 6})
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    assert load() == datetime.now(UTC).date() - timedelta(days=6 * 31 - 1)


def test_a_day_of_the_settings_counts_and_asks_nobody(monkeypatch: pytest.MonkeyPatch, load: Load) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me@127.0.0.1:1/orders")
    load()
    assert first_day(ScheduleSettings(partitions_start=date(2024, 2, 29))) == date(2024, 2, 29)


def test_without_an_answer_of_the_database_all_days_are_there(monkeypatch: pytest.MonkeyPatch, load: Load) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        for port in (1, silent.getsockname()[1]):
            monkeypatch.setenv("ORDERS_DATABASE_URL", f"postgresql://me@127.0.0.1:{port}/orders")
            began = time.monotonic()
            assert load() == EARLIEST_DAY
            assert time.monotonic() - began < limit(8)


def test_a_run_has_all_days_that_the_code_server_shows_and_asks_nobody(
    connection: Connection, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    shown = days(UNSET).get_partition_keys()
    monkeypatch.setattr(sys, "argv", ["dagster", "api", "execute_run"])
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me@127.0.0.1:1/orders")
    assert first_day(UNSET) == EARLIEST_DAY
    assert set(shown) <= set(days(UNSET).get_partition_keys())


PROGRAM = """
import multiprocessing, os
def first_key():
    from orders_sync.definitions import defs
    graph = defs().resolve_asset_graph()
    (key,) = (key for key in graph.get_all_asset_keys() if key.path == ["back_market_sandbox", "new_orders"])
    print(os.getpid(), graph.get(key).partitions_def.get_first_partition_key(), flush=True)
if __name__ == "__main__":
    first_key()
    run = multiprocessing.get_context("spawn").Process(target=first_key)
    run.start()
    run.join()
"""


def test_a_run_that_the_code_server_starts_is_no_code_server(
    connection: Connection, database_url: str, tmp_path: Path, project_of_the_tests: Path
) -> None:
    """Dagster's default launcher starts a run as a process that has the arguments of the code server."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    state = tmp_path / "state"
    shell = environment(
        PYTHONPATH=str(project_of_the_tests), ORDERS_DATABASE_URL=database_url, ORDERS_SYNC_STATE=str(state)
    )
    done = subprocess.run(
        [sys.executable, str(program), "api", "grpc"], env=shell, capture_output=True, text=True, timeout=limit(120)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    process, key, _, key_of_run = done.stdout.split()
    assert (key, key_of_run) == (str(before_first_pass(datetime.now(UTC))), str(EARLIEST_DAY))
    assert json.loads((state / "code_location.json").read_text())["pid"] == int(process)
