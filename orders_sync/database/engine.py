"""Connections to the orders database: at `ORDERS_DATABASE_URL`, or to the embedded server when it is not set."""

import os
from typing import TYPE_CHECKING, Any

import psycopg

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.embedded import ORDERS_DATABASE, embedded_url
from orders_sync.model.errors import UserFacingError

if TYPE_CHECKING:  # importing SQLAlchemy takes 0.1 s, and a sync does not need it
    from sqlalchemy import Engine

OLDEST_POSTGRESQL = 15
"""The oldest major version of PostgreSQL that the project is tested with. `connect` rejects older servers."""

Connection = psycopg.Connection[tuple[Any, ...]]
"""A psycopg connection whose rows are tuples."""


class DatabaseUnreachableError(UserFacingError):
    """The orders database does not answer, or is not a PostgreSQL that the project supports."""


def database_url() -> str:
    """The orders database's URL in libpq's form (`postgresql://…`). Starts the embedded server when no URL is set.

    Raises DatabaseUnreachableError for a URL of another kind of database, and EmbeddedServerError.
    """
    configured = os.environ.get(ORDERS_DATABASE_URL)
    if not configured:
        return embedded_url(ORDERS_DATABASE)
    scheme, separator, rest = configured.partition("://")
    kind = scheme.partition("+")[0] if separator else ""
    if kind not in ("postgresql", "postgres"):
        raise DatabaseUnreachableError(
            f"{ORDERS_DATABASE_URL} names {f'a {kind} database' if kind else 'no kind of database'}; "
            "allowed is postgresql://…"
        )
    return f"postgresql://{rest}"


def engine(url: str | None = None) -> "Engine":
    """A SQLAlchemy engine (psycopg 3) for `url`, by default the orders database. Dispose of it after use."""
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    return create_engine(make_url(url or database_url()).set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def connect(url: str | None = None, *, application: str = "orders_sync") -> Connection:
    """Opens a connection in autocommit mode to `url`, by default the orders database.

    `application`: the name of the connection in pg_stat_activity, at most 63 bytes. Raises DatabaseUnreachableError
    with the host and the reason, never with the password.
    """
    url = url or database_url()
    try:
        connection = psycopg.connect(url, application_name=application[:63], autocommit=True, connect_timeout=10)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:  # ProgrammingError: an invalid URL
        where = _without_password(url)
        raise DatabaseUnreachableError(f"The orders database {where} does not answer: {error}") from None
    if connection.info.server_version < OLDEST_POSTGRESQL * 10000:
        version = connection.info.server_version // 10000
        connection.close()
        raise DatabaseUnreachableError(
            f"The orders database runs PostgreSQL {version}; the project needs {OLDEST_POSTGRESQL} or newer."
        )
    return connection


def _without_password(url: str) -> str:
    login, at, host = url.partition("://")[2].partition("?")[0].rpartition("@")
    return f"postgresql://{login.partition(':')[0]}{at}{host}"
