"""Brings the orders database to the newest schema (alembic)."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from orders_sync.database.engine import connect, database_url, engine

#: Serialises migrations of several processes that start at once; any constant number does.
MIGRATION_LOCK = 4_206_001


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def migrate(url: str | None = None, revision: str = "head") -> None:
    """Upgrades the orders database; does nothing when it is up to date. Safe to call from many processes.

    Raises DatabaseUnreachable when the database does not answer.
    """
    url = url or database_url()
    connect(url).close()  # a clear error first
    with engine(url).connect() as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        _run(connection, revision)


def _run(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
