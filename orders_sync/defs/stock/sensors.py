"""Order events wake the stock job."""

import dagster as dg

from orders_sync.dagster_support.busy_lanes import runs_under_way
from orders_sync.database.schema import upgrade_schema
from orders_sync.defs.stock.assets import apply_order_events
from orders_sync.stock.apply_events import pending_events
from orders_sync.stock.connection import stock_connection


@dg.sensor(
    job=apply_order_events,
    minimum_interval_seconds=3,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Wakes the stock job when order events wait. It only wakes it: the job claims the events itself, so there "
        "is no cursor that could pass one by."
    ),
)
def order_events_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    upgrade_schema()
    with stock_connection("orders_sync sensor") as stock:
        waiting = pending_events(stock)
    if waiting == 0:
        return dg.SkipReason("No order event waits.")
    for run in runs_under_way(context.instance):
        if run.job_name == apply_order_events.name and run.status != dg.DagsterRunStatus.STARTED:
            return dg.SkipReason(f"{waiting} events wait for run {run.run_id[:8]}, which is about to start.")
        if run.job_name == apply_order_events.name:
            return dg.SkipReason(f"{waiting} events wait; run {run.run_id[:8]} is at work on them.")
    return dg.RunRequest(tags={"orders_sync/events_waiting": str(waiting)})
