"""Lanes: an account's sync of one type, which never runs over itself.

The guard is a PostgreSQL advisory lock held by the very connection that writes: it holds across machines, Dagster
deployments and the CLI, and is free the moment the process or its connection dies. Who holds it can be read in
pg_stat_activity, so a refusal names the run.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import Lane


class LaneBusyError(UserFacingError):
    """Another run works on the lane; the message names it."""

    def __init__(self, lane: Lane, holder: str) -> None:
        super().__init__(f"Lane {lane} is busy: {holder} works on it.")
        self.lane = lane
        self.holder = holder


_RUN = "SELECT last_run_id FROM lanes WHERE account = %s AND sync_type = %s AND last_outcome = 'running'"


def holder(connection: Connection, lane: Lane) -> str | None:
    """Who works on the lane now (`run …`, or the name of its connection), or None when the lane is free."""
    names = advisory_locks.holders(connection, _lock_name(lane))
    if not names:
        return None
    run = connection.execute(_RUN, [*lane]).fetchone()
    return f"run {run[0]}" if run is not None else names[0]


@contextmanager
def hold(
    lane: Lane,
    run_id: str,
    *,
    wait_seconds: float = 0.0,
    report: Callable[[str], None] = lambda _: None,
    url: str | None = None,
) -> Generator[Connection]:
    """Holds the lane for the length of the block and gives the connection that holds it.

    Waits up to `wait_seconds` for a busy lane, and reports so through `report`. Then it raises LaneBusyError.
    """
    connection = connect(url, application=f"orders_sync {lane} {run_id}")
    try:
        _acquire(connection, lane, wait_seconds, report)
        yield connection
    finally:
        advisory_locks.release_all(connection)
        connection.close()


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


def _lock_name(lane: Lane) -> str:
    return f"orders_sync lane {lane}"
