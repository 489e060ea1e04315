"""When V1 and V2 are compared; V1's own schedules, which are off by default."""

from datetime import UTC, timedelta

import dagster as dg

from orders_sync.config import crons
from orders_sync.config.v1 import load_cutover_settings
from orders_sync.dagster_instance.automation import v1_schedule_name
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.defs.cutover.jobs import TAGS, compare_v1_and_v2, refresh_latest, refresh_new, refresh_orders
from orders_sync.lanes.authority import Phase, current_phase


@dg.schedule(
    job=compare_v1_and_v2,
    cron_schedule=crons.V1_V2_COMPARISON,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares yesterday's orders, after the syncs of the night, while V1 and V2 run side by side.",
)
def compare_v1_and_v2_schedule(
    context: dg.ScheduleEvaluationContext, orders_database: OrdersDatabase
) -> dg.RunRequest | dg.SkipReason:
    """Requests the comparison of the UTC day before the tick. Skips once V2 is live."""
    with orders_database.connect("schedule") as connection:
        if current_phase(connection) is Phase.LIVE:
            return dg.SkipReason("V2 is live, or there never was a V1: there is nothing to compare.")
    yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
    return dg.RunRequest(run_key=str(yesterday), partition_key=str(yesterday))


_v1_crons = crons.V1 | load_cutover_settings().schedules


def _v1_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=v1_schedule_name(job.name),
        job=job,
        cron_schedule=_v1_crons[job.name],
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=job.description,
        tags=TAGS,
    )


refresh_latest_schedule = _v1_schedule(refresh_latest)
refresh_new_schedule = _v1_schedule(refresh_new)
refresh_orders_schedule = _v1_schedule(refresh_orders)
