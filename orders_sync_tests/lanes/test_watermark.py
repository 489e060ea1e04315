"""Watermarks: never ahead of our clock, and set back by a person only."""

from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import LaneBusyError, hold
from orders_sync.lanes.watermark import RewindError, advance_watermark, rewind, watermark
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.run_pass import PassFailedError
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
    assert rewind(LANE, to, By("me@here", "a wrong clock", run_id="test")) == before
    assert watermark(connection, LANE) == to
    columns = "account, sync_type, from_watermark, to_watermark, rewound_by, reason"
    assert connection.execute(f"SELECT {columns} FROM watermark_rewinds").fetchall() == [
        ("shop", "new", before, to, "me@here", "a wrong clock")
    ]
    assert sync(account).created == 1


def set_watermark(connection: Connection, to: str) -> None:
    started(connection, LANE, "test")
    connection.execute("UPDATE lanes SET watermark = %s::timestamptz", [to])


def set_to(year: int, month: int, day: int = 1) -> datetime:
    """Sets the watermark as a person does; returns the one before."""
    return rewind(LANE, datetime(year, month, day, tzinfo=UTC), By("me@here", "why", run_id="test"))


def test_a_watermark_is_not_set_beyond_what_the_lane_has_seen(connection: Connection) -> None:
    with pytest.raises(RewindError, match="has no watermark yet"):
        set_to(2026, 1)
    set_watermark(connection, "2026-01-01 00:00 UTC")
    for month in (1, 2):
        with pytest.raises(RewindError, match="is 2026-01-01 00:00:00 UTC, and is only set back or to where it was"):
            set_to(2026, month)
    assert connection.execute("SELECT count(*) FROM watermark_rewinds").fetchone() == (0,)


def test_a_rewind_that_was_too_far_is_undone_up_to_where_the_watermark_was(connection: Connection) -> None:
    set_watermark(connection, "2026-03-01 00:00 UTC")
    set_to(2020, 1)
    with pytest.raises(RewindError, match="name an earlier time, or one up to 2026-03-01 00:00:00 UTC, where it was"):
        set_to(2026, 3, 2)
    assert set_to(2026, 2) == datetime(2020, 1, 1, tzinfo=UTC)
    assert set_to(2026, 3) == datetime(2026, 2, 1, tzinfo=UTC)
    with pytest.raises(RewindError, match="is only set back"):
        set_to(2026, 4)
    assert connection.execute("SELECT count(*) FROM watermark_rewinds").fetchone() == (3,)


def test_a_watermark_that_lay_in_the_future_is_no_proof_of_what_was_seen(connection: Connection) -> None:
    set_watermark(connection, "2026-03-01 00:00 UTC")
    connection.execute(
        "INSERT INTO watermark_rewinds (account, sync_type, from_watermark, to_watermark, rewound_at, rewound_by, reason)"
        " VALUES ('shop', 'new', '2026-06-01 UTC', '2026-03-01 UTC', '2026-04-01 UTC', 'me@here', 'a wrong clock')"
    )
    with pytest.raises(RewindError, match=r"name an earlier time\.$"):
        set_to(2026, 5)


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        (
            datetime(1, 1, 1, tzinfo=UTC),
            "0001-01-01 00:00:00 UTC lies before 2000-01-01: name one from 2000-01-01 up to",
        ),
        (datetime(1999, 12, 31, 23, 59, tzinfo=UTC), "lies before 2000-01-01"),
        (datetime(9999, 12, 31, tzinfo=UTC), "9999-12-31 00:00:00 UTC lies in the future"),
    ],
)
def test_a_watermark_is_not_set_to_a_time_that_no_record_has(
    connection: Connection, to: datetime, problem: str
) -> None:
    set_watermark(connection, "2026-01-01 00:00 UTC")
    with pytest.raises(RewindError, match=problem):
        rewind(LANE, to, By("me@here", "why", run_id="test"))
    assert watermark(connection, LANE) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("sync_type", ["new", "modified", "care"])
def test_a_watermark_before_2000_fails_the_pass_and_the_remedy_that_it_names_works(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, sync_type: str
) -> None:
    an_order(marketplace, 1)
    lane = Lane("shop", SyncType(sync_type))
    started(connection, lane, "test")
    connection.execute("UPDATE lanes SET watermark = '0001-01-01 00:00 UTC'")
    with pytest.raises(PassFailedError) as problem:
        sync(account, sync_type)
    assert str(problem.value) == (
        f"shop/{sync_type}: the watermark 0001-01-01 00:00:00 UTC lies before 2000-01-01, so no pass can start there. "
        f"Set it with `orders-sync lanes rewind shop/{sync_type} --to TIME --reason REASON`, to a time when it was right; "
        "the next pass fetches everything from there on."
    )
    rewind(lane, datetime(2026, 1, 1, tzinfo=UTC), By("me@here", "year 1", run_id="test"))
    assert sync(account, sync_type).watermark is not None


@pytest.mark.parametrize("sync_type", ["new", "modified", "care"])
@pytest.mark.parametrize("name", ["start", "end"])
def test_a_pass_with_a_start_or_end_before_2000_fails_and_sets_no_watermark(
    account: SellerAccount, connection: Connection, sync_type: str, name: str
) -> None:
    with pytest.raises(PassFailedError, match=f"the requested {name} 0001-01-01 of the sync lies before 2000-01-01"):
        sync(account, sync_type, **{name: datetime(1, 1, 1, tzinfo=UTC)})
    assert connection.execute("SELECT watermark FROM lanes").fetchall() == [(None,)]


def test_a_lane_that_is_busy_is_not_rewound(connection: Connection) -> None:
    with hold(LANE, "other"), pytest.raises(LaneBusyError):
        rewind(LANE, datetime.now(UTC), By("me@here", "why", run_id="test"))
