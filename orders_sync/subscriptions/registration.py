"""Subscriptions begin to get events once the orders database knows them: their files are read by whoever delivers."""

import time
from collections.abc import Mapping
from typing import LiteralString, NamedTuple

from psycopg.errors import LockNotAvailable

from orders_sync.config.subscriptions import SubscriptionSettings
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.subscriptions.matching import MATCHING

LOCK_MILLISECONDS = 200
"""How long a registration waits at once for the transactions that write events: other writers wait behind it."""
LOCK_TRIES = 10
"""How often it tries, a moment apart; then the next registration goes on."""


class Registered(NamedTuple):
    """What a registration has changed."""

    added: list[str]
    changed: list[str]
    put_off: list[str]
    """New ones that could not be added: a transaction writes events for too long. The next registration tries again."""


def register(connection: Connection, configured: Mapping[str, SubscriptionSettings]) -> Registered:
    """Makes the orders database know these subscriptions.

    Those without a file stay: nothing of theirs is lost, but they get no buyers' data any more.

    A new one gets each event whose transaction commits from now on, and those stored before if it starts at the
    beginning.
    """
    connection.execute(_SHARE_NO_MORE, [list(configured)])
    known = {name: tuple(rest) for name, *rest in connection.execute(_KNOWN)}
    added, changed, put_off = list[str](), list[str](), list[str]()
    for name in sorted(configured.keys() & known.keys()):
        values = _values(configured[name])
        if known[name] != values:
            connection.execute(_CHANGE, [*values, name])
            changed.append(name)
    for name in sorted(configured.keys() - known.keys()):
        (added if _add(connection, name, configured[name]) else put_off).append(name)
    for (name,) in connection.execute(_UNFILLED).fetchall():
        with connection.transaction():
            connection.execute(_ADD_STORED, [name])
            connection.execute(_NOTE_FILLED, [name])
    return Registered(added, changed, put_off)


def _add(connection: Connection, name: str, settings: SubscriptionSettings) -> bool:
    """Adds a subscription; False: transactions that write events are under way for too long."""
    for attempt in range(LOCK_TRIES):
        if attempt:
            time.sleep(LOCK_MILLISECONDS / 1000)
        try:
            with connection.transaction():
                # Transactions under way have fanned out without it: wait for them, so that no event is missed.
                connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_MILLISECONDS}ms'".encode())
                connection.execute("LOCK TABLE order_events IN SHARE ROW EXCLUSIVE MODE")
                connection.execute(_FORGET, [name])
                connection.execute(_ADD, [name, *_values(settings), settings.start == "beginning"])
            return True
        except LockNotAvailable:
            continue
    return False


def _values(settings: SubscriptionSettings) -> tuple[object, ...]:
    """The values of the columns kinds, accounts, statuses, role, consumer, buyer_accounts."""
    role = settings.sql.role if settings.sql is not None else None
    statuses = None if settings.statuses is None else [str(status) for status in settings.statuses]
    return (
        list(settings.kinds), settings.accounts, statuses, role, settings.consumer_kind,
        accounts_that_share(settings),
    )  # fmt: skip


def accounts_that_share(settings: SubscriptionSettings) -> list[str]:
    """The accounts whose buyers' data the subscription gets. One whose file can't be used shares nothing."""
    if not settings.buyer_data:
        return []
    accounts, _ = load_accounts()
    return sorted(
        name
        for name, account in accounts.items()
        if account.settings.share_buyer_data and (settings.accounts is None or name in settings.accounts)
    )


_KNOWN: LiteralString = """
SELECT subscription, kinds, accounts, statuses, role, consumer, buyer_accounts FROM subscriptions
"""
# Nobody says any more that it may have them: its file is gone, or can't be used.
_SHARE_NO_MORE: LiteralString = """
UPDATE subscriptions SET buyer_accounts = '{}' WHERE subscription <> ALL (%s) AND buyer_accounts <> '{}'
"""
# What the former consumer could not do says nothing about the present one.
_CHANGE: LiteralString = """
UPDATE subscriptions SET kinds = %s, accounts = %s, statuses = %s, role = %s, consumer = %s,
  buyer_accounts = %s, failures = 0, problem = NULL, resting_until = NULL
WHERE subscription = %s
"""
# Of one that was removed while a transaction wrote events.
_FORGET: LiteralString = "DELETE FROM event_deliveries WHERE subscription = %s"
# One that begins with the stored events waits until it has them: a later event of an order must not come before.
_ADD: LiteralString = """
INSERT INTO subscriptions (subscription, kinds, accounts, statuses, role, consumer, buyer_accounts, is_filling)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_UNFILLED: LiteralString = "SELECT subscription FROM subscriptions WHERE is_filling ORDER BY 1"
_NOTE_FILLED: LiteralString = "UPDATE subscriptions SET is_filling = false WHERE subscription = %s"
_ADD_STORED: LiteralString = f"""
INSERT INTO event_deliveries (subscription, event_id, account, order_id)
SELECT getting.subscription, event.event_id, event.account, event.order_id FROM {MATCHING}
WHERE getting.subscription = %s ON CONFLICT DO NOTHING
"""  # noqa: S608 - parts of constants; the values are bound parameters
