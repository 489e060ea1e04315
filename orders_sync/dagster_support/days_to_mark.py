"""Which days a scheduled pass of `modified` marks as materialized beside those of its run's own partitions.

Such a pass looks at three months, most of which it finds unchanged. Each day that a run marks costs two rows of
Dagster's event log, so the run's partitions are the days since the watermark only. Of the days before, the run marks
those on which the pass changed an order, and those that no run had covered.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane


def days_to_mark(
    connection: Connection,
    lane: Lane,
    run_id: str,
    window: tuple[datetime, datetime],
    settings: ScheduleSettings,
    marked: Collection[str],
    covered: Collection[str],
) -> dict[str, int]:
    """The days to mark, as partition keys in time order, each with the number of orders that changed on it.

    `window`: where the pass of the run started and ended. `marked`: the run's own partitions. `covered`: the days that
    runs had marked before.
    """
    changed = dict(connection.execute(_CHANGED, [*lane, run_id, lane.account]).fetchall())
    begin, end = (moment.astimezone(UTC) for moment in window)
    first_whole = (begin + timedelta(days=1, microseconds=-1)).date()
    found: dict[str, int] = {}
    for day in _days(max(begin.date(), settings.partitions_start), end.date()):
        key = day.isoformat()
        if key not in marked and (day in changed or (day >= first_whole and key not in covered)):
            found[key] = changed.get(day, 0)
    return found


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


# The orders that the run stored; another lane may have stored some of them meanwhile, which changes their days too.
_CHANGED = """
SELECT (coalesce(modified_at, created_at) AT TIME ZONE 'UTC')::date, count(*)
FROM orders, (
  SELECT min(started_at) AS at FROM lane_runs WHERE account = %s AND sync_type = %s AND run_id = %s) began
WHERE account = %s AND stored_at >= began.at
GROUP BY 1
"""
