"""`orders-sync daemon`: one Dagster daemon for all machines, with real daemons."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from orders_sync.cli import watchdog
from orders_sync.cli.daemon import LOCK, reason_to_end, wait_for_turn
from orders_sync.cli.watchdog import Watchdog
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect
from orders_sync.testing.databases import a_database
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.dagster_instance.dagster_sensors import store_sensor

WORKS = "This daemon works on the database now."
DAGSTER = "Instance is configured with the following daemons"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


@pytest.fixture
def dagster_url(template: str) -> Iterator[str]:
    """An empty database for Dagster."""
    with a_database(template, f"d_{uuid.uuid4().hex[:16]}") as url:
        yield url


class Daemon:
    """A daemon without code locations, as on a machine of its own."""

    def __init__(self, folder: Path, name: str, url: str) -> None:
        self._log = folder / f"{name}.log"
        (folder / "workspace.yaml").write_text("load_from: []\n")
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orders_sync.cli", "daemon", "-w", str(folder / "workspace.yaml")],
                cwd=PROJECT_ROOT, env=os.environ | {"DAGSTER_POSTGRES_URL": url}, stdout=log, stderr=log,
            )  # fmt: skip

    def log(self) -> str:
        return self._log.read_text()

    def says(self, words: str) -> bool:
        assert self.process.poll() is None, self.log()
        return words in self.log()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(limit(10))


def test_a_second_daemon_waits_and_takes_over_when_the_first_dies(tmp_path: Path, dagster_url: str) -> None:
    first = Daemon(tmp_path, "first", dagster_url)
    started = [first]
    try:
        wait_for(lambda: first.says(DAGSTER), seconds=60, what="the first daemon")
        second = Daemon(tmp_path, "second", dagster_url)
        started.append(second)
        wait_for(lambda: second.says("Another daemon works on the database: orders_sync daemon on"), seconds=60)
        time.sleep(3)
        assert not second.says(WORKS)
        first.kill()
        killed_at = time.monotonic()
        wait_for(lambda: second.says(DAGSTER), seconds=30, what="the second daemon")
        print(f"taken over after {time.monotonic() - killed_at:.1f} s")
        second.process.send_signal(signal.SIGINT)
        second.process.wait(limit(60))
        with connect(dagster_url) as connection:
            wait_for(lambda: not advisory_locks.is_held(connection, LOCK), seconds=10)
    finally:
        for daemon in started:
            daemon.kill()


def test_a_daemon_that_loses_its_connection_ends_so_that_there_are_never_two(tmp_path: Path, dagster_url: str) -> None:
    daemon = Daemon(tmp_path, "daemon", dagster_url)
    try:
        wait_for(lambda: daemon.says(DAGSTER), seconds=60, what="the daemon")
        with connect(dagster_url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'orders_sync daemon on %' AND datname = current_database()"
            )
        assert daemon.process.wait(limit(30)) == 1
        assert "The connection that showed that this daemon works is lost" in daemon.log()
    finally:
        daemon.kill()


def test_a_daemon_whose_ticks_are_not_evaluated_lets_go(
    connection: Connection, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code server is dead: every run that it takes from the queue would fail."""
    wait_for_turn(connection)
    store_sensor(instance, "first_passes", time.time(), interval=0)
    assert reason_to_end(connection, Watchdog(instance)) is None
    monkeypatch.setattr(watchdog, "START_SECONDS", 0.0)
    reason = reason_to_end(connection, Watchdog(instance))
    assert str(reason).startswith("No tick of a schedule or sensor was evaluated since ")


def test_a_lost_connection_is_a_reason_to_end(
    database_url: str, connection: Connection, instance: dg.DagsterInstance
) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    assert "is lost" in str(reason_to_end(connection, Watchdog(instance)))
