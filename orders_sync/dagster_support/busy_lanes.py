"""Which run works on a lane, or waits for it: from the UI, a schedule, a backfill or the command line."""

import dagster as dg
from dagster import DagsterRunStatus

from orders_sync.dagster_instance.lane_assets import job_name, lane_key
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import holder
from orders_sync.model.lane import Lane

#: Runs that execute come before runs that wait.
UNDER_WAY = [
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
]


def runs_under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """All runs that execute or are queued, in the order of UNDER_WAY."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY))
    return sorted(runs, key=lambda run: UNDER_WAY.index(run.status))


def busy_with(lane: Lane, runs: list[dg.DagsterRun], connection: Connection) -> str | None:
    """The run that works on the lane or waits for it (`run 1a2b3c4d (started)`, `run cli-…`), or None.

    Runs of "Materialize" and of backfills have no tags of a job, so the assets of a run decide. A run without selected
    assets is one of a whole job, which works on all lanes of its sync type.
    """
    key = lane_key(lane)
    for run in runs:
        selected = run.asset_selection
        if key in selected if selected is not None else run.job_name == job_name(lane.sync_type):
            return f"run {run.run_id[:8]} ({run.status.value.lower()})"
    return holder(connection, lane)
