"""When the reports are made."""

import dagster as dg

from orders_sync.config import crons
from orders_sync.defs.reports.jobs import daily_reports

daily_reports_schedule = dg.ScheduleDefinition(
    job=daily_reports,
    cron_schedule=crons.DAILY_REPORTS,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The daily reports, after the syncs of the night.",
)
