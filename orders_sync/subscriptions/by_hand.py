"""What people do with subscriptions by hand; each act is on record with who and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.subscriptions import load_subscriptions
from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.model.errors import UserFacingError
from orders_sync.subscriptions.matching import MATCHING


class SubscriptionError(UserFacingError):
    """An act on a subscription that is not possible: what is wrong, what is allowed."""


class Delivery(NamedTuple):
    """An event for a subscription."""

    event_id: int
    kind: str
    """'': somebody has deleted the event from the database."""
    account: str
    order_id: str
    recorded_at: datetime | None
    """When the event was stored, by our clock; None: it was deleted."""
    attempts: int
    due_at: datetime
    """From when it may be delivered, or delivered again, by our clock."""
    problem: str | None
    outcome: str | None
    """delivered, skipped or given_up; None: it waits."""
    waiting_since: datetime
    """When it was written, or last replayed, by our clock."""
    ended_at: datetime | None
    """When it was given up, by our clock; None: it waits."""
    is_claimed: bool
    """Whether a consumer has it until due_at."""
    behind: int | None
    """The number of the earlier event of its order that it waits for; None: none."""


def pause(connection: Connection, subscription: str, by: By) -> None:
    """Stops the delivery; events go on to be collected. Raises SubscriptionError if it is paused already."""
    with connection.transaction():
        _check(connection, subscription)
        if not connection.execute(_PAUSE, [by.user, by.reason, subscription]).rowcount:
            raise SubscriptionError(f"The subscription {subscription} is paused already.")
        note_act(connection, by, Act.PAUSE_SUBSCRIPTION, _on(subscription))


def resume(connection: Connection, subscription: str, by: By) -> None:
    """Delivers again, also to a receiver that rests. Raises SubscriptionError if there is nothing to resume."""
    with connection.transaction():
        _check(connection, subscription)
        if not connection.execute(_RESUME, [subscription]).rowcount:
            raise SubscriptionError(f"The subscription {subscription} is not paused, and its receiver does not rest.")
        note_act(connection, by, Act.RESUME_SUBSCRIPTION, _on(subscription))


def skip(connection: Connection, subscription: str, event_id: int, by: By) -> None:
    """Ends an event that waits, without its delivery; the next one of its order is due.

    Raises SubscriptionError if it does not wait.
    """
    with connection.transaction():
        _check(connection, subscription)
        if not connection.execute("SELECT ack_events(%s, %s)", [subscription, [event_id]]).fetchone() == (1,):
            raise SubscriptionError(f"The event {event_id} does not wait for the subscription {subscription}.")
        connection.execute(_SKIP, [subscription, event_id])
        note_act(connection, by, Act.SKIP_DELIVERY, _on(subscription), f"event {event_id}")


def replay_since(connection: Connection, subscription: str, since: datetime, by: By) -> int:
    """Delivers the events since then again, and those of before the subscription; returns how many."""
    return _replay(connection, subscription, by, _SINCE, {"since": since}, f"since {since:%Y-%m-%d %H:%M:%S %Z}")


def replay_order(connection: Connection, subscription: str, account: str, order_id: str, by: By) -> int:
    """Delivers all events of an order again; returns how many. Raises SubscriptionError if the order has none."""
    if connection.execute(_HAS_EVENTS, [account, order_id]).fetchone() is None:
        raise SubscriptionError(f"There is no event of an order {order_id} in the account {account}.")
    values = {"account": account, "order": order_id}
    return _replay(connection, subscription, by, _OF_ORDER, values, f"order {account}/{order_id}")


def replay_given_up(connection: Connection, subscription: str, by: By) -> int:
    """Tries the events again that were given up; returns how many."""
    return _replay(connection, subscription, by, _GIVEN_UP, {}, "all that was given up")


def remove(connection: Connection, subscription: str, by: By) -> int:
    """Forgets a subscription with its deliveries; returns how many events were waiting.

    Raises SubscriptionError if it still has a file, which would add it again.
    """
    if has_file(subscription):
        raise SubscriptionError(f"The subscription {subscription} still has a file: delete its folder first.")
    with connection.transaction():
        _check(connection, subscription)
        ((waiting,),) = connection.execute(_WAITING, [subscription])
        connection.execute("DELETE FROM subscriptions WHERE subscription = %s", [subscription])
        connection.execute("DELETE FROM event_deliveries WHERE subscription = %s", [subscription])
        note_act(connection, by, Act.REMOVE_SUBSCRIPTION, _on(subscription), f"{waiting} events were waiting")
    return int(waiting)


def has_file(subscription: str) -> bool:
    """Whether a subscription has a file, which may have an error."""
    usable, problems = load_subscriptions()
    return subscription in usable or subscription in problems


def deliveries(
    connection: Connection, subscription: str, *, given_up: bool, limit: int, after: int = 0
) -> list[Delivery]:
    """The events that wait, the oldest first; or those that were given up. `after`: those with a greater number."""
    _check(connection, subscription)
    values = {"subscription": subscription, "after": after, "limit": limit}
    return rows_as(connection, Delivery, _GIVEN_UP_DELIVERIES if given_up else _WAITING_DELIVERIES, values)


def _replay(
    connection: Connection,
    subscription: str,
    by: By,
    which: LiteralString,
    values: Mapping[str, object],
    what: str,
) -> int:
    with connection.transaction():
        _check(connection, subscription)
        count = connection.execute(_REPLAY + which + _AGAIN, {"name": subscription, **values}).rowcount
        note_act(connection, by, Act.REPLAY_EVENTS, _on(subscription), f"{what}: {count} events")
    return count


def _check(connection: Connection, subscription: str) -> None:
    names = [name for (name,) in connection.execute("SELECT subscription FROM subscriptions ORDER BY 1")]
    if subscription not in names:
        raise SubscriptionError(
            f"There is no subscription {subscription}; allowed are {', '.join(names) or 'none yet'}."
        )


def _on(subscription: str) -> On:
    return On(other=f"subscription {subscription}")


_PAUSE: LiteralString = """
UPDATE subscriptions SET paused_at = now(), paused_by = %s, pause_reason = %s
WHERE subscription = %s AND paused_at IS NULL
"""
_RESUME: LiteralString = """
UPDATE subscriptions SET paused_at = NULL, paused_by = NULL, pause_reason = NULL, resting_until = NULL, failures = 0,
  problem = NULL
