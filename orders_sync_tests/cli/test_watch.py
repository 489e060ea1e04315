"""`orders-sync watch` and the watchdog of `up`: they notice that Dagster evaluates no ticks."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import psutil
import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orders_sync.cli import watchdog
from orders_sync.cli.status_changes import StatusChange
from orders_sync.cli.watchdog import Watchdog
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.dagster_instance.internals import InstigatorStatus, SerializableErrorInfo, TickStatus
from orders_sync.dagster_instance.ticks import evaluations
from orders_sync.database.embedded import stop_if_last
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.health.silence import overdue
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.dagster_instance.dagster_sensors import store_failed_tick, store_sensor, store_tick

SENSOR = "first_passes"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with a storage of its own."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as opened:
        yield opened


def test_ticks_that_go_on_are_no_silence(instance: dg.DagsterInstance) -> None:
    store_sensor(instance, SENSOR, time.time(), interval=0)
    dog = Watchdog(instance, seconds=1, every=0)
    for _ in range(4):
        store_sensor(instance, SENSOR, time.time(), interval=0)
        assert dog.look() is None
        time.sleep(0.4)


def test_after_a_gap_the_ticks_get_the_time_of_a_start(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything stood still, as on a laptop that was closed, or in a container that was paused."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: clock.now))
    store_sensor(instance, SENSOR, 1_767_268_990.0, interval=30)
    dog = Watchdog(instance)
    assert dog.look() is None
    clock.now += 20
    store_sensor(instance, SENSOR, 1_767_269_010.0, interval=30)
    assert dog.look() is None
    clock.now += 600
    assert dog.look() is None
    for _ in range(17):
        clock.now += 10
        assert dog.look() is None
    clock.now += 10
    assert dog.look() is not None


def test_a_tick_that_takes_too_long_is_reported_but_shows_no_evaluation(instance: dg.DagsterInstance) -> None:
    """Dagster says that its code server can't be reached, as of one that has died."""
    late = "User code server request timed out due to taking longer than 60 seconds to complete."
    unreachable = "DagsterUserCodeUnreachableError"
    error = SerializableErrorInfo("Unable to reach", [], unreachable, SerializableErrorInfo(late, [], unreachable))
    hangs = store_sensor(instance, "hangs", None, interval=30)
    store_tick(instance, hangs, 1_767_268_990.0, TickStatus.FAILURE, error)
    found = evaluations(instance)
    assert found.failures == {"hangs": late}
    assert found.moments == frozenset()


WATCH = """
from orders_sync.cli import frozen_databases, watch, watchdog
frozen_databases.FROZEN_SECONDS = 1.0
watch.LOOK_SECONDS = 0.2
watchdog.START_SECONDS = 1.0
watchdog.Watchdog.__init__.__defaults__ = (60.0, 0.2)
watch.watch([])
"""
"""`orders-sync watch` in a hurry."""


def test_a_frozen_database_of_dagster_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    with tempfile.TemporaryDirectory(prefix="osw-") as folder:  # short: the path of a Unix socket is limited
        monkeypatch.setenv("ORDERS_SYNC_STATE", folder)
        log = Path(folder) / "watch.log"
        with log.open("w") as output, subprocess.Popen([sys.executable, "-c", WATCH], stderr=output) as watching:
            try:
                wait_for(lambda: "was ever evaluated" in log.read_text(), seconds=90, what="the first look")
                server = psutil.Process(int((Path(folder) / "postgres" / "postmaster.pid").read_text().split()[0]))
                frozen = [server, *server.children()]
                for process in frozen:
                    process.suspend()
                try:
                    wait_for(lambda: "ERROR the databases have not answered for 1 s" in log.read_text(), seconds=30)
                finally:
                    for process in frozen:
                        process.resume()
                wait_for(lambda: "WARNING the databases answer again after" in log.read_text(), seconds=30)
            finally:
                watching.kill()
        stop_if_last(Path(folder))


