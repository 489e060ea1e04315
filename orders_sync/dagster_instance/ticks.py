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

_EVALUATED = [TickStatus.SUCCESS, TickStatus.SKIPPED]


class Evaluations(NamedTuple):
    """The ticks of the sensors."""

    moments: frozenset[float]
    """When the last tick of each sensor was evaluated (epoch seconds), whatever came of it.

    Dagster forgets the moment of a sensor when its next tick can't be evaluated: one that is new shows an evaluation,
    one that is missing shows nothing.
    """
    interval: float | None
    """How often one is due at least, in seconds; None: no sensor is switched on, or none was seen by a daemon yet."""

    @property
    def latest(self) -> float | None:
        """When a tick was last evaluated (epoch seconds); None: never."""
        return max(self.moments, default=None)


class StorageUnreachableError(UserFacingError):
    """Dagster's database does not answer."""


def evaluations(instance: dg.DagsterInstance) -> Evaluations:
    """Looks the ticks up in Dagster's storage. Raises StorageUnreachableError."""
    storage = instance.schedule_storage
    try:
        sensors = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        ids = [state.selector_id for state in sensors]
        ticks = storage.get_batch_ticks(ids, limit=1) if storage and ids else {}
        moments = {tick.timestamp for latest in ticks.values() for tick in latest if _failed_by_itself(tick)}
        data = [state.instigator_data for state in sensors if isinstance(state.instigator_data, SensorInstigatorData)]
        moments |= {each.last_tick_success_timestamp for each in data if each.last_tick_success_timestamp is not None}
    except (SQLAlchemyError, DagsterPostgresException) as error:
        raise StorageUnreachableError(f"Dagster's database does not answer: {error}") from error
    intervals = [
        state.instigator_data.min_interval
        for state in sensors
        if state.status != InstigatorStatus.STOPPED
        and isinstance(state.instigator_data, SensorInstigatorData)
        and state.instigator_data.min_interval is not None
    ]
    return Evaluations(frozenset(moments), min(intervals, default=None))


def last_evaluated(instance: dg.DagsterInstance) -> float | None:
    """When a tick was last evaluated (epoch seconds) according to the stored ticks, which Dagster does not forget.

    None: never. Raises StorageUnreachableError.
    """
    try:
        ticks = [
            tick.timestamp
            for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=_EVALUATED)
        ]
    except (SQLAlchemyError, DagsterPostgresException) as error:
        raise StorageUnreachableError(f"Dagster's database does not answer: {error}") from error
    return max(ticks, default=None)


def _failed_by_itself(tick: InstigatorTick) -> bool:
    return tick.status == TickStatus.FAILURE and tick.error is not None and tick.error.cls_name not in _UNREACHABLE
