"""`orders-sync daemon`: one Dagster daemon for all machines, with real daemons."""

import json
import logging
import os
import re
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

from orders_sync.cli import launches, watchdog
from orders_sync.cli.daemon import LOCK, reason_to_end, wait_for_turn
from orders_sync.cli.launches import QUEUE, LaunchLog
from orders_sync.cli.watchdog import Watchdog
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect
from orders_sync.testing.databases import a_database
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.dagster_instance.dagster_sensors import store_sensor

HURRIED = """
import sys
from orders_sync.cli import daemon, launches, watchdog
watchdog.START_SECONDS = 40.0
launches.LaunchLog.__init__.__defaults__ = (2.0,)
silent, daemon.GRACE_SECONDS = float(sys.argv.pop()), float(sys.argv.pop())
watchdog.Watchdog.__init__.__defaults__ = (silent, 0.5)
daemon.SILENT_SECONDS = silent
daemon.daemon()
"""
"""A daemon whose watchdog has less patience; its last arguments: how much more it has while it waits, and how much."""
TICKING = """
import dagster as dg

@dg.sensor(minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def ticking():
    return dg.SkipReason("nothing to do")

defs = dg.Definitions(sensors=[ticking])
"""
LAUNCHING = """
import time
import dagster as dg

@dg.op
def work():
    pass

@dg.job
def works():
    work()

@dg.sensor(job=works, minimum_interval_seconds=2, default_status=dg.DefaultSensorStatus.RUNNING)
def ticking():
    return dg.RunRequest(run_key=str(time.time()))

defs = dg.Definitions(jobs=[works], sensors=[ticking])
"""
WAITING = """
import dagster as dg
from orders_sync.dagster_support import patient_ticks
from orders_sync.database.engine import connect

patient_ticks.WAIT_SECONDS = 900.0

@dg.sensor(name="missing_passes", minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def waiting(context):
    with connect() as connection:
        patient_ticks.look_until(context, connection, lambda: False, bool, 1.0)
    return dg.SkipReason("nothing to do")

defs = dg.Definitions(sensors=[waiting])
"""
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
    """A daemon, as on a machine of its own; without code locations, unless it has a code server."""

    def __init__(
        self,
        folder: Path,
        name: str,
        url: str,
        server: "CodeServer | None" = None,
        *,
        grace: float | None = None,
        silent: float = 5,
    ) -> None:
        """`grace`: how much more patience it has while it waits. `silent`: seconds for which ticks may be overdue."""
        self._log = folder / f"{name}.log"
        workspace = folder / f"{name}.yaml"
        workspace.write_text(json.dumps({"load_from": [] if server is None else [server.entry]}))
        program = ["-m", "orders_sync.cli", "daemon"] if grace is None else ["-c", HURRIED]
        more = [] if grace is None else [str(grace), str(limit(silent))]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program, "-w", str(workspace), *more],
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


class CodeServer:
    """A code server with one sensor that ticks each second."""

    def __init__(self, folder: Path, name: str, definitions: str = TICKING, url: str | None = None) -> None:
        """`url`: Dagster's database, which it needs to start runs."""
        file, socket = folder / "ticking.py", folder / f"{name}.sock"
        file.write_text(definitions)
        self.entry = {"grpc_server": {"socket": str(socket), "location_name": "ticking"}}
        with (folder / f"{name}.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster", "api", "grpc", "-f", str(file), "--socket", str(socket),
                 "--location-name", "ticking"],
                cwd=PROJECT_ROOT, env=os.environ | ({} if url is None else {"DAGSTER_POSTGRES_URL": url}), stdout=log,
                stderr=log,
            )  # fmt: skip
        wait_for(socket.exists, seconds=60, what="the code server")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(limit(10))


def ticks(url: str) -> int:
    """How many ticks of sensors were evaluated until now."""
    with connect(url) as connection:
        ((count,),) = connection.execute("SELECT coalesce(max(id), 0) FROM job_ticks WHERE status = 'SKIPPED'")
    return int(count)


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