def test_silence_is_reported_once_and_then_a_start_is_waited_for(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start takes longer than a tick; each time that it does not help, the next one gets twice as long."""
    monkeypatch.setattr(watchdog, "START_SECONDS", 1.0)
    store_sensor(instance, SENSOR, time.time() - 60, interval=0)
    dog = Watchdog(instance, seconds=0.3, every=0)
    assert dog.look() is None
    store_sensor(instance, SENSOR, 1_767_268_990.0, interval=0)  # 2026-01-01 12:03:10
    assert dog.look() is None
    silent_at = time.monotonic()
    assert wait_for(dog.look, seconds=10) == (
        "no tick of a schedule or sensor was evaluated since 2026-01-01 12:03:10 UTC, for 0 s"
    )
    assert time.monotonic() - silent_at < 1.0
    waits: list[float] = []
    for _ in range(2):
        before = time.monotonic()
        wait_for(dog.look, seconds=10, every=0.02)
        waits.append(time.monotonic() - before)
    assert waits[0] >= 1.0
    assert waits[1] >= 2.0


def test_a_daemon_that_never_evaluated_a_tick_is_reported(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "START_SECONDS", 0.5)
    dog = Watchdog(instance, seconds=0, every=0)
    assert dog.look() is None
    assert wait_for(dog.look, seconds=10) == "no tick of a schedule or sensor was ever evaluated"


def test_what_dagster_forgets_of_a_dead_code_server_is_no_evaluation(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next tick of each sensor fails, and Dagster forgets when the one before was evaluated."""
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    dog = Watchdog(instance, seconds=40, every=0)

    def look(seconds: float, **evaluated_at: float | None) -> str | None:
        clock.seconds = seconds
        for sensor, moment in evaluated_at.items():
            store_sensor(instance, sensor, moment, interval=0)
        return dog.look()

    assert look(0, dead_runs=1_767_268_979.0, first_passes=1_767_268_980.0) is None
    assert look(10, dead_runs=1_767_268_989.0, first_passes=1_767_268_990.0) is None
    assert look(20, first_passes=None) is None
    assert look(49, dead_runs=None) is None
    assert look(51) == "no tick of a schedule or sensor was evaluated since 2026-01-01 12:03:10 UTC, for 41 s"


def test_nothing_is_due_while_all_sensors_are_off(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "START_SECONDS", 0.0)
    store_sensor(instance, SENSOR, time.time() - 3600, interval=0, status=InstigatorStatus.STOPPED)
    assert Watchdog(instance, seconds=0).look() is None
    assert overdue(instance) is None


def test_an_overdue_tick_is_reported_by_the_clock(instance: dg.DagsterInstance) -> None:
    assert overdue(instance) == "no tick of a schedule or sensor was ever evaluated"
    store_sensor(instance, SENSOR, time.time() - 45)
    assert overdue(instance) is None
    store_sensor(instance, SENSOR, time.time() - 180)
    assert str(overdue(instance)).endswith(" UTC, for 3 min")


def test_a_tick_that_dagster_forgot_is_found_among_the_stored_ones(instance: dg.DagsterInstance) -> None:
    sensor = store_sensor(instance, SENSOR, time.time() - 180, interval=0)
    store_tick(instance, sensor, time.time() - 181, TickStatus.SKIPPED)
    store_failed_tick(instance, sensor, time.time(), "DagsterUserCodeUnreachableError")
    store_sensor(instance, SENSOR, None, interval=0)
    assert evaluations(instance).moments == frozenset()  # else a watchdog would take it for a new one
    assert str(overdue(instance)).endswith(" UTC, for 3 min")


@pytest.mark.usefixtures("home")
def test_the_doctor_reports_it(instance: dg.DagsterInstance) -> None:
    store_sensor(instance, SENSOR, time.time() - 600)
    *_, ticks = EXAMINATIONS["daemon"]()
    assert not ticks.ok
    assert ticks.text.startswith("no tick of a schedule or sensor was evaluated since ")
    store_sensor(instance, SENSOR, time.time())
    *_, ticks = EXAMINATIONS["daemon"]()
    assert (ticks.ok, ticks.text) == (True, "ticks of schedules and sensors are evaluated")


def _watch(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "orders_sync.cli", "watch", *arguments],
        cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=limit(60), check=False,
    )  # fmt: skip


