"""A cron's shortest interval is computed once."""

from datetime import timedelta

import dagster as dg
import pytest

from orders_sync.dagster_instance.cron_intervals import compute_cron_intervals_once
from orders_sync.dagster_instance.internals import freshness

COMPUTES = "get_smallest_cron_interval"


def policy(cron: str, minutes: int) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.cron(cron, lower_bound_delta=timedelta(minutes=minutes), timezone="Europe/Berlin")


def test_many_policies_of_a_cron_compute_it_once() -> None:
    compute_cron_intervals_once()
    compute_cron_intervals_once()  # as each instance of Dagster does
    computes = getattr(freshness, COMPUTES)
    computes.cache_clear()
    assert len({policy("7 4 * * *", 55) for _ in range(20)}) == 1
    assert computes.cache_info().misses == 1


def test_a_policy_that_its_cron_does_not_allow_is_refused_as_before() -> None:
    compute_cron_intervals_once()
    policy("*/30 * * * *", 30)
    with pytest.raises(Exception, match="smallest cron interval"):
        policy("*/30 * * * *", 31)
