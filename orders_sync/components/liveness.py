"""Telling a living run from a dead one: each run holds a database lock that bears its id."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.database.engine import Connection, connect

_KEY = "hashtextextended('orders_sync run ' || %s, 0)"


@contextmanager
def alive(run_id: str) -> Generator[None]:
    """Shows that a run lives for the length of the block; a killed process shows it no longer."""
    connection = connect(application=f"orders_sync run {run_id}")
    try:
        connection.execute(f"SELECT pg_advisory_lock({_KEY})", [run_id])
        yield
    finally:
        connection.close()


def is_alive(connection: Connection, run_id: str) -> bool:
    """Whether some process holds the run's lock."""
    with connection.transaction():
        row = connection.execute(f"SELECT pg_try_advisory_xact_lock({_KEY})", [run_id]).fetchone()
    return row is not None and not row[0]
