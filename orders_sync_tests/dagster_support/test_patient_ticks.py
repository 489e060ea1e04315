"""Ticks that look again and again for a while."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.dagster_instance import tick_waits
from orders_sync.dagster_instance.tick_waits import PATIENT_SENSORS, WAIT_SECONDS, end_waiting_ticks
from orders_sync.dagster_instance.ticks import evaluations
from orders_sync.dagster_support import patient_ticks
from orders_sync.dagster_support.patient_ticks import look_until
from orders_sync.database.engine import Connection
from orders_sync_tests.dagster_instance.dagster_sensors import store_sensor

GIVEN_UP = "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS"
THREADS = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["sensors"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"sensors": THREADS}) as opened:
        yield opened


def tick(
    instance: dg.DagsterInstance, completed_at: float | None = 1.0, sensor: str = "missing_passes"
) -> dg.SensorEvaluationContext:
    """A tick of the daemon, whose sensor had one before."""
    return dg.SensorEvaluationContext(
        None, completed_at, instance=instance, repository_name="__repository__", sensor_name=sensor
    )


class Looks:
    """Looks, of which one finds something."""

    def __init__(self, found_by: int = 10**9) -> None:
        self.number = 0
        self._found_by = found_by

    def __call__(self) -> bool:
        self.number += 1
        return self.number >= self._found_by


def looked(context: dg.SensorEvaluationContext, connection: Connection, looks: Looks, every: float = 0.05) -> bool:
    return look_until(context, connection, looks, bool, every)


def test_a_tick_ends_as_soon_as_it_finds_something(instance: dg.DagsterInstance, connection: Connection) -> None:
    looks = Looks(found_by=4)
    assert looked(tick(instance), connection, looks)
    assert looks.number == 4


def test_a_tick_that_finds_nothing_ends_after_its_time(
    instance: dg.DagsterInstance, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_ticks, "WAIT_SECONDS", 0.5)
    looks, began = Looks(), time.monotonic()
    assert not looked(tick(instance), connection, looks)
    assert time.monotonic() - began <= 5
    assert looks.number >= 3


@pytest.mark.parametrize("seconds", ["11", "10", "3"])
def test_a_tick_ends_before_dagster_gives_it_up(
    instance: dg.DagsterInstance, connection: Connection, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    monkeypatch.setenv(GIVEN_UP, seconds)
    looks = Looks()
    assert not looked(tick(instance), connection, looks, every=1.5)
    assert looks.number == 1


def test_a_preview_looks_once(instance: dg.DagsterInstance, connection: Connection) -> None:
    looks = Looks()
    assert not looked(tick(instance, completed_at=None), connection, looks)
    assert looks.number == 1


def test_a_daemon_without_threads_evaluates_other_sensors_meanwhile(tmp_path: Path, connection: Connection) -> None:
    """An older dagster.yaml: a tick that waited would hold up all other sensors."""
    looks = Looks()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert not looked(tick(instance), connection, looks)
    assert looks.number == 1


def test_a_daemon_that_ends_waits_for_no_tick(instance: dg.DagsterInstance, connection: Connection) -> None:
    looks, began = Looks(), time.monotonic()
    ending = threading.Timer(0.5, end_waiting_ticks)
    ending.start()
    assert not looked(tick(instance), connection, looks, every=20.0)
    ending.join()
    assert time.monotonic() - began < 20
    assert looks.number == 1


def test_only_sensors_of_which_the_watch_knows_it_wait(
    instance: dg.DagsterInstance, connection: Connection, definitions: dg.Definitions
) -> None:
    assert {sensor.name for sensor in definitions.sensors or ()} >= PATIENT_SENSORS
    looks = Looks()
    assert not looked(tick(instance, sensor="passes_of_command_line"), connection, looks)
    assert looks.number == 1


def test_how_late_a_patient_tick_may_end_is_known(instance: dg.DagsterInstance) -> None:
    store_sensor(instance, "order_events_sensor", 1000.0, interval=3)
    assert evaluations(instance).interval == 3 + WAIT_SECONDS
    store_sensor(instance, "passes_of_command_line", 1000.0, interval=30)
    assert evaluations(instance).interval == 30
    assert tick_waits.WAIT_SECONDS < 60, "Dagster gives a tick up after 60 s"
