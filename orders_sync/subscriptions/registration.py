"""Subscriptions begin to get events once the orders database knows them: their files are read by whoever delivers."""

from collections.abc import Mapping
from typing import LiteralString, NamedTuple

from orders_sync.config.subscriptions import SubscriptionSettings
from orders_sync.database.engine import Connection

LOCK_SECONDS = 5
"""How long a registration waits for the transactions that are writing events; the next one tries again."""


class Registered(NamedTuple):
    """What a registration has changed."""

    added: list[str]
    changed: list[str]


def register(connection: Connection, wanted: Mapping[str, SubscriptionSettings]) -> Registered:
    """Makes the orders database know these subscriptions. Those without a file stay: nothing of theirs is lost.

    A new one gets each event whose transaction commits from now on, and those stored before if it starts at the
    beginning. Raises psycopg.errors.LockNotAvailable while a transaction writes events for too long.
    """
    known = {name: tuple(rest) for name, *rest in connection.execute(_KNOWN)}
    added, changed = sorted(wanted.keys() - known.keys()), list[str]()
    for name in sorted(wanted.keys() & known.keys()):
        values = _filters(wanted[name])
        if known[name] != values:
            connection.execute(_CHANGE, [*values, name])
            changed.append(name)
    for name in added:
        with connection.transaction():
            # Transactions under way have fanned out without it: wait for them, so that none of their events is missed.
            connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_SECONDS}s'".encode())
            connection.execute("LOCK TABLE order_events IN SHARE ROW EXCLUSIVE MODE")
            connection.execute(_ADD, [name, *_filters(wanted[name])])
            if wanted[name].start == "beginning":
                connection.execute(_ADD_STORED, [name])
    return Registered(added, changed)


def without_file(connection: Connection, wanted: Mapping[str, SubscriptionSettings]) -> list[str]:
    """The subscriptions that get events and have no file any more."""
    return sorted({name for (name,) in connection.execute("SELECT subscription FROM subscriptions")} - wanted.keys())


def _filters(settings: SubscriptionSettings) -> tuple[object, ...]:
    """The values of the columns kinds, accounts, statuses, role."""
    role = settings.sql.role if settings.sql is not None else None
    statuses = None if settings.statuses is None else [str(status) for status in settings.statuses]
    return list(settings.kinds), settings.accounts, statuses, role


_KNOWN: LiteralString = "SELECT subscription, kinds, accounts, statuses, role FROM subscriptions"
_CHANGE: LiteralString = """
UPDATE subscriptions SET kinds = %s, accounts = %s, statuses = %s, role = %s WHERE subscription = %s
"""
_ADD: LiteralString = """
INSERT INTO subscriptions (subscription, kinds, accounts, statuses, role) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_ADD_STORED: LiteralString = """
INSERT INTO event_deliveries (subscription, event_id, account, order_id)
SELECT wanted.subscription, event.event_id, event.account, event.order_id
FROM subscriptions wanted JOIN order_events event ON event.kind = ANY (wanted.kinds)
  AND (wanted.accounts IS NULL OR event.account = ANY (wanted.accounts))
  AND (wanted.statuses IS NULL OR event.new_status = ANY (wanted.statuses))
WHERE wanted.subscription = %s ON CONFLICT DO NOTHING
"""
