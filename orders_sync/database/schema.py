"""Brings the orders database to the newest schema (alembic)."""

from pathlib import Path

import psycopg
from sqlalchemy import Connection, text

from orders_sync.database.engine import connect, database_url, engine

REVISIONS = Path(__file__).parent / "alembic"

_LOCK = "orders_sync schema"


def upgrade_schema(url: str | None = None, revision: str = "head") -> None:
    """Upgrades the orders database; one quick look when it is up to date. Safe to call from many processes.

    Raises DatabaseUnreachableError when the database does not answer.
    """
    url = url or database_url()
    if revision == "head" and _is_up_to_date(url):
        return
    pool = engine(url)
    try:
        with pool.connect() as connection, connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": _LOCK})
            _upgrade(connection, revision)
    finally:
        pool.dispose()


def newest_revision() -> str:
    """The revision that the code needs: the last of migrations/versions, whose names begin with it."""
    return max(path.name for path in (REVISIONS / "versions").glob("*.py")).split("_")[0]


def _is_up_to_date(url: str) -> bool:
    with connect(url) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            return False
    return row is not None and row[0] == newest_revision()


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command  # imported late: half a second that a run does not need
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(REVISIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
