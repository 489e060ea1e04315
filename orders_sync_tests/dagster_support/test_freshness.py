"""When an asset counts as stale: shortly after a tick whose pass is not done."""

from datetime import timedelta

import dagster as dg
import pytest

from orders_sync.config.schedules import check_schedules
from orders_sync.dagster_support.freshness import freshness_of
from orders_sync.model.lane import SyncType


def policy_of(cron: str, sync_type: SyncType = SyncType.NEW) -> dg.FreshnessPolicy:
    settings = {"timezone": "Europe/Berlin", "schedules": {sync_type.value: cron}}
    return freshness_of(sync_type, check_schedules(settings, "defs.yaml"))


@pytest.mark.parametrize("sync_type", list(SyncType))
@pytest.mark.parametrize(
    ("cron", "deadline"),
    [("0 6-22/2 * * *", "45 6-22/2 * * *"), ("14 2 * * 1-5", "59 2 * * 1-5")],
)
def test_a_pass_has_45_minutes_from_each_tick_on(cron: str, deadline: str, sync_type: SyncType) -> None:
    """It counts from ten minutes before its tick: clocks differ, and a run by hand may come a little early."""
    expected = dg.FreshnessPolicy.cron(deadline, lower_bound_delta=timedelta(minutes=55), timezone="Europe/Berlin")
    assert policy_of(cron, sync_type) == expected


@pytest.mark.parametrize("cron", ["15 2 * * *", "*/10 * * * *", "0,30 6 * * *", "* * * * *"])
def test_where_the_deadline_would_fall_into_the_next_hour_a_day_is_allowed(cron: str) -> None:
    assert policy_of(cron) == dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=25))


def test_dagster_takes_the_policy_for_an_asset() -> None:
    policy = policy_of("0 6-22/2 * * *")

    @dg.asset(freshness_policy=policy)
    def some() -> None: ...

    assert [spec.freshness_policy for spec in some.specs] == [policy]
