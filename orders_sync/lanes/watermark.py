"""The watermark of a lane: the time up to which the lane has seen everything."""

from datetime import UTC, datetime

from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import hold
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import Lane


class RewindError(UserFacingError):
    """A watermark that can't be set back as requested."""


def watermark(connection: Connection, lane: Lane) -> datetime | None:
    """The lane's watermark, by the marketplace's clock; None before its first complete pass."""
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


def rewind(lane: Lane, to: datetime, *, by: str, reason: str, run_id: str, url: str | None = None) -> datetime:
    """Sets a lane's watermark back, and stores who did it and why; returns the watermark before.

    The lane's next pass starts there. `by`: user@machine. `to`: an aware time. Raises LaneBusyError while a run works
    on the lane, and RewindError if the watermark does not lie after `to`.
    """
    with hold(lane, run_id, url=url) as connection, connection.transaction():
        before = watermark(connection, lane)
        if before is None:
            raise RewindError(f"Lane {lane} has no watermark yet: its first pass fetches everything.")
        if to >= before:
            raise RewindError(
                f"The watermark of lane {lane} is {before.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, and is only set "
                "back: name an earlier time."
            )
        connection.execute(
            "UPDATE lanes SET watermark = %s WHERE account = %s AND sync_type = %s",
            [to, *lane],
        )
        connection.execute(
            "INSERT INTO watermark_rewinds (account, sync_type, from_watermark, to_watermark, rewound_by, reason) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [*lane, before, to, by, reason],
        )
    return before
