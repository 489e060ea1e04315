"""When Dagster last evaluated a tick."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orders_sync.dagster_instance.internals import InstigatorStatus, SerializableErrorInfo, TickStatus
from orders_sync.dagster_instance.ticks import Evaluations, evaluations
from orders_sync_tests.dagster_instance.dagster_sensors import store_failed_tick, store_sensor, store_tick


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def test_a_new_instance_has_evaluated_nothing(instance: dg.DagsterInstance) -> None:
    assert evaluations(instance) == Evaluations(frozenset(), None, {})
    assert evaluations(instance).latest is None


def test_the_latest_tick_counts_and_the_interval_of_the_sensors_that_are_on(instance: dg.DagsterInstance) -> None:
    store_sensor(instance, "first_passes", 1000.0)
    store_sensor(instance, "dead_runs", 2000.0, interval=30)
    store_sensor(instance, "never", None, interval=60)
    store_sensor(instance, "off", 1500.0, interval=5, status=InstigatorStatus.STOPPED)
    found = evaluations(instance)
    assert found == Evaluations(frozenset({1000.0, 1500.0, 2000.0}), 10, {})
    assert found.latest == 2000.0


@pytest.mark.parametrize(
    ("error", "latest"),
    [
        ("OperationalError", 1500.0),
        ("DagsterUserCodeUnreachableError", 1000.0),
        ("DagsterCodeLocationLoadError", 1000.0),
    ],
)
def test_a_tick_that_failed_by_itself_was_evaluated_one_without_code_server_was_not(
    instance: dg.DagsterInstance, error: str, latest: float
) -> None:
    sensor = store_sensor(instance, "first_passes", 1000.0)
    store_failed_tick(instance, sensor, 1500.0, error)
    assert evaluations(instance).latest == latest


def test_a_sensor_whose_last_tick_failed_is_named_with_its_error(instance: dg.DagsterInstance) -> None:
    sensor = store_sensor(instance, "order_events", 1000.0)
    cause = SerializableErrorInfo("KeyError: 'sku'\nTraceback\n", [], "KeyError")
    error = SerializableErrorInfo(
        "dagster._core.errors.SensorExecutionError: Error\n", [], "SensorExecutionError", cause
    )
    store_tick(instance, sensor, 1500.0, TickStatus.FAILURE, error)
    assert evaluations(instance).failures == {"order_events": "KeyError: 'sku'"}
    store_tick(instance, sensor, 1510.0, TickStatus.STARTED)  # under way: what the last one came to stands
    assert evaluations(instance).failures == {"order_events": "KeyError: 'sku'"}
    store_tick(instance, sensor, 1520.0, TickStatus.SKIPPED)
    assert evaluations(instance).failures == {}


def test_a_sensor_that_is_off_or_has_no_code_server_has_not_failed(instance: dg.DagsterInstance) -> None:
    off = store_sensor(instance, "off", 1000.0, status=InstigatorStatus.STOPPED)
    store_failed_tick(instance, off, 1500.0, "KeyError")
    store_failed_tick(instance, store_sensor(instance, "dead_runs", 1000.0), 1500.0, "DagsterUserCodeUnreachableError")
    assert evaluations(instance).failures == {}
