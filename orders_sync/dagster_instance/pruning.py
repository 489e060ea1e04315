"""Deletes old runs of Dagster, with their events and their output. Dagster itself prunes ticks only."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
REPORT_EVERY = 500


def prune_runs(
    instance: dg.DagsterInstance, older_than: timedelta, report: Callable[[int], None] = lambda _: None
) -> int:
    """Deletes finished runs that were created before; returns how many. `report` gets the number now and then.

    The run that last materialized an asset stays, so that the catalog shows each asset as materialized. A day of a
    partitioned asset that only deleted runs materialized counts as missing in the UI; its orders are in the database.
    """
    filters = dg.RunsFilter(statuses=FINISHED, created_before=datetime.now(UTC) - older_than)
    old = set(instance.get_run_ids(filters)) - _latest_runs(instance)
    for number, run_id in enumerate(sorted(old), start=1):
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        if number % REPORT_EVERY == 0:
            report(number)
    return len(old)


def _latest_runs(instance: dg.DagsterInstance) -> set[str]:
    """The runs that last materialized an asset."""
    events = (instance.get_latest_materialization_event(key) for key in instance.get_asset_keys())
    return {event.run_id for event in events if event is not None}
