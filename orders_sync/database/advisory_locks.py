"""PostgreSQL's advisory locks by name: the one place where the project uses them.

A lock holds across processes and machines, and ends with its connection at the latest. Its name becomes a 64-bit key
(`hashtextextended`). pg_stat_activity shows the holder by the application name of its connection.
"""

import contextlib
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import LiteralString, NamedTuple

import psycopg
from psycopg.sql import Literal

from orders_sync.database.engine import Connection

_KEY: LiteralString = "hashtextextended(%s, 0)"
"""The key of a lock as an SQL expression with one parameter, the name."""

_IS_THE_LOCK: LiteralString = f"""
locktype = 'advisory' AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND ((classid::bigint << 32) | objid::bigint) = {_KEY}
"""  # noqa: S608 - the key's expression is a constant, its value a bound parameter
"""Whether a row of pg_locks is about a lock, as an SQL condition with one parameter, the name."""

_HOLDERS: LiteralString = f"""
SELECT DISTINCT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND {_IS_THE_LOCK}
ORDER BY 1
"""  # noqa: S608 - the key's expression is a constant, its value a bound parameter
_END_HOLDER: LiteralString = f"""
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND {_IS_THE_LOCK} AND application_name = %s
"""  # noqa: S608 - as above
_SESSIONS: LiteralString = f"""
SELECT pid, coalesce(application_name, 'somebody'), host(client_addr), backend_start::text
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND {_IS_THE_LOCK}
ORDER BY pid
"""  # noqa: S608 - as above
_LAST_ACTIVE: LiteralString = f"""
SELECT min(CASE state WHEN 'active' THEN clock_timestamp() ELSE state_change END)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND {_IS_THE_LOCK}
"""  # noqa: S608 - as above
_END_SESSION: LiteralString = f"""
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND {_IS_THE_LOCK} AND pid = %s AND backend_start IS NOT DISTINCT FROM %s::timestamptz
"""  # noqa: S608 - as above
_IS_AWAITED: LiteralString = f"""
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND {_IS_THE_LOCK})
"""  # noqa: S608 - as above


class Session(NamedTuple):
    """A session at the database server that holds a lock."""

    pid: int
    """The number of its process at the server."""
    application: str
    address: str | None
    """The address that it comes from; None: it comes by a socket, or is of another role and not to be seen."""
    began: str | None
    """When it began, as the server writes it; with the number, it is of this session only. None: not to be seen."""

    def __str__(self) -> str:
        where = f"from {self.address}" if self.address else "by a socket"
        return f"{self.application} ({where}, server process {self.pid})"


def try_lock(connection: Connection, name: str) -> bool:
    """Takes the lock, until the connection closes or releases it. Returns False when another connection holds it."""
    return _is_true(connection, f"SELECT pg_try_advisory_lock({_KEY})", name)


def lock(connection: Connection, name: str) -> None:
    """Waits for the lock and takes it, until the connection closes or releases it."""
    connection.execute(f"SELECT pg_advisory_lock({_KEY})", [name])


def unlock(connection: Connection, name: str) -> None:
    """Releases a lock that the connection has taken with `lock` or `try_lock`."""
    with contextlib.suppress(psycopg.OperationalError):  # a broken connection holds no lock any more
        connection.execute(f"SELECT pg_advisory_unlock({_KEY})", [name])


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


def locking_expression(name: str) -> str:
    """The SQL expression that does what `lock_for_transaction` does, for code that the server runs, e.g. a trigger."""
    return f"pg_advisory_xact_lock({_KEY})" % Literal(name).as_string()


def is_held(connection: Connection, name: str) -> bool:
    """Whether any connection holds the lock, alone or shared. Call it on a connection that does not hold it."""
    with connection.transaction():
        return not _is_true(connection, f"SELECT pg_try_advisory_xact_lock({_KEY})", name)


def is_awaited(connection: Connection, name: str) -> bool:
    """Whether any connection waits for the lock."""
    return _is_true(connection, _IS_AWAITED, name)


def release_all(connection: Connection) -> None:
    """Releases every advisory lock of the connection.

    Closing the connection does so too, but only when the server notices it, a moment later.
    """
    with contextlib.suppress(psycopg.OperationalError):  # a broken connection holds no lock any more
        connection.execute("SELECT pg_advisory_unlock_all()")


def holders(connection: Connection, name: str) -> list[str]:
    """The application names of the connections that hold the lock, sorted."""
    return [application for (application,) in connection.execute(_HOLDERS, [name])]


def end_holder(connection: Connection, name: str, application: str) -> bool:
    """Terminates the connections of that application name that hold the lock, and waits up to 5 s until they are gone.

    Returns whether there was one.
    """
    return bool(connection.execute(_END_HOLDER, [name, application]).fetchall())


def sessions(connection: Connection, name: str) -> list[Session]:
    """The sessions that hold the lock."""
    return [Session(*row) for row in connection.execute(_SESSIONS, [name])]


def last_active(connection: Connection, name: str) -> datetime | None:
    """When the session that holds the lock last executed something, by the server's clock (aware).

    Of several sessions, that of the most silent one. None: nobody holds it, or another role, which can't be seen.
    """
    row = connection.execute(_LAST_ACTIVE, [name]).fetchone()
    return row[0] if row is not None else None


def end_session(connection: Connection, name: str, session: Session) -> bool:
    """Terminates a session if it still holds the lock, and waits up to 5 s until it is gone.

    Returns whether it held it. Raises InsufficientPrivilege if it is another role's.
    """
    return bool(connection.execute(_END_SESSION, [name, session.pid, session.began]).fetchall())


def _is_true(connection: Connection, query: LiteralString, name: str) -> bool:
    row = connection.execute(query, [name]).fetchone()
    return row is not None and bool(row[0])
