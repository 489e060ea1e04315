"""When housekeeping runs."""

import dagster as dg

from orders_sync.config import crons
from orders_sync.defs.operations.jobs import blank_old_buyer_data, prune_old_history

blank_old_buyer_data_schedule = dg.ScheduleDefinition(
    job=blank_old_buyer_data,
    cron_schedule=crons.RETENTION,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The retention of buyers' data, after the syncs of the night.",
)

prune_old_history_schedule = dg.ScheduleDefinition(
    job=prune_old_history,
    cron_schedule=crons.PRUNING,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Deletes old history, after everything else of the night.",
)
