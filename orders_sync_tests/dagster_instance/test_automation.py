"""Schedules and sensors that somebody has switched on or off."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orders_sync.dagster_instance.automation import (
    V1_SCHEDULES,
    stopped_instigators,
    v1_off,
    v1_schedule_name,
    v1_schedules_on,
)
from orders_sync.dagster_instance.internals import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
    ScheduleInstigatorData,
    SensorInstigatorData,
)

ON, OFF = InstigatorStatus.RUNNING, InstigatorStatus.STOPPED
SCHEDULE, SENSOR = InstigatorType.SCHEDULE, InstigatorType.SENSOR


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def switch(instance: dg.DagsterInstance, kind: InstigatorType, name: str, status: InstigatorStatus) -> None:
    """Stores what the UI's switch stores."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("orders_sync"), "__repository__")
    data = ScheduleInstigatorData("* * * * *") if kind is SCHEDULE else SensorInstigatorData()
    instance.add_instigator_state(InstigatorState(RemoteInstigatorOrigin(repository, name), kind, status, data))


def test_v1_has_three_schedules() -> None:
    assert sorted(V1_SCHEDULES) == ["refresh_latest_schedule", "refresh_new_schedule", "refresh_orders_schedule"]
    assert v1_schedule_name("refresh_new") in V1_SCHEDULES


def test_stopped_are_those_that_somebody_switched_off_without_v1s(instance: dg.DagsterInstance) -> None:
    assert stopped_instigators(instance) == []
    switch(instance, SCHEDULE, "sync_new_orders_schedule", OFF)
    switch(instance, SCHEDULE, "sync_care_records_schedule", ON)
    switch(instance, SENSOR, "dead_runs", OFF)
    switch(instance, SCHEDULE, "refresh_new_schedule", OFF)
    assert stopped_instigators(instance) == ["dead_runs", "sync_new_orders_schedule"]


def test_v1s_schedules_go_off_and_no_others(instance: dg.DagsterInstance) -> None:
    switch(instance, SCHEDULE, "refresh_new_schedule", ON)
    switch(instance, SCHEDULE, "refresh_latest_schedule", ON)
    switch(instance, SCHEDULE, "refresh_orders_schedule", OFF)
    switch(instance, SCHEDULE, "sync_new_orders_schedule", ON)
    assert v1_schedules_on(instance) == ["refresh_latest_schedule", "refresh_new_schedule"]
    with v1_off(instance) as still_on:
        assert still_on == []
    assert v1_schedules_on(instance) == []
    states = {s.instigator_name: s.status for s in instance.all_instigator_state(instigator_type=SCHEDULE)}
    assert states == {**dict.fromkeys(V1_SCHEDULES, OFF), "sync_new_orders_schedule": ON}


def test_a_move_that_fails_leaves_v1s_schedules_as_they_were(instance: dg.DagsterInstance) -> None:
    switch(instance, SCHEDULE, "refresh_new_schedule", ON)
    switch(instance, SCHEDULE, "refresh_orders_schedule", OFF)

    def fails() -> None:
        with v1_off(instance):
            assert v1_schedules_on(instance) == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert v1_schedules_on(instance) == ["refresh_new_schedule"]
