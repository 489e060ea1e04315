"""Connections to the orders database: at `ORDERS_DATABASE_URL`, or to the embedded server when it is not set."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import InvalidParameterValue

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.embedded import ORDERS_DATABASE, TRUSTED_SECONDS, embedded_url
from orders_sync.database.poolers import PoolerError, backend_of, shares_sessions
from orders_sync.database.refused_connections import reason
from orders_sync.database.server_url import ServerUrlError, server_url
from orders_sync.database.session_settings import CONNECTION_CHECK, connection_string, server_settings
from orders_sync.model.errors import UserFacingError
from orders_sync.model.known_credentials import note_password_of

if TYPE_CHECKING:  # importing SQLAlchemy takes 0.1 s, and a sync does not need it
    from sqlalchemy import Engine

OLDEST_POSTGRESQL = 15
"""The oldest major version of PostgreSQL that the project is tested with. `connect` rejects older servers."""

Connection = psycopg.Connection[tuple[Any, ...]]
"""A psycopg connection whose rows are tuples."""

_SET_IF_OWN = """
SELECT own, (SELECT count(set_config(name, value, false))
             FROM unnest(%s::text[], %s::text[]) AS setting (name, value) WHERE own)
FROM (SELECT pg_backend_pid() = %s AS own) AS session
"""
"""Sets a session's settings, unless a pooler made its process id up: its session may be that of others, too."""

_own_sessions: set[str] = set()
"""URLs of poolers that keep a session for each connection."""


class DatabaseUnreachableError(UserFacingError):
    """The orders database does not answer, or is not a PostgreSQL that the project supports."""


def database_url() -> str:
    """The orders database's URL as `server_url` writes it. Starts the embedded server when no URL is set.

    Raises DatabaseUnreachableError for a URL that names no PostgreSQL server, and EmbeddedServerError.
    """
    configured = os.environ.get(ORDERS_DATABASE_URL)
    if not configured:
        return embedded_url(ORDERS_DATABASE, trusted_seconds=TRUSTED_SECONDS)
    note_password_of(configured)
    try:
        return server_url(configured)
    except ServerUrlError as error:
        raise DatabaseUnreachableError(f"{ORDERS_DATABASE_URL} {error}") from None


def engine(url: str | None = None) -> "Engine":
    """A SQLAlchemy engine (psycopg 3) for `url`, by default the orders database. Dispose of it after use.

    Its connections are those of `connect`, but for the limit of a statement's time: a report or a migration may take
    longer.
    """
    from sqlalchemy import create_engine

    def opened() -> Connection:
        connection = connect(url)
        connection.execute("SET statement_timeout TO 0")
        connection.autocommit = False
        return connection

    return create_engine("postgresql+psycopg://", creator=opened, pool_pre_ping=True)


def connect(
    url: str | None = None, *, application: str = "orders_sync", statement_seconds: int | None = None
) -> Connection:
    """Opens a connection in autocommit mode to `url`, by default the orders database.

    It has the limits of `session_settings`. `application`: the name of the connection in pg_stat_activity, at most 63
    bytes. `statement_seconds`: how long one statement may take; None: as long as any. Raises DatabaseUnreachableError
    with the host and the reason, never with the password, and PoolerError if a pooler would void the project's locks.
    """
    url = url or database_url()

    def opened(*, autocommit: bool) -> Connection:
        return psycopg.connect(
            connection_string(url), application_name=application[:63], autocommit=autocommit, connect_timeout=10
        )

    try:
        connection = opened(autocommit=True)
        try:
            _set_up(connection, url, lambda: opened(autocommit=False), statement_seconds)
        except BaseException:
            connection.close()
            raise
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:  # ProgrammingError: an invalid URL
        where = _without_password(url)
        raise DatabaseUnreachableError(f"The orders database {where} does not answer: {reason(error)}") from None
    return connection


def _set_up(connection: Connection, url: str, another: Callable[[], Connection], statement_seconds: int | None) -> None:
    """Sets a session up, if it is one that no other connection uses."""
    version = connection.info.server_version // 10_000
    if version < OLDEST_POSTGRESQL:
        raise DatabaseUnreachableError(
            f"The orders database runs PostgreSQL {version}; the project needs {OLDEST_POSTGRESQL} or newer."
        )
    settings = server_settings(url)
    if statement_seconds is not None:
        settings["statement_timeout"] = f"{statement_seconds}s"
    if _set(connection, settings, connection.info.backend_pid):
        return
    if url not in _own_sessions:
        if shares_sessions(connection, another):
            raise PoolerError(_without_password(url))
        _own_sessions.add(url)
    _set(connection, settings, backend_of(connection))


def _set(connection: Connection, settings: Mapping[str, str], backend: int) -> bool:
    """Sets a session's settings if its process id is `backend`, and returns whether it is."""
    try:
        ((is_own, _),) = connection.execute(_SET_IF_OWN, [list(settings), list(settings.values()), backend])
    except InvalidParameterValue:
        if CONNECTION_CHECK not in settings:
            raise
        supported = {name: value for name, value in settings.items() if name != CONNECTION_CHECK}
        return _set(connection, supported, backend)
    return bool(is_own)


def _without_password(url: str) -> str:
    login, at, host = url.partition("://")[2].partition("?")[0].rpartition("@")
    return f"postgresql://{login.partition(':')[0]}{at}{host}"
