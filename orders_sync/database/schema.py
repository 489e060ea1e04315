"""Upgrades the orders database to the newest schema (alembic)."""

from pathlib import Path
from typing import cast

import psycopg
from sqlalchemy import Connection

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection as PsycopgConnection
from orders_sync.database.engine import connect, database_url, engine

REVISIONS = Path(__file__).parent / "alembic"
"""Alembic's folder; the revisions are in its folder `versions`."""

_LOCK = "orders_sync schema"


def upgrade_schema(url: str | None = None, revision: str = "head") -> None:
    """Upgrades the database at `url`, by default the orders database, to a revision.

    Costs one query when the database is up to date. Safe to call from several processes at once: one upgrades, the
    others wait for it. Raises DatabaseUnreachableError when the database does not answer.
    """
    url = url or database_url()
    if revision == "head" and _is_up_to_date(url):
        return
    pool = engine(url)
    try:
        with pool.connect() as connection, connection.begin():
            advisory_locks.lock_for_transaction(_psycopg_connection(connection), _LOCK)
            _upgrade(connection, revision)
    finally:
        pool.dispose()


def newest_revision() -> str:
    """The revision that the code needs: the last one in the folder `versions`, whose file names begin with it."""
    return max(path.name for path in (REVISIONS / "versions").glob("*.py")).split("_")[0]


def _is_up_to_date(url: str) -> bool:
    with connect(url) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            return False
    return row is not None and row[0] == newest_revision()


def _psycopg_connection(connection: Connection) -> PsycopgConnection:
    """The psycopg connection behind SQLAlchemy's, in the same transaction."""
    inner = connection.connection.driver_connection
    assert isinstance(inner, psycopg.Connection)
    return cast(PsycopgConnection, inner)


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command  # imported late: it takes half a second, and most runs do not need it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(REVISIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
