"""What Dagster would not know by itself: passes of the command line; and the first reports, before the first night."""

from functools import reduce
from operator import or_

import dagster as dg

from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.outside_passes import is_shown, passes_to_show, show
from orders_sync.database.advisory_locks import try_lock
from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts
from orders_sync.model.lane import Lane, SyncType

DAILY_SUMMARY = dg.AssetKey("daily_summary")
FIRST_SHOWN = [DAILY_SUMMARY, *map(dg.AssetKey, ("orders", "order_items", "care_records", "order_events"))]
"""What is made once the first passes are done, and else only in the night or at the next hour."""
_LOCK = "orders_sync passes of the command line"


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Shows the passes of `orders-sync sync`, on whatever machine, in the assets of their lanes: their figures, and "
        "the days that they cover."
    ),
)
def passes_of_command_line(context: dg.SensorEvaluationContext, orders_database: OrdersDatabase) -> dg.SkipReason:
    """The cursor is that of `passes_to_show`. Of two daemons, one shows them."""
    with orders_database.connect("passes of the command line") as connection:
        if not try_lock(connection, _LOCK):
            return dg.SkipReason("Another daemon shows them.")
        made, cursor = passes_to_show(connection, context.cursor)
        new = [each for each in made if not is_shown(context.instance, each)]
        for each in new:
            show(context.instance, connection, each, load_schedules())
    context.update_cursor(cursor)
    return dg.SkipReason(f"Shown: {', '.join(each.run_id for each in new)}." if new else "None is new.")


@dg.sensor(
    asset_selection=reduce(or_, (dg.AssetSelection.assets(key) for key in FIRST_SHOWN)),
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Makes the daily summary, and runs the checks of the synced tables, as soon as each lane has had its first "
        "pass, so that nobody has to wait for the night."
    ),
)
def first_reports(
    context: dg.SensorEvaluationContext, orders_database: OrdersDatabase
) -> dg.RunRequest | dg.SkipReason:
    """The cursor is not empty once the summary was made: there is nothing to do any more."""
    if context.cursor or context.instance.get_latest_materialization_event(DAILY_SUMMARY) is not None:
        context.update_cursor("made")
        return dg.SkipReason("The first reports were made.")
    with orders_database.connect("first reports") as connection:
        rows = connection.execute("SELECT account, sync_type FROM lanes WHERE last_finished_at IS NOT NULL")
        had_one = {Lane(account, SyncType(sync_type)) for account, sync_type in rows}
    lanes = lanes_on(load_accounts()[0])
    if waiting := [str(lane) for lane in lanes if lane not in had_one] or (["an account"] if not lanes else []):
        return dg.SkipReason(f"Waits for the first pass of {', '.join(waiting)}.")
    return dg.RunRequest(run_key="first reports", asset_selection=FIRST_SHOWN)
