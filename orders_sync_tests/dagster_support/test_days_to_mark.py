"""Which days a scheduled pass of `modified` marks: those that it changed, and those that no run had covered."""

from datetime import UTC, date, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_support.days_to_mark import days_to_mark
from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

LANE = Lane("shop", SyncType.MODIFIED)
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
TODAY = MIDNIGHT.date()


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def all_but(*days: int) -> list[str]:
    """The last ten days without these, as covered before."""
    return [ago(number) for number in range(10) if number not in days]


@pytest.fixture
def passed(connection: Connection, account: SellerAccount) -> Connection:
    """After a pass of `modified`, whose run is called `test`, that found nothing."""
    sync(account, "modified")
    return connection


def mark(connection: Connection, start: datetime, covered: list[str], since: date = date(2025, 1, 1)) -> dict[str, int]:
    window = (start, MIDNIGHT + timedelta(minutes=1))
    settings = ScheduleSettings(partitions_start=since)
    return days_to_mark(connection, LANE, "test", window, settings, marked=[ago(0), ago(1)], covered=covered)


def test_days_that_no_run_had_covered_are_marked_but_for_those_of_the_run(passed: Connection) -> None:
    assert mark(passed, MIDNIGHT - timedelta(days=6), all_but(0, 1, 3, 4)) == {ago(4): 0, ago(3): 0}


def test_a_day_that_the_pass_covered_in_part_is_not_marked_unless_it_changed(
    passed: Connection, marketplace: Marketplace
) -> None:
    noon = MIDNIGHT - timedelta(days=5, hours=-12)
    assert mark(passed, noon, all_but(5)) == {}
    assert mark(passed, MIDNIGHT - timedelta(days=5), all_but(5)) == {ago(5): 0}
    age = marketplace.now() - noon - timedelta(hours=1)
    for number in (1, 2):
        an_order(marketplace, number, age=age)
    sync(sandbox_account(marketplace), "modified")
    assert mark(passed, noon, all_but(5)) == {ago(5): 2}


def test_changes_of_other_accounts_mark_no_day(passed: Connection, marketplace: Marketplace) -> None:
    an_order(marketplace, 1, age=timedelta(days=4))
    sync(sandbox_account(marketplace, "other"), "modified")
    assert mark(passed, MIDNIGHT - timedelta(days=6), all_but()) == {}


def test_no_day_before_the_first_partition_is_marked(passed: Connection) -> None:
    first = TODAY - timedelta(days=3)
    assert mark(passed, MIDNIGHT - timedelta(days=6), [], first) == {ago(3): 0, ago(2): 0}
