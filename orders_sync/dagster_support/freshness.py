"""When an asset counts as stale: some time after each tick of its schedule."""

from datetime import timedelta
from functools import cache

import dagster as dg

from orders_sync.config.schedules import SOME_MONDAY, ScheduleSettings
from orders_sync.model.lane import SyncType

GRACE_MINUTES = 45
"""How long after its tick a pass must have succeeded."""


def freshness_of(sync_type: SyncType, settings: ScheduleSettings) -> dg.FreshnessPolicy:
    """Stale when the pass of a tick has not succeeded GRACE_MINUTES after it.

    Where there are several crons, or the minute is a list, a range or too late in the hour, it is stale so long after
    the longest gap between two ticks of a week.
    """
    crons = settings.schedules.of(sync_type)
    minute, rest = crons[0].split(" ", 1)
    if len(crons) == 1 and minute.isdecimal() and int(minute) + GRACE_MINUTES < 60:
        return _by_cron(f"{int(minute) + GRACE_MINUTES} {rest}", settings.timezone)
    gap = settings.longest_gap(sync_type, SOME_MONDAY)
    return dg.FreshnessPolicy.time_window(fail_window=gap + timedelta(minutes=GRACE_MINUTES))


@cache  # Dagster looks at a thousand ticks of each, in every process; most accounts have the same schedules
def _by_cron(cron: str, timezone: str) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.cron(cron, lower_bound_delta=timedelta(minutes=GRACE_MINUTES + 10), timezone=timezone)