def test_the_command_logs_an_error_and_restarts(home: Path, instance: dg.DagsterInstance) -> None:
    store_sensor(instance, SENSOR, time.time() - 180)
    marker = home / "restarted"
    done = _watch(home, "--once", "--restart-command", f"touch {marker}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert " ERROR no tick of a schedule or sensor was evaluated since " in done.stderr
    assert f"The restart command `touch {marker}` ended with exit code 0." in done.stderr
    assert marker.exists()


def test_a_tick_that_fails_is_news_until_one_succeeds(instance: dg.DagsterInstance) -> None:
    sensor = store_sensor(instance, "order_events", time.time(), interval=600)
    dog = Watchdog(instance, every=0)
    error = SerializableErrorInfo("KeyError: 'sku'\n", [], "KeyError")
    store_tick(instance, sensor, time.time(), TickStatus.FAILURE, error)
    assert dog.look() is None
    assert dog.changes() == [StatusChange(True, "the tick of order_events failed: KeyError: 'sku'")]
    assert dog.look() is None
    assert dog.changes() == []
    assert "the last tick of order_events failed: KeyError: 'sku'" in [each.text for each in EXAMINATIONS["daemon"]()]
    store_tick(instance, sensor, time.time(), TickStatus.SKIPPED)
    assert dog.look() is None
    assert dog.changes() == [StatusChange(False, "the tick of order_events is well again")]


def test_a_database_of_dagster_that_is_away_is_news(database_url: str, home: Path) -> None:
    with psycopg.connect(make_conninfo(database_url, dbname="postgres"), autocommit=True) as administrator:
        name = f"dagster_{os.getpid()}"
        administrator.execute(f"CREATE DATABASE {name}".encode())
        url = database_url.replace(f"/{conninfo_to_dict(database_url)['dbname']}", f"/{name}")
        storage = {"telemetry": {"enabled": False}, "storage": {"postgres": {"postgres_url": url}}}
        (home / "dagster.yaml").write_text(yaml.safe_dump(storage))
        with dg.DagsterInstance.get() as instance:
            store_sensor(instance, SENSOR, time.time(), interval=600)
            dog = Watchdog(instance, every=0)
            assert dog.look() is None
            administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            assert dog.look() is None
            (lost,) = dog.changes()
            assert lost.is_wrong
            assert lost.text.startswith("Dagster's database does not answer: ")
            administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
            assert dog.look() is None
            assert dog.changes() == [StatusChange(False, "Dagster's database is well again")]
        administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_command_waits_for_dagsters_database(home: Path) -> None:
    """It would be started again and again meanwhile, and alert nobody."""
    storage = {"postgres": {"postgres_url": "postgresql://me@127.0.0.1:1/dagster"}}
    (home / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}, "storage": storage}))
    log = home / "watch.log"
    with log.open("w") as file:
        watch = subprocess.Popen([sys.executable, "-m", "orders_sync.cli", "watch"], cwd=PROJECT_ROOT, stderr=file)
    try:
        wait_for(lambda: " ERROR Dagster's database does not answer: " in log.read_text(), seconds=90, what="the error")
        assert watch.poll() is None
    finally:
        watch.terminate()
        watch.wait(limit(30))


def test_the_command_is_content_while_ticks_are_evaluated(home: Path, instance: dg.DagsterInstance) -> None:
    store_sensor(instance, SENSOR, time.time(), interval=600)
    done = _watch(home, "--once", "--restart-command", f"touch {home / 'restarted'}")
    assert (done.returncode, done.stdout) == (0, "Ticks are evaluated.\n"), done.stderr
    assert not (home / "restarted").exists()
