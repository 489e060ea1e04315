"""PostgreSQL's advisory locks by name: the one place where the project uses them.

A lock holds across processes and machines, and ends with its connection at the latest. Its name becomes a 64-bit key
(`hashtextextended`). pg_stat_activity shows the holder by the application name of its connection.
"""

import contextlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import LiteralString

import psycopg

from orders_sync.database.engine import Connection

_KEY: LiteralString = "hashtextextended(%s, 0)"
"""The key of a lock as an SQL expression with one parameter, the name."""

_HOLDERS: LiteralString = f"""
SELECT DISTINCT activity.application_name FROM pg_locks held JOIN pg_stat_activity activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((held.classid::bigint << 32) | held.objid::bigint) = {_KEY}
ORDER BY 1
"""  # noqa: S608 - the key's expression is a constant, its value a bound parameter


def try_lock(connection: Connection, name: str) -> bool:
    """Takes the lock, until the connection closes or releases it. Returns False when another connection holds it."""
    return _is_true(connection, f"SELECT pg_try_advisory_lock({_KEY})", name)


def lock(connection: Connection, name: str) -> None:
    """Waits for the lock and takes it, until the connection closes or releases it."""
    connection.execute(f"SELECT pg_advisory_lock({_KEY})", [name])


@contextmanager
def shared_lock(connection: Connection, name: str) -> Generator[None]:
    """Waits for the lock and shares it with others that share it, for the length of the block."""
    connection.execute(f"SELECT pg_advisory_lock_shared({_KEY})", [name])
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.OperationalError):  # a broken connection holds no lock any more
            connection.execute(f"SELECT pg_advisory_unlock_shared({_KEY})", [name])


def lock_for_transaction(connection: Connection, name: str) -> None:
    """Waits for the lock and takes it until the end of the open transaction.

    Raises psycopg.errors.LockNotAvailable after PostgreSQL's `lock_timeout`, when that is set.
    """
    connection.execute(f"SELECT pg_advisory_xact_lock({_KEY})", [name])


def is_held(connection: Connection, name: str) -> bool:
    """Whether any connection holds the lock, alone or shared. Call it on a connection that does not hold it."""
    with connection.transaction():
        return not _is_true(connection, f"SELECT pg_try_advisory_xact_lock({_KEY})", name)


def release_all(connection: Connection) -> None:
    """Releases every advisory lock of the connection.

    Closing the connection does so too, but only when the server notices it, a moment later.
    """
    with contextlib.suppress(psycopg.OperationalError):  # a broken connection holds no lock any more
        connection.execute("SELECT pg_advisory_unlock_all()")


def holders(connection: Connection, name: str) -> list[str]:
    """The application names of the connections that hold the lock, sorted."""
    return [application for (application,) in connection.execute(_HOLDERS, [name])]


def _is_true(connection: Connection, query: LiteralString, name: str) -> bool:
    row = connection.execute(query, [name]).fetchone()
    return row is not None and bool(row[0])
