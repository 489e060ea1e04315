"""Upgrades the orders database to the newest schema (alembic)."""

import time
from typing import cast

import psycopg
from psycopg.errors import DeadlockDetected, InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection as PsycopgConnection
from orders_sync.database.engine import database_url, engine
from orders_sync.database.problems import use_the_owner
from orders_sync.database.schema import REVISIONS, SchemaError, newest_revision, stored_schema

LOCK_SECONDS = 5
"""How long an upgrade waits for a table. Whatever needs the table meanwhile waits behind it."""
UPGRADE_SECONDS = 600.0
"""So long, an upgrade that did not get a table in time is tried again: a batch of a pass takes a second or two."""

_LOCK = "orders_sync schema"


def upgrade_schema(url: str | None = None, revision: str = "head") -> None:
    """Upgrades the database at `url`, by default the orders database, to a revision, in one transaction.

    Costs one query when the database is up to date. Safe to call from several processes at once, and while passes and
    the stock job run: one upgrades, the others wait. Raises DatabaseUnreachableError when the database does not answer,
    and SchemaError if its tables are in use for longer than UPGRADE_SECONDS, or if the role may not change them.
    """
    url = url or database_url()
    if revision == "head" and stored_schema(url).revision == newest_revision():
        return
    pool = engine(url)
    deadline = time.monotonic() + UPGRADE_SECONDS
    try:
        while not _try_upgrade(pool, revision, url):
            if time.monotonic() > deadline:
                raise SchemaError(
                    f"The schema could not be upgraded within {UPGRADE_SECONDS / 60:.0f} minutes, since its tables "
                    "are in use all the time. Stop the daemon for the upgrade, or end the session that holds them."
                )
            time.sleep(1.0)
    finally:
        pool.dispose()


def _try_upgrade(pool: Engine, revision: str, url: str) -> bool:
    """Upgrades in one transaction; returns False, with nothing changed, if a table or the upgrade's lock is in use."""
    user = ""
    try:
        with pool.connect() as connection, connection.begin():
            user = _psycopg_connection(connection).info.user
            connection.execute(text(f"SET LOCAL lock_timeout TO '{LOCK_SECONDS}s'"))
            advisory_locks.lock_for_transaction(_psycopg_connection(connection), _LOCK)
            _upgrade(connection, revision)
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise SchemaError(
            f"The role {user} may not change the schema of the orders database: {error.orig.diag.message_primary}. "
            f"{use_the_owner(url)}"
        ) from None
    except (OperationalError, LockNotAvailable) as error:
        cause = error.orig if isinstance(error, OperationalError) else error
        if isinstance(cause, LockNotAvailable | DeadlockDetected):
            return False
        raise
    return True


def _psycopg_connection(connection: Connection) -> PsycopgConnection:
    """The psycopg connection behind SQLAlchemy's, in the same transaction."""
    inner = connection.connection.driver_connection
    assert isinstance(inner, psycopg.Connection)
    return cast(PsycopgConnection, inner)


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command  # imported late: it takes half a second, and most runs do not need it
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(REVISIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    reached = ScriptDirectory.from_config(config).get_revision(revision)
    works_with = getattr(reached.module, "works_with", None)
    if works_with is not None:
        connection.execute(text("UPDATE schema_compatibility SET oldest_revision = :it"), {"it": works_with})
