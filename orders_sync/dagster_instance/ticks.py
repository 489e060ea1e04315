"""When Dagster last evaluated something: what shows that daemon and code server work, which their heartbeats do not."""

from typing import NamedTuple

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import SQLAlchemyError

from orders_sync.dagster_instance.internals import (
    InstigatorStatus,
    InstigatorTick,
    InstigatorType,
    SensorInstigatorData,
    TickStatus,
)
from orders_sync.model.errors import UserFacingError

_UNREACHABLE = ("DagsterUserCodeUnreachableError", "DagsterCodeLocationLoadError")
"""A tick that failed with one of these was not evaluated: the code server does not answer, or has loaded nothing."""


class Evaluations(NamedTuple):
    """The ticks of the sensors."""

    latest: float | None
    """When a tick was last evaluated (epoch seconds), whatever came of it; None: never."""
    interval: float | None
    """How often one is due at least, in seconds; None: no sensor is switched on, or none was seen by a daemon yet."""


class StorageUnreachableError(UserFacingError):
    """Dagster's database does not answer."""


def evaluations(instance: dg.DagsterInstance) -> Evaluations:
    """Looks the ticks up in Dagster's storage. Raises StorageUnreachableError."""
    try:
        sensors = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        storage = instance.schedule_storage
        ids = [state.selector_id for state in sensors]
        ticks = storage.get_batch_ticks(ids, limit=1) if storage and ids else {}
    except (SQLAlchemyError, DagsterPostgresException) as error:
        raise StorageUnreachableError(f"Dagster's database does not answer: {error}") from error
    moments = [tick.timestamp for latest in ticks.values() for tick in latest if _failed_by_itself(tick)]
    intervals: list[float] = []
    for state in sensors:
        data = state.instigator_data
        if not isinstance(data, SensorInstigatorData):
            continue
        if data.last_tick_success_timestamp is not None:
            moments.append(data.last_tick_success_timestamp)
        if state.status != InstigatorStatus.STOPPED and data.min_interval is not None:
            intervals.append(data.min_interval)
    return Evaluations(max(moments, default=None), min(intervals, default=None))


def _failed_by_itself(tick: InstigatorTick) -> bool:
    return tick.status == TickStatus.FAILURE and tick.error is not None and tick.error.cls_name not in _UNREACHABLE
