"""Which days a pass marks: those that it changed, and those that no run had covered; and what it shows of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_support.days_of_passes import days_of_outside_pass, days_to_mark, figures_of_days
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
    """The days that a pass marks, with the number of orders that it changed on each."""
    window = (start, MIDNIGHT + timedelta(minutes=1))
    settings = ScheduleSettings(partitions_start=since)
    changed = figures_of_days(connection, LANE, "test")
    found = days_to_mark(changed, window, settings, marked=[ago(0), ago(1)], covered=covered)
    return {day: changed.get(day, {}).get("changed_orders", 0) for day in found}


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


def test_a_day_of_new_orders_shows_how_many_are_stored_of_it(
    connection: Connection, account: SellerAccount, marketplace: Marketplace
) -> None:
    since_midnight = datetime.now(UTC) - MIDNIGHT  # a day and more, if midnight has passed meanwhile
    for number, days in ((1, 0), (2, 2), (3, 2), (4, 5)):
        an_order(marketplace, number, age=since_midnight + timedelta(days=days))
    sync(account)
    (created,) = connection.execute("SELECT max(created_at) FROM orders").fetchone() or (None,)
    assert created is not None
    of_days = figures_of_days(connection, Lane("shop", SyncType.NEW), "any", ago(3), ago(0))
    assert sum(figures["dagster/partition_row_count"] for figures in of_days.values()) == 3


def outside(
    start: datetime, *, behind: timedelta = timedelta(minutes=1), current: list[str] | None = None
) -> list[str]:
    """The days that a pass of the command line marks, which ended now; its window ends `behind` now."""
    now = MIDNIGHT + timedelta(hours=12)
    covered = [ago(number) for number in range(4)]
    return list(
        days_of_outside_pass((start, now - behind), now, ScheduleSettings(), covered, current or covered, changed=())
    )


def test_a_pass_of_the_command_line_marks_its_last_day_and_those_that_are_not_up_to_date() -> None:
    assert outside(MIDNIGHT - timedelta(days=3, hours=-5)) == [ago(0)]
    assert outside(MIDNIGHT - timedelta(days=3, hours=-5), current=[ago(2)]) == [ago(3), ago(1), ago(0)]


def test_a_day_that_a_pass_of_the_command_line_covered_in_part_is_not_marked() -> None:
    assert outside(MIDNIGHT - timedelta(days=5, hours=-5), current=[ago(0)]) == [ago(4), ago(3), ago(2), ago(1), ago(0)]
    until_noon_of_the_day_before = timedelta(days=1)
    assert outside(MIDNIGHT - timedelta(days=2), behind=until_noon_of_the_day_before, current=[ago(0)]) == [ago(2)]
    assert outside(MIDNIGHT + timedelta(hours=1), behind=timedelta(hours=2)) == []
