"""Which days a pass marks as materialized beside those of its run's own partitions, and what it shows of each day.

A scheduled pass of `modified` looks at three months, most of which it finds unchanged. Each day that a run marks costs
two rows of Dagster's event log, so the run's partitions are the days since the watermark only. Of the days before, the
run marks those on which the pass changed an order, and those that no run had covered.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import LiteralString

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.first_day import first_day
from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane, SyncType

ROW_COUNT = "dagster/partition_row_count"
"""Dagster's name of the number of rows of a partition."""
CHANGED = "changed_orders"


def days_to_mark(
    changed: Collection[str],
    window: tuple[datetime, datetime],
    settings: ScheduleSettings,
    marked: Collection[str],
    covered: Collection[str],
) -> list[str]:
    """The days to mark, as partition keys in time order.

    `changed`: the days on which the pass changed something. `window`: where the pass started and ended. `marked`: the
    run's own partitions. `covered`: the days that runs had marked before.
    """
    begin, end = (moment.astimezone(UTC) for moment in window)
    first_whole = (begin + timedelta(days=1, microseconds=-1)).date()
    days = days_between(max(begin.date(), first_day(settings)), end.date())
    keys = [(day, day.isoformat()) for day in days]
    return [
        key
        for day, key in keys
        if key not in marked and (key in changed or (day >= first_whole and key not in covered))
    ]


def days_between(first: date, last: date) -> list[date]:
    """Each day from the first to the last one."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def figures_of_days(
    connection: Connection, lane: Lane, run_id: str, first: str | None = None, last: str | None = None
) -> dict[str, dict[str, int]]:
    """What a lane shows of each day, by partition key: only what belongs to that day.

    `modified`: the orders of the day that the pass changed, for days with such orders. `new` and `care`: the stored
    orders and care records of the day, for the days from `first` to `last` with some.
    """
    if lane.sync_type is SyncType.MODIFIED:
        rows = connection.execute(_CHANGED, [*lane, run_id, lane.account])
        return {day.isoformat(): {CHANGED: count} for day, count in rows}
    rows = connection.execute(_STORED[lane.sync_type], [lane.account, first, last])
    return {day.isoformat(): {ROW_COUNT: count} for day, count in rows}


def shown(figures: Mapping[str, Mapping[str, int]], lane: Lane, day: str) -> Mapping[str, int]:
    """The figures of one day; a day that is not in `figures` has none of its records."""
    return figures.get(day) or {CHANGED if lane.sync_type is SyncType.MODIFIED else ROW_COUNT: 0}


def days_of_outside_pass(
    window: tuple[datetime, datetime],
    finished_at: datetime,
    settings: ScheduleSettings,
    covered: Collection[str],
    up_to_date: Collection[str],
    changed: Collection[str],
) -> Sequence[str]:
    """The days that a pass of the command line marks, as partition keys in time order.

    It covers the whole days of its window, today as far as it has come, and a first day that is covered in part if
    passes before had covered the rest. Of these it marks the last one, those on which it changed something, and those
    that are not `up_to_date`: never materialized, or in a run that failed.
    """
    begin, end = (moment.astimezone(UTC) for moment in window)
    first = begin.date()
    if begin != datetime.combine(first, datetime.min.time(), UTC) and first.isoformat() not in covered:
        first += timedelta(days=1)
    last = end.date() if finished_at - end < OPEN_END else end.date() - timedelta(days=1)
    keys = [day.isoformat() for day in days_between(max(first, first_day(settings)), last)]
    return [key for key in keys if key == keys[-1] or key in changed or key not in up_to_date]


OPEN_END = timedelta(hours=1)
"""A pass whose window ends so shortly before the pass has covered the last day as far as it has come."""

# The orders that were stored while the run's passes ran. Another lane may have stored some: their days change, too.
_CHANGED: LiteralString = """
SELECT (coalesce(modified_at, created_at) AT TIME ZONE 'UTC')::date, count(*)
FROM orders, (
  SELECT min(started_at) AS began, coalesce(max(finished_at), 'infinity') AS ended
  FROM lane_runs WHERE account = %s AND sync_type = %s AND run_id = %s) passes
WHERE account = %s AND stored_at BETWEEN passes.began AND passes.ended
GROUP BY 1
"""
_STORED: Mapping[SyncType, LiteralString] = {
    SyncType.NEW: """
SELECT (created_at AT TIME ZONE 'UTC')::date, count(*) FROM orders
WHERE account = %s AND created_at >= %s::date::timestamp AT TIME ZONE 'UTC'
  AND created_at < (%s::date + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY 1
""",
    SyncType.CARE: """
SELECT (coalesce(modified_at, first_stored_at) AT TIME ZONE 'UTC')::date AS day, count(*) FROM care_records
WHERE account = %s AND (coalesce(modified_at, first_stored_at) AT TIME ZONE 'UTC')::date BETWEEN %s::date AND %s::date
GROUP BY 1
""",
}
