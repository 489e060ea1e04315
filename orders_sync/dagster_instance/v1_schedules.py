"""V1's schedules in Dagster: which are on, and switching them off."""

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType

from orders_sync.config.v1 import COMMANDS


def schedule_name(job: str) -> str:
    """The schedule of one of V1's jobs."""
    return f"{job}_schedule"


NAMES = frozenset(schedule_name(job) for job in COMMANDS)


def _running(instance: dg.DagsterInstance) -> list[InstigatorState]:
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    # Off by default: on is only what somebody switched on.
    return [s for s in states if s.instigator_name in NAMES and s.status == InstigatorStatus.RUNNING]


def v1_schedules_on(instance: dg.DagsterInstance) -> list[str]:
    """V1's schedules that are switched on."""
    return sorted(state.instigator_name for state in _running(instance))


def switch_v1_off(instance: dg.DagsterInstance) -> list[str]:
    """Switches V1's schedules off; returns those that are on all the same."""
    for state in _running(instance):
        instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))
    return v1_schedules_on(instance)
