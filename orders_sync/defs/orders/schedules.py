"""When the checks run."""

import dagster as dg

from orders_sync.config import crons
from orders_sync.defs.orders.jobs import check_orders

check_orders_schedule = dg.ScheduleDefinition(
    job=check_orders,
    cron_schedule=crons.CHECKS,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks the synced tables every hour, between the syncs.",
)
