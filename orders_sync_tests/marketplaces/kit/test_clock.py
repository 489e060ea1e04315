"""The marketplace's clock is believed while it differs little from ours; beyond that, the earlier one counts."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from orders_sync.marketplaces.kit.clock import MarketplaceClock

MARGIN = timedelta(seconds=3)
"""The header has whole seconds, and the test takes time."""


def clock_of(*offsets: timedelta) -> MarketplaceClock:
    """The clock after answers whose Date differs from our clock by the offsets."""
    clock = MarketplaceClock("shop.example")
    for offset in offsets:
        clock.read(httpx.Response(200, headers={"Date": format_datetime(datetime.now(UTC) + offset, usegmt=True)}))
    return clock


@pytest.mark.parametrize(
    ("offset", "believed"),
    [
        (timedelta(minutes=4), timedelta(minutes=4)),
        (timedelta(minutes=-4), timedelta(minutes=-4)),
        (timedelta(minutes=20), timedelta(0)),
        (timedelta(minutes=-20), timedelta(minutes=-20)),
    ],
)
def test_the_earlier_clock_counts_where_they_differ_by_more_than_five_minutes(
    offset: timedelta, believed: timedelta
) -> None:
    assert abs(clock_of(offset).now() - datetime.now(UTC) - believed) < MARGIN


@pytest.mark.parametrize(
    ("offset", "latest"),
    [
        (timedelta(minutes=3), timedelta(minutes=3)),
        (timedelta(hours=-10), timedelta(0)),
        (timedelta(hours=10), timedelta(hours=10)),
        (timedelta(days=300), timedelta(days=1)),
    ],
)
def test_the_latest_time_is_that_of_the_later_clock(offset: timedelta, latest: timedelta) -> None:
    """A record's time may be right by it. A clock that is days ahead is wrong for certain."""
    assert abs(clock_of(offset).latest() - datetime.now(UTC) - latest) < MARGIN


def test_the_largest_difference_is_reported_once_the_clocks_agree_again() -> None:
    assert clock_of(timedelta(minutes=4)).problem() is None
    clock = clock_of(timedelta(minutes=-20), timedelta(minutes=30), timedelta(minutes=10), timedelta(0))
    assert clock.problem() == (
        "the clock of shop.example was 0:30:00 ahead of ours; where they differ by more than 5 minutes, the earlier "
        "one counts"
    )
    assert "0:20:00 behind ours" in (clock_of(timedelta(minutes=-20)).problem() or "")


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}, {"Date": f"Mon, 01 Jan {10**20} 00:00:00 GMT"}])
def test_an_answer_without_a_readable_date_changes_nothing(headers: dict[str, str]) -> None:
    clock = clock_of(timedelta(minutes=-20))
    clock.read(httpx.Response(200, headers=headers))
    assert abs(clock.now() - datetime.now(UTC) + timedelta(minutes=20)) < MARGIN
