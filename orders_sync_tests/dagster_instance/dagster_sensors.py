"""Stores in a Dagster instance what the daemon stores of the ticks of a sensor."""

import dagster as dg

from orders_sync.dagster_instance.internals import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
    SensorInstigatorData,
    SerializableErrorInfo,
    TickData,
    TickStatus,
)


def store_sensor(
    instance: dg.DagsterInstance,
    name: str,
    evaluated_at: float | None,
    *,
    interval: int = 10,
    status: InstigatorStatus = InstigatorStatus.DECLARED_IN_CODE,
) -> InstigatorState:
    """A sensor whose last successful or skipped tick was at a time (epoch seconds)."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("orders_sync"), "__repository__")
    data = SensorInstigatorData(min_interval=interval, last_tick_success_timestamp=evaluated_at)
    state = InstigatorState(RemoteInstigatorOrigin(repository, name), InstigatorType.SENSOR, status, data)
    if instance.get_instigator_state(state.instigator_origin_id, state.selector_id) is None:
        instance.add_instigator_state(state)
    else:
        instance.update_instigator_state(state)
    return state


def store_failed_tick(instance: dg.DagsterInstance, sensor: InstigatorState, at: float, error: str) -> None:
    """A tick that failed with an error of a class."""
    store_tick(instance, sensor, at, TickStatus.FAILURE, SerializableErrorInfo("", [], error))


def store_tick(
    instance: dg.DagsterInstance,
    sensor: InstigatorState,
    at: float,
    status: TickStatus,
    error: SerializableErrorInfo | None = None,
) -> None:
    """A tick that has ended."""
    instance.create_tick(
        TickData(
            instigator_origin_id=sensor.instigator_origin_id,
            instigator_name=sensor.instigator_name,
            instigator_type=InstigatorType.SENSOR,
            status=status,
            timestamp=at,
            selector_id=sensor.selector_id,
            error=error,
        )
    )
