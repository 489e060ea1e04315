"""The watermark of a lane: the time up to which the lane has seen everything."""

from datetime import UTC, datetime

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import hold
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import Lane
from orders_sync.model.times import EARLIEST, why_out_of_range


class RewindError(UserFacingError):
    """A watermark that can't be set as requested."""


class WatermarkError(UserFacingError):
    """A watermark before any marketplace's records: a pass can't start there."""


def remedy(lane: Lane) -> str:
    """How a person mends a wrong watermark."""
    return (
        f"Set it with `orders-sync lanes rewind {lane} --to TIME --reason REASON`, to a time when it was right; the "
        "next pass fetches everything from there on"
    )


def watermark(connection: Connection, lane: Lane) -> datetime | None:
    """The lane's watermark, by the marketplace's clock; None before its first complete pass.

    It may be wrong: see `WatermarkError`, and the check of it at the start of a pass.
    """
    row = connection.execute("SELECT watermark FROM lanes WHERE account = %s AND sync_type = %s", [*lane]).fetchone()
    return row[0] if row else None


def advance_watermark(connection: Connection, lane: Lane, to: datetime) -> datetime:
    """Moves the watermark forward, never back and not ahead of our clock; returns it.

    Call it in the pass's last transaction.
    """
    row = connection.execute(
        """
        UPDATE lanes SET watermark = greatest(watermark, least(%s, clock_timestamp()))
        WHERE account = %s AND sync_type = %s
        RETURNING watermark
        """,
        [to, *lane],
    ).fetchone()
    assert row is not None, "started() made the row"
    return row[0]


def check_not_before_records(lane: Lane, reached: datetime) -> None:
    """Raises WatermarkError for a watermark before the year 2000: programs write such times for none."""
    if reached < EARLIEST:
        wrong = f"the watermark {_utc(reached)} lies before {EARLIEST:%Y-%m-%d}"
        raise WatermarkError(f"{wrong}, so no pass can start there. {remedy(lane)}.")


def rewind(lane: Lane, to: datetime, by: By, *, url: str | None = None) -> datetime:
    """Sets a lane's watermark back, and stores who did it and why; returns the watermark before.

    It may also be set forward, up to where it was before an earlier rewind: the lane has seen everything until then. A
    watermark before the year 2000 says nothing, and may be set to any time since.

    `by`: with the id of the run that holds the lane meanwhile.

    The lane's next pass starts there. `to`: an aware time. Raises LaneBusyError while a run works
    on the lane, and RewindError if the watermark can't be set to `to`.
    """
    problem = why_out_of_range(to, datetime.now(UTC))
    if problem is not None:
        raise RewindError(
            f"The time {_utc(to)} {problem}: name one from {EARLIEST:%Y-%m-%d} up to now. The watermark stays as it is."
        )
    with hold(lane, by.run_id, url=url) as connection, connection.transaction():
        before = watermark(connection, lane)
        if before is None:
            raise RewindError(f"Lane {lane} has no watermark yet: its first pass fetches everything.")
        if before >= EARLIEST:
            _check_seen(lane, to, before, _highest_before_rewinds(connection, lane))
        connection.execute(
            "UPDATE lanes SET watermark = %s WHERE account = %s AND sync_type = %s",
            [to, *lane],
        )
        connection.execute(
            "INSERT INTO watermark_rewinds (account, sync_type, from_watermark, to_watermark, rewound_by, reason) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [*lane, before, to, by.user, by.reason],
        )
        detail = f"watermark from {_utc(before)} to {_utc(to)}"
        note_act(connection, by, Act.REWIND_LANE, On(lane.account, other=f"lane {lane}"), detail)
    return before


def _highest_before_rewinds(connection: Connection, lane: Lane) -> datetime | None:
    """The highest watermark that the lane had before a rewind, less those that lay in the future then."""
    row = connection.execute(
        """
        SELECT max(from_watermark) FROM watermark_rewinds
        WHERE account = %s AND sync_type = %s AND from_watermark <= rewound_at
        """,
        [*lane],
    ).fetchone()
    return row[0] if row else None


def _check_seen(lane: Lane, to: datetime, now: datetime, earlier: datetime | None) -> None:
    """Raises RewindError if the lane may not have seen everything up to `to`."""
    highest = max(now, earlier) if earlier is not None else now
    if to < now or (now < to <= highest):
        return
    allowed = "name an earlier time"
    if highest > now:
        allowed += f", or one up to {_utc(highest)}, where it was before it was set back"
    raise RewindError(
        f"The watermark of lane {lane} is {_utc(now)}, and is only set back or to where it was: {allowed}."
    )


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'seconds')} UTC"
