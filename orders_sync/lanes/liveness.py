"""Whether a run is alive: each run holds an advisory lock with its id in the name."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect


@contextmanager
def alive(run_id: str) -> Generator[None]:
    """Shows for the length of the block that a run is alive; however its process ends, the lock is then free."""
    with connect(application=f"orders_sync run {run_id}") as connection:
        advisory_locks.lock(connection, _lock_name(run_id))
        yield


def is_alive(connection: Connection, run_id: str) -> bool:
    """Whether a process shows that the run is alive."""
    return advisory_locks.is_held(connection, _lock_name(run_id))


def _lock_name(run_id: str) -> str:
    return f"orders_sync run {run_id}"
