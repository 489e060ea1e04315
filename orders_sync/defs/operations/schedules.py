"""When the retention runs."""

import dagster as dg

from orders_sync.config import crons
from orders_sync.defs.operations.jobs import blank_old_buyer_data

blank_old_buyer_data_schedule = dg.ScheduleDefinition(
    job=blank_old_buyer_data,
    cron_schedule=crons.RETENTION,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The retention of buyers' data, after the syncs of the night.",
)
