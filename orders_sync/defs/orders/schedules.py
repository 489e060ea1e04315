"""When the checks run."""

import dagster as dg

from orders_sync.config import crons
from orders_sync.defs.orders.jobs import check_orders, check_whole_tables

check_orders_schedule = dg.ScheduleDefinition(
    job=check_orders,
    cron_schedule=crons.CHECKS,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The quick checks of the synced tables every hour, between the syncs.",
)
check_whole_tables_schedule = dg.ScheduleDefinition(
    job=check_whole_tables,
    cron_schedule=crons.WHOLE_TABLES,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The checks that read whole tables, after the syncs of the night.",
)
