"""When an asset counts as stale: shortly after a tick whose pass is not done."""

from datetime import timedelta

import dagster as dg
import pytest

from orders_sync.config.schedules import check_schedules
from orders_sync.dagster_support.freshness import freshness_of
from orders_sync.model.lane import SyncType


def policy_of(cron: str | list[str], sync_type: SyncType = SyncType.NEW) -> dg.FreshnessPolicy:
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


@pytest.mark.parametrize(
    ("cron", "minutes"),
    [
        ("15 2 * * *", 24 * 60), ("*/10 * * * *", 10), ("0,30 6 * * *", 23 * 60 + 30), ("* * * * *", 1),
        (["0 2 * * *", "30 4 * * *"], 21 * 60 + 30), ("15 2 * * 1", 7 * 24 * 60),
    ],
)  # fmt: skip
def test_where_no_cron_can_say_the_deadline_it_follows_the_longest_gap(cron: str | list[str], minutes: int) -> None:
    """The deadline would fall into the next hour, or there are several crons."""
    expected = dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=minutes + 45))
    assert policy_of(cron) == expected


def test_dagster_takes_the_policy_for_an_asset() -> None:
    policy = policy_of("0 6-22/2 * * *")

    @dg.asset(freshness_policy=policy)
    def some() -> None: ...

    assert [spec.freshness_policy for spec in some.specs] == [policy]
