"""When Dagster last evaluated something: what shows that daemon and code server work, which their heartbeats do not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import SQLAlchemyError

from orders_sync.dagster_instance.internals import (
    InstigatorStatus,
    InstigatorTick,
    InstigatorType,
    SensorInstigatorData,
    SerializableErrorInfo,
    TickStatus,
)
from orders_sync.dagster_instance.tick_waits import PATIENT_SENSORS, WAIT_SECONDS
from orders_sync.model.errors import UserFacingError

_UNREACHABLE = ("DagsterUserCodeUnreachableError", "DagsterCodeLocationLoadError")
"""A tick that failed with one of these was not evaluated: the code server does not answer, or has loaded nothing."""

_TIMED_OUT = "timed out"
"""What Dagster's message of a tick that took too long has."""

_EVALUATED = [TickStatus.SUCCESS, TickStatus.SKIPPED]


class Evaluations(NamedTuple):
    """The ticks of the sensors."""

    moments: frozenset[float]
    """When the last tick of each sensor was evaluated (epoch seconds), whatever came of it.

    Dagster forgets the moment of a sensor when its next tick can't be evaluated: one that is new shows an evaluation,
    one that is missing shows nothing.
    """
    interval: float | None
    """How often one ends at least, in seconds; None: no sensor is switched on, or none was seen by a daemon yet."""

    failures: Mapping[str, str]
    """The schedules and sensors whose last tick failed by itself, with the first line of its error."""

    @property
    def latest(self) -> float | None:
        """When a tick was last evaluated (epoch seconds); None: never."""
        return max(self.moments, default=None)


class StorageUnreachableError(UserFacingError):
    """Dagster's database does not answer. `reason`: one line."""

    def __init__(self, error: Exception) -> None:
        self.reason = str(error).strip().partition("\n")[0]
        super().__init__(f"Dagster's database does not answer: {self.reason}")


def evaluations(instance: dg.DagsterInstance) -> Evaluations:
    """Looks the ticks up in Dagster's storage. Raises StorageUnreachableError."""
    storage = instance.schedule_storage
    try:
        states = instance.all_instigator_state()
        ids = [state.selector_id for state in states]
        # Two of each, since the last one may be under way. Asking for ended ones alone fails in Dagster 1.13.
        ticks = storage.get_batch_ticks(ids, limit=2) if storage and ids else {}
        last = [(state, _last_ended(ticks.get(state.selector_id, ()))) for state in states]
        failed = [(state, tick) for state, tick in last if tick is not None and _failed_by_itself(tick)]
        late = [(state, tick) for state, tick in last if tick is not None and _took_too_long(tick)]
        sensors = [state for state in states if state.instigator_type == InstigatorType.SENSOR]
        moments = {tick.timestamp for state, tick in failed if state.instigator_type == InstigatorType.SENSOR}
        data = [state.instigator_data for state in sensors if isinstance(state.instigator_data, SensorInstigatorData)]
        moments |= {each.last_tick_success_timestamp for each in data if each.last_tick_success_timestamp is not None}
    except (SQLAlchemyError, DagsterPostgresException) as error:
        raise StorageUnreachableError(error) from error
    intervals = [
        state.instigator_data.min_interval + (WAIT_SECONDS if state.instigator_name in PATIENT_SENSORS else 0)
        for state in sensors
        if state.status != InstigatorStatus.STOPPED
        and isinstance(state.instigator_data, SensorInstigatorData)
        and state.instigator_data.min_interval is not None
    ]
    failures = {
        state.instigator_name: _first_line(tick.error)
        for state, tick in (*failed, *late)
        if state.status != InstigatorStatus.STOPPED
    }
    return Evaluations(frozenset(moments), min(intervals, default=None), failures)


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
        raise StorageUnreachableError(error) from error
    return max(ticks, default=None)


def _took_too_long(tick: InstigatorTick) -> bool:
    """Whether the code server did not answer in time. It may hang as a whole, so this shows no evaluation.

    Dagster says so by the same class as when it does not answer at all (dagster/_grpc/client.py).
    """
    is_unreachable = tick.status == TickStatus.FAILURE and tick.error is not None and not _failed_by_itself(tick)
    return is_unreachable and _TIMED_OUT in _first_line(tick.error)


def _last_ended(ticks: Sequence[InstigatorTick]) -> InstigatorTick | None:
    ended = (tick for tick in ticks if tick.status != TickStatus.STARTED)
    return max(ended, key=lambda tick: tick.timestamp, default=None)


def _first_line(error: SerializableErrorInfo | None) -> str:
    """The error of a tick in one line. Dagster wraps the one that says what happened."""
    if error is None:
        return "no error is stored"
    return (error.cause or error).message.strip().partition("\n")[0] or str(error.cls_name)


def _failed_by_itself(tick: InstigatorTick) -> bool:
    return tick.status == TickStatus.FAILURE and tick.error is not None and tick.error.cls_name not in _UNREACHABLE
