"""The watermark of a lane: the time up to which the lane has seen everything."""

from datetime import datetime

from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane


def watermark(connection: Connection, lane: Lane) -> datetime | None:
    """The lane's watermark, by the marketplace's clock; None before its first complete pass."""
    row = connection.execute("SELECT watermark FROM lanes WHERE account = %s AND sync_type = %s", [*lane]).fetchone()
    return row[0] if row else None


def advance_watermark(connection: Connection, lane: Lane, to: datetime) -> datetime:
    """Moves the watermark forward, never back; returns it. Call it in the pass's last transaction."""
    row = connection.execute(
        """
        UPDATE lanes SET watermark = greatest(watermark, %s) WHERE account = %s AND sync_type = %s
        RETURNING watermark
        """,
        [to, *lane],
    ).fetchone()
    assert row is not None, "started() made the row"
    return row[0]
