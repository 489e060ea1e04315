"""Whether a run is alive: each run holds an advisory lock with its id in the name."""

import logging
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import timedelta

import psycopg

from orders_sync.database import advisory_locks, heartbeat
from orders_sync.database.engine import Connection, DatabaseUnreachableError, connect
from orders_sync.database.heartbeat import every, touch

log = logging.getLogger("orders_sync.lanes")


@contextmanager
def alive(run_id: str) -> Generator[None]:
    """Shows for the length of the block that a run is alive; however its process ends, the lock is then free.

    A proxy may cut the connection while the run works: the lock is then taken again with the next beat, long before the
    run counts as dead (`dead_run_seconds`).
    """
    with closing(_Sign(run_id)) as sign, every(heartbeat.BEAT_SECONDS, sign.renew, f"shows that {run_id} is alive"):
        yield


def is_alive(connection: Connection, run_id: str) -> bool:
    """Whether a process shows that the run is alive."""
    return advisory_locks.is_held(connection, _lock_name(run_id))


def silent_for(connection: Connection, run_id: str) -> timedelta:
    """For how long the process that shows that the run is alive has done nothing: it does so every 20 seconds.

    Zero if there is no such process, or if another role's can't be looked at.
    """
    active_at = advisory_locks.last_active(connection, _lock_name(run_id))
    ((now,),) = connection.execute("SELECT clock_timestamp()")
    return timedelta() if active_at is None else now - active_at


def end_sign_of_life(connection: Connection, run_id: str) -> None:
    """Terminates the session with which a run shows that it is alive, though its process does not work any more."""
    advisory_locks.end_holder(connection, _lock_name(run_id), f"orders_sync run {run_id}")


class _Sign:
    """The lock of a run, and the connection that holds it."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._connection = self._connect()
        advisory_locks.lock(self._connection, _lock_name(run_id))

    def renew(self) -> None:
        """Takes the lock again if its connection is lost."""
        if touch(self._connection):
            return
        self._connection.close()
        try:
            self._connection = self._connect()
            # Not waiting: the server may not have noticed yet that the connection before it is lost.
            is_taken = advisory_locks.try_lock(self._connection, _lock_name(self._run_id))
        except (DatabaseUnreachableError, psycopg.Error) as error:
            log.warning("run %s: its sign of life is lost: %s", self._run_id, error)
            return
        if not is_taken:
            self._connection.close()  # the next beat tries again
        log.warning("run %s: its connection was cut; it shows again that it is alive: %s", self._run_id, is_taken)

    def close(self) -> None:
        """Ends the sign of life."""
        self._connection.close()

    def _connect(self) -> Connection:
        return connect(application=f"orders_sync run {self._run_id}")


def _lock_name(run_id: str) -> str:
    return f"orders_sync run {run_id}"
