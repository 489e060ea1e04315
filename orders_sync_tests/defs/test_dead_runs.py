"""The sensor that fails runs whose process has died, and ends passes that make no progress."""

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from orders_sync.config.environment import sync_log_file
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database import heartbeat
from orders_sync.database.engine import Connection
from orders_sync.defs.operations import sensors
from orders_sync.defs.operations.sensors import dead_runs
from orders_sync.lanes import lock
from orders_sync.lanes.history import started
from orders_sync.lanes.liveness import alive, is_alive
from orders_sync.lanes.lock import hold, holder
from orders_sync.model.lane import Lane, SyncType

LANE = Lane("shop", SyncType.NEW)
RESOURCES = {"orders_database": OrdersDatabase()}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def a_started_run(instance: dg.DagsterInstance) -> str:
    run = dg.DagsterRun(job_name="sync_new_orders", run_id=str(uuid.uuid4()), status=DagsterRunStatus.STARTED)
    return instance.add_run(run).run_id


def evaluate(instance: dg.DagsterInstance) -> str:
    with dg.build_sensor_context(instance=instance, resources=RESOURCES) as context:
        result = dead_runs(context)
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message)


def status(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_whose_pass_makes_no_progress_is_failed_with_the_reason_and_its_lane_is_free(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    run_id = a_started_run(instance)
    with alive(run_id), hold(LANE, run_id) as holding:
        started(holding, LANE, run_id)
        assert evaluate(instance) == "No dead runs."
        connection.execute("UPDATE lane_runs SET progressed_at = now() - interval '11 minutes'")
        assert evaluate(instance) == f"Failed dead runs: {run_id[:12]}."
        assert holder(connection, LANE) is None
    assert status(instance, run_id) is DagsterRunStatus.FAILURE
    assert connection.execute("SELECT last_outcome, last_problem FROM lanes").fetchall() == [
        ("failed", "it made no progress for 11 min, and was ended")
    ]


def test_a_pass_of_the_command_line_is_ended_too(instance: dg.DagsterInstance, connection: Connection) -> None:
    with hold(LANE, "cli-1") as holding:
        started(holding, LANE, "cli-1")
        connection.execute("UPDATE lane_runs SET progressed_at = now() - interval '11 minutes'")
        assert evaluate(instance) == "Failed dead runs: cli-1."


def test_the_lane_of_a_dead_pass_says_so_at_once_and_its_run_fails_after_its_time(
    instance: dg.DagsterInstance, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = a_started_run(instance)
    with hold(LANE, run_id) as holding:
        started(holding, LANE, run_id)
    assert evaluate(instance) == "No dead runs."
    assert connection.execute("SELECT last_outcome, last_problem FROM lanes").fetchall() == [
        ("failed", "its process died")
    ]
    assert status(instance, run_id) is DagsterRunStatus.STARTED
    monkeypatch.setenv("ORDERS_SYNC_DEAD_RUN_SECONDS", "0")
    assert evaluate(instance) == f"Failed dead runs: {run_id[:12]}."
    assert status(instance, run_id) is DagsterRunStatus.FAILURE


def test_a_frozen_command_that_holds_a_lane_is_ended_and_logged(
    instance: dg.DagsterInstance, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_SYNC_STALLED_PASS_SECONDS", "30")
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 3600.0)
    monkeypatch.setattr(lock, "LOOK_SECONDS", 3600.0)  # as of a frozen process
    monkeypatch.setattr("orders_sync.defs.operations.sensors.account_names", lambda: ["other", "shop"])
    with hold(LANE, "cli-1"):
        assert evaluate(instance) == "No dead runs."
        time.sleep(31)
        assert evaluate(instance) == "Ended orders_sync shop/new cli-1."
        assert holder(connection, LANE) is None
    assert (
        sync_log_file()
        .read_text()
        .endswith(
            "ERROR OrderSync shop/new: orders_sync shop/new cli-1: it showed no sign of life for 0 min, and was ended\n"
        )
    )


ALIVE = """
import sys, time
from orders_sync.lanes.liveness import alive
with alive(sys.argv[1]):
    print("alive", flush=True)
    time.sleep(600)
"""


def test_a_frozen_run_that_works_on_no_lane_is_failed(
    instance: dg.DagsterInstance, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the stock job: its process holds the run's lock for ever."""
    monkeypatch.setattr(sensors, "stalled_pass_seconds", lambda: 3.0)  # the setting has a minimum of 30
    run_id = a_started_run(instance)
    process = subprocess.Popen([sys.executable, "-c", ALIVE, run_id], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "alive\n"
        assert evaluate(instance) == "No dead runs."
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        assert evaluate(instance) == f"Failed dead runs: {run_id[:12]}."
        assert not is_alive(connection, run_id)
    finally:
        process.kill()
        process.wait()
    assert status(instance, run_id) is DagsterRunStatus.FAILURE
