"""Schedules and sensors that somebody has switched on or off in the Dagster UI; V1's schedules among them."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from orders_sync.config.v1 import COMMANDS
from orders_sync.dagster_instance.internals import InstigatorState, InstigatorStatus, InstigatorType


def v1_schedule_name(job: str) -> str:
    """The schedule of one of V1's jobs."""
    return f"{job}_schedule"


V1_SCHEDULES = frozenset(v1_schedule_name(job) for job in COMMANDS)


def stopped_instigators(instance: dg.DagsterInstance) -> list[str]:
    """The schedules and sensors that somebody has switched off, sorted. V1's are off by default and not among them."""
    return sorted(
        state.instigator_name
        for kind in (InstigatorType.SCHEDULE, InstigatorType.SENSOR)
        for state in instance.all_instigator_state(instigator_type=kind)
        if state.status == InstigatorStatus.STOPPED and state.instigator_name not in V1_SCHEDULES
    )


def v1_schedules_on(instance: dg.DagsterInstance) -> list[str]:
    """V1's schedules that are switched on, sorted."""
    return sorted(state.instigator_name for state in _running_v1_schedules(instance))


@contextmanager
def v1_off(instance: dg.DagsterInstance) -> Generator[list[str]]:
    """Switches V1's schedules off; yields those that are still on.

    If the block raises, those that were on are switched on again: a move that fails leaves V1 as it was.
    """
    were_on = _running_v1_schedules(instance)
    try:
        for state in were_on:
            instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))
        yield v1_schedules_on(instance)
    except BaseException:
        for state in were_on:
            instance.update_instigator_state(state)
        raise


def _running_v1_schedules(instance: dg.DagsterInstance) -> list[InstigatorState]:
    # They are off by default, so Dagster stores a state only for those that somebody has switched on.
    return [
        state
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        if state.instigator_name in V1_SCHEDULES and state.status == InstigatorStatus.RUNNING
    ]
