"""Watermarks: never ahead of our clock, and set back by a person only."""

from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import LaneBusyError, hold
from orders_sync.lanes.watermark import RewindError, advance_watermark, rewind, watermark
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

LANE = Lane("shop", SyncType.NEW)


def test_a_watermark_never_lies_ahead_of_our_clock(connection: Connection) -> None:
    started(connection, LANE, "test")
    assert advance_watermark(connection, LANE, datetime.now(UTC) + timedelta(days=1)) <= datetime.now(UTC)


@pytest.mark.parametrize("ago", [timedelta(days=-1), timedelta(days=-3650), timedelta(days=1), timedelta(days=3650)])
def test_a_clock_that_is_far_off_is_reported_and_the_earlier_one_counts(connection: Connection, ago: timedelta) -> None:
    with Marketplace(ago=ago) as marketplace:
        summary = sync(sandbox_account(marketplace), "new")
        direction = "ahead of" if ago < timedelta(0) else "behind"
        (problem,) = summary.problems
        assert f"the clock of 127.0.0.1 was {abs(ago).days} day" in problem
        assert f"{direction} ours" in problem
        earlier = min(marketplace.now(), datetime.now(UTC))
        assert summary.watermark is not None
        assert timedelta(seconds=115) < earlier - summary.watermark < timedelta(seconds=180)


@pytest.mark.parametrize("ago", [timedelta(minutes=-4), timedelta(minutes=4)])
def test_a_clock_that_is_little_off_is_believed(connection: Connection, ago: timedelta) -> None:
    with Marketplace(ago=ago) as marketplace:
        summary = sync(sandbox_account(marketplace, lag_seconds=300), "new")
        assert summary.problems == []
        assert summary.watermark is not None
        assert timedelta(seconds=295) < marketplace.now() - summary.watermark < timedelta(seconds=360)


def test_one_wrong_date_does_not_hide_later_orders(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.pass_time(days=1)
    assert len(sync(account).problems) == 1
    marketplace.pass_time(days=-1)
    an_order(marketplace, 1)
    summary = sync(account)
    assert (summary.created, summary.problems) == (1, [])


def test_a_watermark_in_the_future_is_reported_and_orders_are_fetched(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    sync(account)
    connection.execute("UPDATE lanes SET watermark = now() + interval '1 day'")
    an_order(marketplace, 1)
    summary = sync(account)
    assert summary.created == 1
    (problem,) = summary.problems
    assert "lies in the future" in problem
    assert "orders-sync lanes rewind shop/new --to TIME" in problem


def test_a_rewind_is_recorded_and_the_next_pass_starts_there(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    sync(account)
    an_order(marketplace, 1, age=timedelta(hours=5))
    assert sync(account).created == 0
    before = watermark(connection, LANE)
    to = datetime.now(UTC) - timedelta(days=1)
    assert rewind(LANE, to, by="me@here", reason="a wrong clock", run_id="test") == before
    assert watermark(connection, LANE) == to
    columns = "account, sync_type, from_watermark, to_watermark, rewound_by, reason"
    assert connection.execute(f"SELECT {columns} FROM watermark_rewinds").fetchall() == [
        ("shop", "new", before, to, "me@here", "a wrong clock")
    ]
    assert sync(account).created == 1


def test_a_watermark_is_only_set_back(connection: Connection) -> None:
    with pytest.raises(RewindError, match="has no watermark yet"):
        rewind(LANE, datetime.now(UTC), by="me@here", reason="why", run_id="test")
    started(connection, LANE, "test")
    advance_watermark(connection, LANE, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(RewindError, match="is 2026-01-01 00:00:00 UTC, and is only set back"):
        rewind(LANE, datetime(2026, 1, 2, tzinfo=UTC), by="me@here", reason="why", run_id="test")
    assert connection.execute("SELECT count(*) FROM watermark_rewinds").fetchone() == (0,)


def test_a_lane_that_is_busy_is_not_rewound(connection: Connection) -> None:
    with hold(LANE, "other"), pytest.raises(LaneBusyError):
        rewind(LANE, datetime.now(UTC), by="me@here", reason="why", run_id="test")
