"""The job that compares V1 and V2, and when it runs; V1's own schedules, which are off by default."""

from datetime import UTC, timedelta

import dagster as dg

from orders_sync.config import crons
from orders_sync.config.v1 import load_cutover_settings
from orders_sync.cutover.readiness import accounts_of
from orders_sync.dagster_instance.automation import v1_schedule_name
from orders_sync.dagster_instance.cutover_assets import comparison_key
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.defs.cutover.jobs import TAGS, refresh_latest, refresh_new, refresh_orders
from orders_sync.lanes.authority import current_authority

compare_v1_and_v2 = dg.define_asset_job(
    "compare_v1_and_v2",
    selection=dg.AssetSelection.assets(*map(comparison_key, accounts_of(load_cutover_settings()))),
    description="Compares V1 and V2 for a day, for each account of V1.",
    executor_def=dg.in_process_executor,
)


@dg.schedule(
    job=compare_v1_and_v2,
    cron_schedule=crons.V1_V2_COMPARISON,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares yesterday's orders, after the syncs of the night, while V1 and V2 run side by side.",
)
def compare_v1_and_v2_schedule(
    context: dg.ScheduleEvaluationContext, orders_database: OrdersDatabase
) -> dg.RunRequest | dg.SkipReason:
    """Requests the comparison of the UTC day before the tick, for the accounts that V1 has. Skips if it has none."""
    with orders_database.connect("schedule") as connection:
        authority = current_authority(connection)
    of_v1 = [name for name in accounts_of(load_cutover_settings()) if not authority.is_live(name)]
    if not of_v1:
        return dg.SkipReason("V2 is live, or there never was a V1: there is nothing to compare.")
    yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
    keys = list(map(comparison_key, of_v1))
    return dg.RunRequest(run_key=str(yesterday), partition_key=str(yesterday), asset_selection=keys)


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
