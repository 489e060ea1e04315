"""The deliveries of a subscription: claimed, acknowledged or not, and counted. All of it are functions of SQL.

A claim is a lease: an event that is neither acknowledged nor refused in time is delivered again. An event waits until
the earlier ones of its order have ended; so several workers may consume one subscription.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.model.control_characters import safe_text
from orders_sync.model.keys import with_valid_characters

LEASE = timedelta(minutes=5)
"""How long a claimed event stays with its consumer."""
MAX_PROBLEM = 300


class Claimed(NamedTuple):
    """An event that was claimed."""

    event_id: int
    attempt: int
    """Which attempt to deliver it this is, from 1."""
    content: dict[str, Any]
    """The event as `event_from` reads it."""


class Position(NamedTuple):
    """How far a subscription is."""

    subscription: str
    waiting: int
    """Events that are neither delivered nor skipped nor given up."""
    waiting_since: datetime | None
    """Since when the oldest of them waits, by our clock; None: none waits."""
    failing: int
    """Waiting events whose last attempt failed."""
    attempts: int
    """Attempts to deliver the waiting events."""
    delivered: int
    """Events that were delivered in the last 24 hours."""
    last_delivered_at: datetime | None
    """When the last one was, by our clock; None: none is kept."""
    given_up: int
    """Events that could not be delivered, and are tried no more."""
    is_paused: bool
    """Whether a person has paused it."""
    resting_until: datetime | None
    """Until when a receiver that fails is not called, by our clock; None: it works."""
    problem: str | None
    """Why the last call of the receiver failed, in one line; None: it did not."""


def claim(connection: Connection, subscription: str, most: int, lease: timedelta = LEASE) -> list[Claimed]:
    """Events that are due, at most one of each order, in the order in which they were written.

    One that somebody has deleted from the database can't be delivered: it is given up.
    """
    claimed = [
        Claimed(*row)
        for row in connection.execute("SELECT * FROM claim_events(%s, %s, %s)", [subscription, most, lease])
    ]
    for each in claimed:
        if not each.content:
            give_up(connection, subscription, each.event_id, "somebody has deleted it from order_events")
    return [each for each in claimed if each.content]


def acknowledge(connection: Connection, subscription: str, event_ids: Collection[int]) -> int:
    """Notes that events were delivered; returns how many were pending."""
    ((done,),) = connection.execute("SELECT ack_events(%s, %s)", [subscription, list(event_ids)])
    return int(done)


def refuse(
    connection: Connection, subscription: str, event_id: int, problem: str, again_in: timedelta | None = None
) -> None:
    """Notes that an attempt failed. The event is due again after `again_in`, or after a time that grows by itself."""
    text = _one_line(problem)
    connection.execute("SELECT nack_events(%s, %s, %s, %s)", [subscription, [event_id], text, again_in])


def give_up(connection: Connection, subscription: str, event_id: int, problem: str) -> None:
    """Notes that an event can't be delivered: it is tried no more, and the next one of its order is due."""
    text = _one_line(problem)
    with connection.transaction():
        acknowledge(connection, subscription, [event_id])
        connection.execute(_GIVE_UP, [text, subscription, event_id])


def release(connection: Connection, subscription: str, event_ids: Collection[int]) -> None:
    """Gives claimed events back that were not tried: they are due at once, and count no attempt."""
    connection.execute(_RELEASE, [subscription, list(event_ids)])


def keep(connection: Connection, subscription: str, event_ids: Collection[int], lease: timedelta) -> None:
    """Keeps claimed events for another lease."""
    connection.execute(_KEEP, [lease, subscription, list(event_ids)])


def is_due(connection: Connection, subscription: str) -> bool:
    """Whether an event can be claimed now."""
    return connection.execute(_IS_DUE, [subscription]).fetchone() is not None


def positions(connection: Connection) -> list[Position]:
    """How far each subscription is, by name."""
    return rows_as(connection, Position, _POSITIONS)


def _one_line(problem: str) -> str:
    return safe_text(with_valid_characters(problem), in_one_line=True)[:MAX_PROBLEM]


_GIVE_UP: LiteralString = """
UPDATE event_deliveries SET outcome = 'given_up', problem = %s WHERE subscription = %s AND event_id = %s
"""
_RELEASE: LiteralString = """
UPDATE event_deliveries SET due_at = clock_timestamp(), is_claimed = false, attempts = greatest(attempts - 1, 0)
WHERE subscription = %s AND event_id = ANY (%s) AND ended_at IS NULL
"""
_KEEP: LiteralString = """
UPDATE event_deliveries SET due_at = clock_timestamp() + %s::interval
WHERE subscription = %s AND event_id = ANY (%s) AND ended_at IS NULL
"""
_POSITIONS: LiteralString = """
SELECT subscription, waiting, waiting_since, failing, attempts, delivered, last_delivered_at, given_up,
  paused_at IS NOT NULL AS is_paused, resting_until, problem
FROM subscriptions known
CROSS JOIN LATERAL (
  SELECT count(*) AS waiting, min(waiting_since) AS waiting_since, count(pending.problem) AS failing,
    coalesce(sum(pending.attempts), 0)::integer AS attempts
  FROM event_deliveries pending WHERE pending.subscription = known.subscription AND ended_at IS NULL) pending
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE outcome = 'delivered') AS delivered FROM event_deliveries
  WHERE subscription = known.subscription AND ended_at > now() - interval '1 day') today
CROSS JOIN LATERAL (
  SELECT max(ended_at) AS last_delivered_at FROM event_deliveries WHERE subscription = known.subscription) last
CROSS JOIN LATERAL (
  SELECT count(*) AS given_up FROM event_deliveries
  WHERE subscription = known.subscription AND outcome = 'given_up') dead
ORDER BY subscription
"""
_IS_DUE: LiteralString = """
SELECT FROM event_deliveries delivery JOIN subscriptions known USING (subscription)
WHERE subscription = %s AND ended_at IS NULL AND due_at <= clock_timestamp() AND paused_at IS NULL AND NOT is_filling
  AND (resting_until IS NULL OR resting_until <= clock_timestamp())
  AND NOT EXISTS (
    SELECT FROM event_deliveries earlier WHERE earlier.subscription = delivery.subscription
      AND earlier.account = delivery.account AND earlier.order_id = delivery.order_id
      AND earlier.event_id < delivery.event_id AND earlier.ended_at IS NULL)
LIMIT 1
"""
