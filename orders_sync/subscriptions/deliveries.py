"""The deliveries of a subscription: claimed, acknowledged or not, and counted. All of it are functions of SQL.

A claim is a lease: an event that is neither acknowledged nor refused in time is delivered again. An event waits until
the earlier ones of its order have ended; so several workers may consume one subscription.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString, NamedTuple

from orders_sync.config.subscriptions import ALERT_AFTER, SubscriptionSettings
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


class State(StrEnum):
    """What a subscription does."""

    WORKS = "works"
    PAUSED = "paused"
    """A person has paused it."""
    FILLING = "being filled"
    """It still has to get the events that were stored before it."""
    RESTS = "receiver rests"
    FAILS = "receiver fails"


class Position(NamedTuple):
    """What a subscription gets, and how far it is."""

    subscription: str
    kinds: list[str]
    """The kinds of events that it gets."""
    accounts: list[str] | None
    """The accounts whose events it gets; None: all."""
    statuses: list[str] | None
    """It gets the events that lead to one of these statuses; None: all."""
    is_filling: bool
    """Whether it still has to get the events that were stored before it: nothing is delivered until then."""
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
    paused_at: datetime | None
    """When a person paused it, by our clock; None: it is not paused."""
    paused_by: str | None
    pause_reason: str | None
    resting_until: datetime | None
    """Until when a receiver that fails is not called, by our clock; None: it works."""
    problem: str | None
    """Why the last call of the receiver failed, in one line; None: it did not."""
    event_problem: str | None
    """Why the attempt failed of the waiting event that is tried again last; None: none fails."""

    @property
    def is_paused(self) -> bool:
        """Whether a person has paused it."""
        return self.paused_at is not None

    def rests(self, now: datetime) -> bool:
        """Whether its receiver is not called for a while."""
        return self.resting_until is not None and self.resting_until > now

    def state(self, now: datetime) -> State:
        """What it does."""
        if self.is_paused:
            return State.PAUSED
        if self.is_filling:
            return State.FILLING
        if self.rests(now):
            return State.RESTS
        return State.FAILS if self.problem is not None else State.WORKS

    def is_late(self, settings: SubscriptionSettings | None, now: datetime) -> bool:
        """Whether an event waits for longer than `alert_after`. `settings`: None, if it has no file."""
        alert_after = settings.alert_after if settings is not None else ALERT_AFTER
        return self.waiting_since is not None and now - self.waiting_since > alert_after


class OfOrder(NamedTuple):
    """An event of an order, for one subscription."""

    event_id: int
    kind: str
    item_id: str
    """'': the event is one of the order."""
    old_status: str | None
    new_status: str
    recorded_at: datetime
    """When the event was stored, by our clock."""
    subscription: str
    outcome: str | None
    """delivered, skipped or given_up; None: it waits."""
    ended_at: datetime | None
    attempts: int
    problem: str | None


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
    return rows_as(connection, Position, _POSITIONS, {"name": None})


def position_of(connection: Connection, subscription: str) -> Position | None:
    """How far a subscription is; None: the orders database does not know it."""
    found = rows_as(connection, Position, _POSITIONS, {"name": subscription})
    return found[0] if found else None


def in_trouble(connection: Connection) -> list[str]:
    """The subscriptions that are paused, whose receiver fails, or whose events were given up; by name."""
    return [name for (name,) in connection.execute(_IN_TROUBLE)]


def deliveries_of_order(connection: Connection, account: str, order_id: str, most: int) -> list[OfOrder]:
    """Who gets the latest `most` events of an order, and what became of it; in the order of the events."""
    return rows_as(connection, OfOrder, _OF_ORDER, {"account": account, "order": order_id, "most": most})


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
# The lateral queries each read one index of the subscription's deliveries.
_POSITIONS: LiteralString = """
SELECT subscription, kinds, accounts, statuses, is_filling, waiting, waiting_since, failing, attempts, delivered,
  last_delivered_at, given_up, paused_at, paused_by, pause_reason, resting_until, problem, event_problem
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
LEFT JOIN LATERAL (
  SELECT failed.problem AS event_problem FROM event_deliveries failed
  WHERE pending.failing > 0 AND failed.subscription = known.subscription AND failed.ended_at IS NULL
    AND failed.problem IS NOT NULL
  ORDER BY failed.due_at DESC LIMIT 1) failed ON true
WHERE %(name)s::text IS NULL OR subscription = %(name)s
ORDER BY subscription
"""
_IN_TROUBLE: LiteralString = """
SELECT subscription FROM subscriptions known
WHERE paused_at IS NOT NULL OR problem IS NOT NULL OR EXISTS (
  SELECT FROM event_deliveries dead WHERE dead.subscription = known.subscription AND dead.outcome = 'given_up')
ORDER BY subscription
"""
# Each delivery is found by its primary key: there is no index of the ended ones by order.
_OF_ORDER: LiteralString = """
SELECT event.*, known.subscription, delivery.*
FROM (
  SELECT event_id, kind, item_id, old_status, new_status, recorded_at FROM order_events
  WHERE account = %(account)s AND order_id = %(order)s ORDER BY event_id DESC LIMIT %(most)s) event
CROSS JOIN subscriptions known
CROSS JOIN LATERAL (
  SELECT outcome, ended_at, attempts, problem FROM event_deliveries delivery
  WHERE delivery.subscription = known.subscription AND delivery.event_id = event.event_id LIMIT 1) delivery
ORDER BY event_id, subscription
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
