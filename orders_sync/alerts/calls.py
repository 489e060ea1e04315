"""When each channel was last called, and whether that worked: the table `alert_channels`."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import LiteralString

from orders_sync.database.engine import Connection
from orders_sync.health.alerts import kind_of

RETRY_AFTER = timedelta(minutes=5)
"""A channel that failed is called again so much later."""
EVALUATION = ""
"""The row that stands for the examinations."""


def note_call(connection: Connection, channel: str, problem: str | None) -> None:
    """Stores that a channel was called now. `problem`: why that failed; None: it did not."""
    connection.execute(_NOTE, {"channel": channel, "problem": problem})


_NOTE: LiteralString = """
INSERT INTO alert_channels AS noted (channel, called_at, failed_at, problem)
VALUES (%(channel)s, CASE WHEN %(problem)s::text IS NULL THEN now() END,
  CASE WHEN %(problem)s::text IS NOT NULL THEN now() END, %(problem)s)
ON CONFLICT (channel) DO UPDATE SET
  called_at = coalesce(excluded.called_at, noted.called_at), failed_at = excluded.failed_at, problem = excluded.problem
"""


def leave_to_others(connection: Connection, unset: Mapping[str, str]) -> None:
    """Stores why this process can't call channels that others may be able to call, and lets those evaluate at once."""
    for channel, problem in unset.items():
        connection.execute(_NOTE_UNSET, [channel, problem])
    connection.execute("UPDATE alert_channels SET called_at = NULL WHERE channel = %s", [EVALUATION])


_NOTE_UNSET: LiteralString = """
INSERT INTO alert_channels (channel, problem) VALUES (%s, %s) ON CONFLICT (channel) DO UPDATE
SET problem = excluded.problem
"""


def note_working(connection: Connection, channels: Iterable[str]) -> None:
    """Stores that a person has called these channels, and that they work: their problems are over."""
    for channel in channels:
        note_call(connection, channel, None)
        connection.execute(
            "UPDATE troubles SET ended_at = now() WHERE examination = 'alerts' AND kind = %s AND ended_at IS NULL",
            [kind_of(channel)],
        )


def is_due(connection: Connection, channel: str, every: timedelta) -> bool:
    """Whether the last call that worked was so long ago."""
    row = connection.execute(
        "SELECT called_at > now() - %s::interval FROM alert_channels WHERE channel = %s", [every, channel]
    ).fetchone()
    return row is None or not row[0]


def failed_lately(connection: Connection, channel: str) -> bool:
    """Whether the last call failed, and it is too early for another one."""
    row = connection.execute(
        "SELECT failed_at > now() - %s::interval FROM alert_channels WHERE channel = %s", [RETRY_AFTER, channel]
    ).fetchone()
    return row is not None and bool(row[0])
