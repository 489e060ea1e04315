"""V1's schedules in Dagster: which are on, and switching them off."""

import time

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType

from orders_sync.migration.settings import COMMANDS


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


def switch_v1_off(instance: dg.DagsterInstance, *, wait_seconds: float = 60.0) -> list[str]:
    """Switches V1's schedules off, and waits for its runs under way; returns what of V1 is still at work then."""
    for state in _running(instance):
        instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))
    give_up = time.monotonic() + wait_seconds
    while (runs := _runs_under_way(instance)) and time.monotonic() < give_up:
        time.sleep(0.5)
    return [*(f"schedule {name}" for name in v1_schedules_on(instance)), *runs]


def _runs_under_way(instance: dg.DagsterInstance) -> list[str]:
    begun = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=[*waiting, *begun]))
    return sorted(f"run {run.run_id[:8]} of {run.job_name}" for run in runs if run.job_name in COMMANDS)
