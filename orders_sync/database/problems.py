"""What an error of PostgreSQL means, in one line for an operator: what happened, and what to do."""

from collections.abc import Sequence
from datetime import datetime

import psycopg
from psycopg import errors

from orders_sync.database.engine import connect
from orders_sync.database.session_settings import LOCK_SECONDS, STATEMENT_MINUTES
from orders_sync.model.errors import OrdersSyncError, UserFacingError

MAX_BLOCKERS = 3
_NEEDS_OWNER = ("must be owner of ", "permission denied for schema ", "permission denied for sequence ")
"""How PostgreSQL refuses what only the owner does: a change of the schema, and the moves of the cutover."""

_OPEN_TRANSACTIONS = """
SELECT pid, coalesce(nullif(application_name, ''), 'no application name'), usename, xact_start, state
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND (backend_type = 'client backend' OR backend_type IS NULL)
  AND (xact_start < clock_timestamp() - make_interval(secs => %s) OR state IS NULL)
  AND EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid AND granted AND locktype = 'relation'
    AND (state IS NOT NULL OR mode <> 'AccessShareLock'))
ORDER BY xact_start
"""
"""Of another role's session, PostgreSQL shows neither the state nor the age of the transaction, but its locks.

Such a session counts if it has locked more than a reader does.
"""


_OWNER = "SELECT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename = 'alembic_version'"

_MEANINGS: Sequence[tuple[tuple[type[psycopg.Error], ...], tuple[str, str]]] = (
    (
        (errors.InsufficientPrivilege,),
        (
            "The user of the orders database lacks a right",
            "`orders-sync db roles` makes roles with the rights that they need.",
        ),
    ),
    (
        (errors.ReadOnlySqlTransaction,),
        ("The orders database is read-only", "If it is a standby, use the URL of the primary server."),
    ),
    (
        (errors.QueryCanceled,),
        (
            "PostgreSQL ended a statement",
            f"The project's limit is {STATEMENT_MINUTES} minutes; the role or the database may have a shorter one.",
        ),
    ),
    (
        (errors.UndefinedTable, errors.UndefinedColumn),
        (
            "The schema of the orders database is not the one of this version",
            "`orders-sync db upgrade` upgrades an older one.",
        ),
    ),
    ((errors.DiskFull,), ("The disk of the orders database is full", "")),
    ((errors.TooManyConnections,), ("The orders database has no connection left", "")),
    (
        (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow),
        ("The session at the orders database was ended, or its server was stopped", ""),
    ),
)
"""What kinds of errors mean: what happened, and what to do."""


class DatabaseProblemError(UserFacingError):
    """PostgreSQL refused a statement or closed the connection. The text is one line, without values of a row."""


def problem_of(error: psycopg.Error) -> DatabaseProblemError:
    """The error in one line.

    DETAIL and CONTEXT of PostgreSQL's errors may quote values of a row, so only the primary message is given, and of an
    error about a value only its kind.
    """
    primary = error.diag.message_primary or str(error) or type(error).__name__
    # Data errors quote the value, which may be a buyer's.
    message = type(error).__name__ if isinstance(error, errors.DataError) else primary.splitlines()[0]
    code = f"SQLSTATE {error.sqlstate or 'none'}"
    if isinstance(error, errors.LockNotAvailable):
        what = f"A statement waited {LOCK_SECONDS} s for a lock that another session holds"
        return DatabaseProblemError(f"{what} ({code}). {_blockers()}")
    if isinstance(error, errors.InsufficientPrivilege) and message.startswith(_NEEDS_OWNER):
        return DatabaseProblemError(f"Only the owner of the tables may do this: {message} ({code}). {use_the_owner()}")
    found = (meaning for kinds, meaning in _MEANINGS if isinstance(error, kinds))
    what, remedy = next(found, ("The orders database rejected a statement or closed the connection", ""))
    return DatabaseProblemError(f"{what}: {message} ({code}).{remedy and f' {remedy}'}")


def postgresql_error(error: BaseException) -> psycopg.Error | None:
    """The error of PostgreSQL that an exception is, or that SQLAlchemy has put into it; None if there is none."""
    cause = getattr(error, "orig", error)
    return cause if isinstance(cause, psycopg.Error) else None


def use_the_owner(url: str | None = None) -> str:
    """What to do to change the schema: which role may, if that can be seen."""
    try:
        with connect(url, application="orders_sync owner") as connection:
            row = connection.execute(_OWNER).fetchone()
    except (psycopg.Error, OrdersSyncError):
        row = None
    owner = row[0] if row else "the owner of the database"
    return f"Run it as {owner}: put that role into ORDERS_DATABASE_URL for this command."


def _blockers() -> str:
    """Who probably holds the lock: those whose transaction is older than the wait for it."""
    try:
        with connect(application="orders_sync blockers") as connection:
            rows = connection.execute(_OPEN_TRANSACTIONS, [LOCK_SECONDS * 0.9]).fetchall()
    except (psycopg.Error, OrdersSyncError):
        return "Who holds it can't be seen now."
    if not rows:
        return "It is free again, or its holder is not visible to this user."
    named = "; ".join(
        f"pid {pid} ({application}, user {user}) with {_transaction(since, state)}"
        for pid, application, user, since, state in rows[:MAX_BLOCKERS]
    )
    return f"Probably in the way: {named}. It must end, or be ended: SELECT pg_terminate_backend({rows[0][0]})."


def _transaction(since: datetime | None, state: str | None) -> str:
    if since is None:
        return "an open transaction; since when, this user may not see"
    return f"a transaction open since {since:%H:%M:%S} UTC, now {state}"
