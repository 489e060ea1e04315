"""The sensor that starts the stock job when there are order events."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg

from orders_sync.dagster_support.busy_lanes import runs_under_way
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.patient_ticks import look_until
from orders_sync.defs.stock.jobs import apply_order_events
from orders_sync.stock.apply_events import pending_events
from orders_sync.stock.available_position import is_behind
from orders_sync.stock.connection import StockConnection

LOOK_SECONDS = 1.0
"""How often a tick looks for order events."""
WAITS = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=4))
"""How long the sensor waits after one, two, and three or more failed runs in a row. A run that fails has changed
nothing, and costs seconds of CPU time. Whatever made it fail, stock works again within five minutes of its end."""


@dg.sensor(
    job=apply_order_events,
    minimum_interval_seconds=3,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts the stock job when order events are pending, or when stock_available lacks a change of stock, e.g. by "
        "a pass that accepts lines. The job finds the events itself: a cursor here could skip events, since they are "
        "not committed in the order of their ids. A tick looks each second, for up to 50 seconds."
    ),
)
def order_events_sensor(
    context: dg.SensorEvaluationContext, orders_database: OrdersDatabase
) -> dg.RunRequest | dg.SkipReason:
    """Requests a run if there is something to do and no run of the job is queued or under way."""
    with orders_database.read_stock("sensor") as stock:
        return look_until(
            context, stock.connection, lambda: _request(context.instance, stock), _is_request, LOOK_SECONDS
        )


def _is_request(found: dg.RunRequest | dg.SkipReason) -> bool:
    return isinstance(found, dg.RunRequest)


def _request(instance: dg.DagsterInstance, stock: StockConnection) -> dg.RunRequest | dg.SkipReason:
    pending = pending_events(stock)
    if pending == 0 and not is_behind(stock):
        return dg.SkipReason("No order event is pending.")
    waiting = f"{pending} events are pending" if pending else "stock_available lacks a change of stock"
    for run in runs_under_way(instance):
        if run.job_name == apply_order_events.name and run.status != dg.DagsterRunStatus.STARTED:
            return dg.SkipReason(f"{waiting}; run {run.run_id[:8]} is about to start.")
        if run.job_name == apply_order_events.name:
            return dg.SkipReason(f"{waiting}; run {run.run_id[:8]} is under way.")
    next_at = _after_failed_runs(instance)
    if next_at is not None and next_at > datetime.now(UTC):
        return dg.SkipReason(f"{waiting}; the last run failed, the next one starts at {next_at:%H:%M:%S} UTC.")
    return dg.RunRequest(tags={"orders_sync/events_waiting": str(pending)})


def _after_failed_runs(instance: dg.DagsterInstance) -> datetime | None:
    """When the next run starts after runs of the job that failed; None: the last one did not."""
    finished: Sequence[dg.RunRecord] = instance.get_run_records(
        dg.RunsFilter(job_name=apply_order_events.name), limit=len(WAITS)
    )
    failed = list(takewhile(lambda record: record.dagster_run.status == dg.DagsterRunStatus.FAILURE, finished))
    if not failed:
        return None
    ended_at = datetime.fromtimestamp(failed[0].end_time or failed[0].update_timestamp.timestamp(), UTC)
    return ended_at + WAITS[len(failed) - 1]
