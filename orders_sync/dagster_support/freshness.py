"""When an asset counts as stale: somewhat after each tick of its schedule."""

from datetime import timedelta

import dagster as dg

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.model.lane import SyncType

GRACE_MINUTES = 45
"""A pass has to be done so long after its tick."""


def freshness_of(sync_type: SyncType, settings: ScheduleSettings) -> dg.FreshnessPolicy:
    """Stale when a tick's pass is not done in time. Crons whose minute is a list have a day's window instead."""
    cron = settings.schedules.of(sync_type)
    minute, rest = cron.split(" ", 1)
    if minute.isdecimal() and int(minute) + GRACE_MINUTES < 60:
        return dg.FreshnessPolicy.cron(
            f"{int(minute) + GRACE_MINUTES} {rest}",
            lower_bound_delta=timedelta(minutes=GRACE_MINUTES + 10),
            timezone=settings.timezone,
        )
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=25))