WHERE subscription = %s AND (paused_at IS NOT NULL OR resting_until IS NOT NULL)
"""
_SKIP: LiteralString = """
UPDATE event_deliveries SET outcome = 'skipped' WHERE subscription = %s AND event_id = %s
"""
_WAITING: LiteralString = "SELECT count(*) FROM event_deliveries WHERE subscription = %s AND ended_at IS NULL"
_REPLAY: LiteralString = f"""
INSERT INTO event_deliveries AS known (subscription, event_id, account, order_id, is_replayed)
SELECT getting.subscription, event.event_id, event.account, event.order_id, true FROM {MATCHING}
WHERE getting.subscription = %(name)s
"""  # noqa: S608 - parts of constants; the values are bound parameters
_SINCE: LiteralString = " AND event.recorded_at >= %(since)s"
_OF_ORDER: LiteralString = " AND event.account = %(account)s AND event.order_id = %(order)s"
_GIVEN_UP: LiteralString = """ AND EXISTS (
  SELECT FROM event_deliveries dead WHERE dead.subscription = getting.subscription AND dead.event_id = event.event_id
    AND dead.outcome = 'given_up')"""
# What is pending keeps its attempts, and is due at once.
_AGAIN: LiteralString = """
ON CONFLICT (subscription, event_id) DO UPDATE SET due_at = now(), ended_at = NULL, outcome = NULL, problem = NULL,
  is_claimed = false,
  waiting_since = CASE WHEN known.ended_at IS NULL THEN known.waiting_since ELSE now() END,
  is_replayed = known.is_replayed OR known.ended_at IS NOT NULL,
  attempts = CASE WHEN known.ended_at IS NULL THEN known.attempts ELSE 0 END,
  first_tried_at = CASE WHEN known.ended_at IS NULL THEN known.first_tried_at END
WHERE known.ended_at IS NOT NULL OR known.problem IS NOT NULL
"""
_HAS_EVENTS: LiteralString = "SELECT FROM order_events WHERE account = %s AND order_id = %s LIMIT 1"
_LISTED: LiteralString = """
SELECT listed.event_id, coalesce(event.kind, '') AS kind, listed.account, listed.order_id, event.recorded_at,
  listed.attempts, listed.due_at, listed.problem, listed.outcome, listed.waiting_since, listed.ended_at,
  listed.is_claimed, (
    SELECT max(earlier.event_id) FROM event_deliveries earlier
    WHERE earlier.subscription = listed.subscription AND earlier.account = listed.account
      AND earlier.order_id = listed.order_id AND earlier.event_id < listed.event_id AND earlier.ended_at IS NULL
      AND listed.ended_at IS NULL) AS behind
FROM listed LEFT JOIN order_events event USING (event_id) ORDER BY listed.event_id
"""
# `+ 0`: the planner would walk the primary key past all that was delivered, to find the few that it is about. The
# numbers alone are sorted: there may be many.
_NUMBERS: LiteralString = """
WITH listed AS MATERIALIZED (SELECT delivery.* FROM (
  SELECT event_id FROM event_deliveries WHERE subscription = %(subscription)s AND event_id > %(after)s"""
_PAGE: LiteralString = """
  ORDER BY event_id + 0 LIMIT %(limit)s) numbers
  JOIN event_deliveries delivery ON delivery.subscription = %(subscription)s AND delivery.event_id = numbers.event_id)
"""
_WAITING_DELIVERIES: LiteralString = _NUMBERS + " AND ended_at IS NULL" + _PAGE + _LISTED
_GIVEN_UP_DELIVERIES: LiteralString = _NUMBERS + " AND outcome = 'given_up'" + _PAGE + _LISTED
