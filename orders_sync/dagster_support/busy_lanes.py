"""Whether a lane is busy, however its run was launched."""

import dagster as dg
from dagster import DagsterRunStatus

from orders_sync.dagster_support.lane_assets import SYNC_TYPES, job_name, lane_key
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import holder
from orders_sync.model.lane import Lane

#: Those at work before those that wait.
UNDER_WAY = [
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
]


def runs_under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """All runs that are queued or running; those at work first."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY))
    return sorted(runs, key=lambda run: UNDER_WAY.index(run.status))


def busy_with(lane: Lane, runs: list[dg.DagsterRun], connection: Connection) -> str | None:
    """Who works on the lane, or else waits for it (`run 1a2b3c4d (started)`, `run cli-…`), or None.

    A run from "Materialize" or a backfill bears no job's tags, so what a run works on is told by its assets; a job
    launched whole names none, so it works on all of its sync type.
    """
    key = lane_key(lane)
    jobs = {job_name(sync_type) for sync_type in SYNC_TYPES.values() if sync_type is lane.sync_type}
    for run in runs:
        selected = run.asset_selection
        if (selected is not None and key in selected) or (selected is None and run.job_name in jobs):
            return f"run {run.run_id[:8]} ({run.status.value.lower()})"
    return holder(connection, lane)
