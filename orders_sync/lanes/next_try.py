"""When a lane whose pass did not succeed is tried again: after longer and longer, however often its schedule ticks."""

from datetime import datetime, timedelta

BACKOFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
"""How long after a failure the next try comes: after the first one, the second … in a row."""


def next_try(failures: int, last_at: datetime) -> datetime:
    """When to try again after so many failures in a row (at least 1), the last of them at `last_at`."""
    return last_at + BACKOFF[min(failures, len(BACKOFF)) - 1]
