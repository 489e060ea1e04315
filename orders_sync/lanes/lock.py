"""The lock of a lane, which allows one run of a lane at a time.

It is a PostgreSQL advisory lock, held by the connection that writes. It works across machines, Dagster deployments and
the command line, and is free as soon as the process or its connection dies. pg_stat_activity shows its holder, so the
error names the run that is in the way.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta

from psycopg import OperationalError

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect
from orders_sync.database.heartbeat import every, touch
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import Lane


class LaneBusyError(UserFacingError):
    """Another run holds the lane; the message names it."""

    def __init__(self, lane: Lane, holder: str) -> None:
        super().__init__(f"Lane {lane} is busy: {holder} works on it.")
        self.lane = lane
        self.holder = holder


class LaneLostError(BaseException):
    """The lane for which this thread works is lost. It ends the whole pass, whatever the pass is doing.

    No Exception, as asyncio's CancelledError: an adapter, and the code around it, may take any Exception for that of
    one record, note it, and go on with the next one.
    """


LOOK_SECONDS = 5.0
"""How often it is looked, beside what a pass does, whether its lanes are still held."""


class HeldLanes:
    """The lanes for which a thread works, none or several: all of them, or the work ends."""

    def __init__(self, connections: Sequence[Connection] = (), lost: threading.Event | None = None) -> None:
        """`connections`: those that hold the lanes. `lost`: set as soon as somebody notices that one is lost."""
        self._connections = tuple(connections)
        self._lost = lost or threading.Event()

    def with_another(self, connection: Connection) -> "HeldLanes":
        """These lanes and that of another connection."""
        return HeldLanes((*self._connections, connection), self._lost)

    def check(self) -> None:
        """Raises LaneLostError if a lane is lost: another run may work on it by now.

        Call it before something is done that only one run may do. It asks the database.
        """
        self.notice()
        self.check_noticed()

    def check_noticed(self) -> None:
        """Raises LaneLostError if it was noticed that a lane is lost. It asks nobody."""
        if self._lost.is_set():
            raise LaneLostError(
                "the connection to the orders database was lost, and with it the lane; the next run goes on"
            )

    def sleep(self, seconds: float) -> None:
        """Waits. Raises LaneLostError as soon as it is noticed that a lane is lost."""
        if not self._connections:
            time.sleep(seconds)
        elif self._lost.wait(seconds):
            self.check_noticed()

    def notice(self) -> None:
        """Looks whether all lanes are still held."""
        if not all(map(touch, self._connections)):
            self._lost.set()


_held: ContextVar[HeldLanes | None] = ContextVar("held", default=None)
_RUN = "SELECT last_run_id FROM lanes WHERE account = %s AND sync_type = %s AND last_outcome = 'running'"


def holder(connection: Connection, lane: Lane) -> str | None:
    """The holder of the lane now (`run …`, or the name of its connection), or None when the lane is free."""
    names = advisory_locks.holders(connection, _lock_name(lane))
    if not names:
        return None
    run = connection.execute(_RUN, [*lane]).fetchone()
    # The row of a pass whose process died says `running` too, while somebody else may hold its lane.
    return f"run {run[0]}" if run is not None and _application(lane, run[0]) in names else names[0]


def end_holder(connection: Connection, lane: Lane, run_id: str) -> bool:
    """Terminates the session with which a run holds a lane, so that the lane is free; returns whether there was one.

    Whatever the run does later with that session fails. Every role may terminate the sessions of its own.
    """
    return advisory_locks.end_holder(connection, _lock_name(lane), _application(lane, run_id))


def holder_active_at(connection: Connection, lane: Lane) -> datetime | None:
    """When the session that holds the lane last executed something (aware).

    It does so every 20 seconds at least while its process works. None: the lane is free, or another role holds it.
    """
    return advisory_locks.last_active(connection, _lock_name(lane))


def end_silent_holder(connection: Connection, lane: Lane, after: timedelta) -> str | None:
    """Terminates the session that holds the lane if it has executed nothing for so long; returns the holder's name.

    Raises InsufficientPrivilege if it is another role's.
    """
    active_at = holder_active_at(connection, lane)
    ((now,),) = connection.execute("SELECT clock_timestamp()")
    if active_at is None or now - active_at < after:
        return None
    for session in advisory_locks.sessions(connection, _lock_name(lane)):
        if advisory_locks.end_session(connection, _lock_name(lane), session):
            return session.application
    return None


@contextmanager
def hold(
    lane: Lane,
    run_id: str,
    *,
    wait_seconds: float = 0.0,
    report: Callable[[str], None] = lambda _: None,
    url: str | None = None,
) -> Generator[Connection]:
    """Holds the lane for the length of the block; yields the connection that holds it.

    Waits up to `wait_seconds` for a busy lane and calls `report` with a line for each holder. Then raises
    LaneBusyError. Raises OperationalError when the block ends with LaneLostError.
    """
    connection = connect(url, application=_application(lane, run_id))
    before = _held.get()
    try:
        _acquire(connection, lane, wait_seconds, report)
        held = (before or HeldLanes()).with_another(connection)
        _held.set(held)
        with every(LOOK_SECONDS, held.notice, f"holds lane {lane}"):
            yield connection
    except LaneLostError as lost:
        raise OperationalError(str(lost)) from None
    finally:
        _held.set(before)
        advisory_locks.release_all(connection)
        connection.close()


def held_lanes() -> HeldLanes:
    """The lanes for which this thread works."""
    return _held.get() or HeldLanes()


def _acquire(connection: Connection, lane: Lane, wait_seconds: float, report: Callable[[str], None]) -> None:
    deadline = time.monotonic() + wait_seconds
    reported = None
    while True:
        if advisory_locks.try_lock(connection, _lock_name(lane)):
            return
        who = holder(connection, lane)
        if who is None:
            continue  # freed between the two queries
        if time.monotonic() >= deadline:
            raise LaneBusyError(lane, who)
        if who != reported:
            report(f"Lane {lane} is busy: {who} works on it; waiting up to {wait_seconds:.0f} s.")
            reported = who
        time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))


def _application(lane: Lane, run_id: str) -> str:
    """The name under which pg_stat_activity shows a run that holds a lane; PostgreSQL cuts it off after 63 bytes."""
    return f"orders_sync {lane} {run_id}".encode()[:63].decode(errors="ignore")


def _lock_name(lane: Lane) -> str:
    return f"orders_sync lane {lane}"
