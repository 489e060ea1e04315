"""Telling a living run from a dead one: each run holds a database lock that bears its id."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect


@contextmanager
def alive(run_id: str) -> Generator[None]:
    """Shows that a run lives for the length of the block. The proof ends with the process, however it ends."""
    with connect(application=f"orders_sync run {run_id}") as connection:
        advisory_locks.lock(connection, _lock_name(run_id))
        yield


def is_alive(connection: Connection, run_id: str) -> bool:
    """Whether some process shows that the run lives."""
    return advisory_locks.is_held(connection, _lock_name(run_id))


def _lock_name(run_id: str) -> str:
    return f"orders_sync run {run_id}"
