"""The sensor that starts the stock job when there are order events."""

import dagster as dg

from orders_sync.dagster_support.busy_lanes import runs_under_way
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.defs.stock.jobs import apply_order_events
from orders_sync.stock.apply_events import pending_events
from orders_sync.stock.available_position import is_behind


@dg.sensor(
    job=apply_order_events,
    minimum_interval_seconds=3,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts the stock job when order events are pending, or when stock_available lacks a change of stock, e.g. by "
        "a pass that accepts lines. The job finds the events itself: a cursor here could skip events, since they are "
        "not committed in the order of their ids."
    ),
)
def order_events_sensor(
    context: dg.SensorEvaluationContext, orders_database: OrdersDatabase
) -> dg.RunRequest | dg.SkipReason:
    """Requests a run if there is something to do and no run of the job is queued or under way."""
    with orders_database.read_stock("sensor") as stock:
        pending = pending_events(stock)
        if pending == 0 and not is_behind(stock):
            return dg.SkipReason("No order event is pending.")
    waiting = f"{pending} events are pending" if pending else "stock_available lacks a change of stock"
    for run in runs_under_way(context.instance):
        if run.job_name == apply_order_events.name and run.status != dg.DagsterRunStatus.STARTED:
            return dg.SkipReason(f"{waiting}; run {run.run_id[:8]} is about to start.")
        if run.job_name == apply_order_events.name:
            return dg.SkipReason(f"{waiting}; run {run.run_id[:8]} is under way.")
    return dg.RunRequest(tags={"orders_sync/events_waiting": str(pending)})
