"""Detects a connection pooler that gives each transaction to another session of the server.

PgBouncer does so with `pool_mode = transaction`, the default of several hosted databases. Advisory locks then hold for
nobody, so two passes could work on one lane, and settings reach the sessions of others.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import psycopg
from psycopg.errors import ProtocolViolation

from orders_sync.model.errors import UserFacingError

_Connection = psycopg.Connection[tuple[Any, ...]]

PROBES = 2
"""So many other sessions are opened to see whether one of them gets the same session of the server."""


class PoolerError(UserFacingError):
    """The orders database is behind a pooler in transaction mode."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"The orders database {where} is behind a connection pooler in transaction mode: each statement may run in "
            "another session, so no lock of a lane would hold. Use the port of the PostgreSQL server itself, or a pool "
            "in session mode (PgBouncer: pool_mode = session)."
        )


def shares_sessions(connection: _Connection, connect: Callable[[], _Connection]) -> bool:
    """Whether a pooler gives the server's session of `connection` to others while it is idle.

    `connect` opens another connection by the same way, with autocommit off. Each keeps a transaction open, so that a
    pooler in transaction mode soon has no other session left to give than that of `connection`.
    """
    own = backend_of(connection)
    with ExitStack() as others:
        for _ in range(PROBES):
            try:
                other = others.enter_context(closing(connect()))
                if backend_of(other) == own:
                    return True
            except ProtocolViolation:  # PgBouncer in statement mode: no transactions at all
                return True
            except psycopg.OperationalError:
                break  # no session is free: then one that is shared would have been given
            if backend_of(connection) != own:
                return True
    return backend_of(connection) != own


def backend_of(connection: _Connection) -> int:
    """The process id of the server's session behind a connection."""
    ((pid,),) = connection.execute("SELECT pg_backend_pid()")
    return int(pid)
