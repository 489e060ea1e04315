"""Faults in the middle of a write: a trigger in the test's database does something at a certain row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg.sql import SQL, Identifier, Literal

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection

BREAK_CONNECTION = "PERFORM pg_terminate_backend(pg_backend_pid())"
FAIL = "RAISE EXCEPTION 'switched on by a test'"
_GATE = "orders_sync tests: the row at which to wait"


@contextmanager
def fault_at_row(connection: Connection, table: str, row: int, action: str) -> Iterator[None]:
    """For the length of the block, whoever inserts the `row`-th row (from 1) into `table` does `action` (PL/pgSQL)."""
    connection.execute("CREATE SEQUENCE fault_rows")
    connection.execute(
        SQL(
            "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF nextval('fault_rows') = {} THEN {}; END IF; RETURN NULL; END $$"
        ).format(Literal(row), SQL(action))  # pyright: ignore[reportArgumentType]
    )
    connection.execute(
        SQL("CREATE TRIGGER fault AFTER INSERT ON {} FOR EACH ROW EXECUTE FUNCTION fault()").format(Identifier(table))
    )
    try:
        yield
    finally:
        connection.execute("DROP FUNCTION fault CASCADE")
        connection.execute("DROP SEQUENCE fault_rows")


@contextmanager
def stop_at_row(connection: Connection, table: str, row: int) -> Iterator[Callable[[], bool]]:
    """Whoever inserts that row waits there until the end of the block. Yields a function: does somebody wait?"""
    wait = f"PERFORM {advisory_locks.locking_expression(_GATE)}"
    with fault_at_row(connection, table, row, wait), advisory_locks.shared_lock(connection, _GATE):
        yield lambda: advisory_locks.is_awaited(connection, _GATE)


def reject_row(connection: Connection, table: str, column: str, value: str) -> None:
    """From now on, PostgreSQL rejects new rows of `table` with this value, as an operator's own trigger may."""
    connection.execute(
        "CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'numeric field overflow' USING ERRCODE = '22003'; END $$"
    )
    connection.execute(
        SQL(
            "CREATE TRIGGER reject BEFORE INSERT ON {} FOR EACH ROW WHEN (NEW.{} = {}) EXECUTE FUNCTION reject()"
        ).format(Identifier(table), Identifier(column), Literal(value))
    )