@pytest.mark.usefixtures("connection")
def test_a_daemon_ends_at_once_though_a_tick_waits_and_the_tick_does_not_fail(
    tmp_path: Path, dagster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS", "1000")
    server = CodeServer(tmp_path, "server", WAITING)
    daemon = Daemon(tmp_path, "daemon", dagster_url, server)

    def waiting() -> bool:
        """Whether a tick has been under way for longer than one that looks once takes."""
        with connect(dagster_url) as connection:
            found = connection.execute(
                "SELECT FROM job_ticks WHERE status = 'STARTED' "
                "AND create_timestamp < (now() AT TIME ZONE 'UTC') - interval '4 seconds'"
            ).fetchone()
        return found is not None

    try:
        wait_for(lambda: daemon.says(DAGSTER), seconds=60, what="the daemon")
        wait_for(waiting, seconds=60, what="a tick that waits")
        daemon.process.send_signal(signal.SIGINT)
        daemon.process.wait(limit(40))
        with connect(dagster_url) as connection:
            ended = connection.execute("SELECT status FROM job_ticks ORDER BY id").fetchall()
        assert set(ended) == {("SKIPPED",)}
    finally:
        daemon.kill()
        server.kill()


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


@pytest.mark.long
@pytest.mark.timeout(limit(300))
def test_a_frozen_daemon_is_replaced_and_ends_when_it_wakes_up(tmp_path: Path, dagster_url: str) -> None:
    """It keeps its lock for ever: its host acknowledges whatever the server sends."""
    server = CodeServer(tmp_path, "server")
    first = Daemon(tmp_path, "first", dagster_url, server, grace=0)
    started: list[Daemon | CodeServer] = [server, first]
    try:
        wait_for(lambda: first.says(DAGSTER), seconds=60, what="the first daemon")
        second = Daemon(tmp_path, "second", dagster_url, server, grace=0)
        started.append(second)
        wait_for(lambda: second.says("Another daemon works on the database"), seconds=60)
        before = ticks(dagster_url)
        wait_for(lambda: ticks(dagster_url) > before + 1, seconds=60, what="two ticks of the first daemon")
        time.sleep(3)  # the second one sees ticks go on: a start may take longer
        assert not second.says(WORKS)
        first.process.send_signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        wait_for(lambda: second.says(DAGSTER), seconds=120, what="the second daemon")
        print(f"taken over after {time.monotonic() - frozen_at:.1f} s")
        (line,) = (line for line in second.log().splitlines() if "Its session is ended" in line)
        assert (
            " ERROR The daemon that works on the database is frozen, or has lost its code server: no tick of " in line
        )
        assert f"orders_sync daemon on {os.uname().nodename} (by a socket, server process " in line
        before = ticks(dagster_url)
        wait_for(lambda: ticks(dagster_url) > before, seconds=60, what="a tick of the second daemon")
        first.process.send_signal(signal.SIGCONT)
        woken_at = time.monotonic()
        assert first.process.wait(limit(10)) == 1
        print(f"ended {time.monotonic() - woken_at:.2f} s after it woke up")
        assert "The connection that showed that this daemon works is lost" in first.log()
        before = ticks(dagster_url)
        wait_for(lambda: ticks(dagster_url) > before, seconds=60, what="a further tick of the second daemon")
    finally:
        for each in started:
            each.kill()


@pytest.mark.long
@pytest.mark.timeout(limit(300))
def test_a_daemon_whose_code_server_dies_lets_go_and_the_other_one_launches(tmp_path: Path, dagster_url: str) -> None:
    dying, living = CodeServer(tmp_path, "dying"), CodeServer(tmp_path, "living")
    first = Daemon(tmp_path, "first", dagster_url, dying, grace=60)
    started: list[Daemon | CodeServer] = [dying, living, first]
    try:
        wait_for(lambda: first.says(DAGSTER), seconds=60, what="the first daemon")
        second = Daemon(tmp_path, "second", dagster_url, living, grace=60)
        started.append(second)
        wait_for(lambda: second.says("Another daemon works on the database"), seconds=60)
        before = ticks(dagster_url)
        wait_for(lambda: ticks(dagster_url) > before + 1, seconds=60, what="two ticks of the first daemon")
        time.sleep(3)  # both watchdogs see ticks go on: a start may take longer
        dying.kill()
        assert first.process.wait(limit(60)) == 1
        assert " ERROR No tick of a schedule or sensor was evaluated since " in first.log()
        wait_for(lambda: second.says(DAGSTER), seconds=60, what="the second daemon")
        assert "Its session is ended" not in second.log()
        before = ticks(dagster_url)
        wait_for(lambda: ticks(dagster_url) > before, seconds=60, what="a tick of the second daemon")
    finally:
        for each in started:
            each.kill()


@pytest.mark.long
@pytest.mark.timeout(limit(300))
def test_a_daemon_that_launches_no_run_lets_go_and_the_other_one_launches(tmp_path: Path, dagster_url: str) -> None:
    """Its code server evaluates ticks, but can't reach Dagster's database, without which it can start no run."""
    crippled, healthy = (
        CodeServer(tmp_path, "crippled", LAUNCHING),
        CodeServer(tmp_path, "healthy", LAUNCHING, dagster_url),
    )
    first = Daemon(tmp_path, "first", dagster_url, crippled, grace=60, silent=60)
    started: list[Daemon | CodeServer] = [crippled, healthy, first]
    try:
        wait_for(lambda: first.says(DAGSTER), seconds=60, what="the first daemon")
        second = Daemon(tmp_path, "second", dagster_url, healthy, grace=60, silent=60)
        started.append(second)
        assert first.process.wait(limit(90)) == 1
        (line,) = (line for line in first.log().splitlines() if "could not be launched" in line)
        assert re.search(r" ERROR The last \d+ runs could not be launched, since \d+ s\. This daemon ends", line)
        wait_for(lambda: second.says(DAGSTER), seconds=60, what="the second daemon")
        wait_for(lambda: second.says(" - Launched "), seconds=90, what="a run of the second daemon")
    except AssertionError:
        print(*(each.log()[-6000:] for each in started if isinstance(each, Daemon)), sep="\n")
        raise
    finally:
        for each in started:
            each.kill()


def test_one_launch_that_succeeds_shows_that_others_can(monkeypatch: pytest.MonkeyPatch) -> None:
    log = LaunchLog(seconds=60)
    queue = logging.Logger(QUEUE)
    queue.addHandler(log)
    now = 30.0
    monkeypatch.setattr(launches.time, "monotonic", lambda: now)
    queue.error("Caught an error dequeuing run %s", "1234")
    queue.error("Caught an error dequeuing run 1234")
    now = 100.0
    assert log.problem() is None, "two failures are not many"
    queue.error("Caught an error dequeuing run 1234")
    assert log.problem() == "The last 3 runs could not be launched, since 1 min"
    queue.info("Launched 1 runs.")
    assert log.problem() is None
    for _ in range(5):
        queue.error("Caught an error dequeuing run 1234")
    now = 159.0
    assert log.problem() is None, "it has not lasted long"


def test_a_daemon_whose_ticks_are_not_evaluated_lets_go(
    connection: Connection, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code server is dead: every run that it takes from the queue would fail."""
    wait_for_turn(connection, Watchdog(instance))
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
