"""The progress of running passes: when each last made some, what it waits for, and which ones are stalled.

A process can live and hold its lane without doing anything: it is frozen, or its work hangs. So a pass notes its
progress in its row of lane_runs, and one that notes none is ended. Other work that holds a lane, e.g. a command, has no
such row: its session is never idle for long while its process works, and a session that is, is ended.
"""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

from psycopg.errors import InsufficientPrivilege, LockNotAvailable

from orders_sync.database.engine import Connection
from orders_sync.lanes.liveness import end_sign_of_life
from orders_sync.lanes.lock import end_holder, end_silent_holder, holder
from orders_sync.model.known_credentials import masked
from orders_sync.model.lane import Lane, SyncType

log = logging.getLogger("orders_sync.lanes")

DIED = "its process died"
"""The problem of a pass whose process is gone."""


class Wait(NamedTuple):
    """Something that a pass waits for, and only so long."""

    what: str
    """As it goes on after `waits for`."""
    until: datetime
    """When it stops waiting at the latest, by our clock (aware)."""


class RunningLane(NamedTuple):
    """A pass that is running according to its row in lane_runs."""

    lane_run_id: int
    lane: Lane
    run_id: str


class EndedPass(NamedTuple):
    """A pass that was found not to work any more, and is failed now."""

    lane: Lane
    run_id: str
    problem: str
    """Why, in one line."""


def note_progress(connection: Connection, lane_run_id: int, wait: Wait | None) -> bool:
    """Notes that a pass made progress, or waits for something. Returns False if the pass has been ended meanwhile."""
    what, until = wait or (None, None)
    return connection.execute(_NOTE, [what and masked(what), until, lane_run_id]).rowcount == 1


class EndedHolder(NamedTuple):
    """What held a lane without a sign of life, and holds it no more."""

    lane: Lane
    holder: str
    """The name of its connection, e.g. `orders_sync shop/new cli-1a2b`."""
    problem: str
    """Why, in one line."""


def end_stalled_passes(connection: Connection, after: timedelta) -> list[EndedPass]:
    """Ends each pass without progress for so long: its session is terminated, and its lane free.

    If its process is frozen and wakes up later, its first statement fails: it writes nothing more. Logs each as an
    error.
    """
    ended: list[EndedPass] = []
    for lane_run_id, account, sync_type, run_id, silent in connection.execute(_STALLED, [after]).fetchall():
        lane = Lane(account, SyncType(sync_type))
        problem = f"it made no progress for {silent.total_seconds() // 60:.0f} min, and was ended"
        # First of all: it may hold row locks that would keep this connection waiting.
        try:
            end_holder(connection, lane, run_id)
            end_sign_of_life(connection, run_id)
        except InsufficientPrivilege:
            log.error(
                "%s: run %s makes no progress, and can't be ended from here, since it connected to the database with "
                "another role: end its process.", lane, run_id,
            )  # fmt: skip
            continue
        if _fail(connection, RunningLane(lane_run_id, lane, run_id), problem):
            log.error("%s: run %s: %s", lane, run_id, problem)
            ended.append(EndedPass(lane, run_id, problem))
    return ended


def end_frozen_holders(connection: Connection, lanes: Iterable[Lane], after: timedelta) -> list[EndedHolder]:
    """Ends what holds one of the lanes and has shown no sign of life for so long, e.g. a frozen command.

    What it does when it wakes up fails, as with `end_stalled_passes`. Logs each as an error.
    """
    ended: list[EndedHolder] = []
    for lane in lanes:
        try:
            holder_name = end_silent_holder(connection, lane, after)
        except InsufficientPrivilege:  # another role's work shows no sign of life that could be seen
            continue
        if holder_name is not None:
            problem = f"it showed no sign of life for {after.total_seconds() // 60:.0f} min, and was ended"
            log.error("%s: %s: %s", lane, holder_name, problem)
            ended.append(EndedHolder(lane, holder_name, problem))
    return ended


def fail_dead_passes(connection: Connection) -> list[EndedPass]:
    """Fails each pass that is running according to its row, but whose lane nobody holds: its process died."""
    rows = [RunningLane(number, Lane(a, SyncType(t)), run) for number, a, t, run in connection.execute(_RUNNING)]
    return [
        EndedPass(row.lane, row.run_id, DIED)
        for row in rows
        # A pass stores its end before it frees the lane, so a row that is running afterwards is of a dead process.
        if holder(connection, row.lane) != f"run {row.run_id}" and _fail(connection, row, DIED)
    ]


def failures_in_row(connection: Connection, lanes: Collection[Lane]) -> dict[Lane, int]:
    """How many passes of each lane failed since its last success; lanes without a failure are left out."""
    found = {
        Lane(account, SyncType(sync_type)): int(count)
        for account, sync_type, count in connection.execute(_FAILURES, [sorted({lane.account for lane in lanes})])
    }
    return {lane: found[lane] for lane in lanes if found.get(lane)}


def _fail(connection: Connection, row: RunningLane, problem: str) -> bool:
    """Fails a running pass; returns False if it has ended by itself, or if somebody has locked its row.

    Such a lock must not keep the other lanes waiting: the next look tries again.
    """
    try:
        with connection.transaction():
            connection.execute(_WAIT_SHORTLY)
            if connection.execute(_FAIL_RUN, [problem, row.lane_run_id]).rowcount == 0:
                return False
            connection.execute(_FAIL_LANE, [problem, *row.lane, row.run_id])
    except LockNotAvailable:
        log.error("%s: run %s: %s. This can't be stored: somebody has locked its row.", row.lane, row.run_id, problem)
        return False
    return True


_WAIT_SHORTLY: LiteralString = "SET LOCAL lock_timeout = '2s'"
_NOTE: LiteralString = """
UPDATE lane_runs SET progressed_at = now(), waits_for = %s, waits_until = %s
WHERE lane_run_id = %s AND outcome = 'running'
"""
# A lane's row and that of its run are written in one transaction: their times are equal, and there is an index on them.
_RUNNING: LiteralString = """
SELECT lane_run_id, account, sync_type, run_id
FROM lanes JOIN lane_runs USING (account, sync_type)
WHERE last_outcome = 'running' AND started_at = last_started_at AND outcome = 'running'
"""
_STALLED: LiteralString = """
SELECT lane_run_id, account, sync_type, run_id, now() - progressed_at
FROM lanes JOIN lane_runs USING (account, sync_type)
WHERE last_outcome = 'running' AND started_at = last_started_at AND outcome = 'running'
  AND progressed_at < now() - %s::interval
"""
_FAIL_RUN: LiteralString = """
UPDATE lane_runs SET outcome = 'failed', problem = %s, finished_at = now(), waits_for = NULL, waits_until = NULL
WHERE lane_run_id = %s AND outcome = 'running'
"""
_FAIL_LANE: LiteralString = """
UPDATE lanes SET last_outcome = 'failed', last_problem = %s, last_finished_at = now()
WHERE account = %s AND sync_type = %s AND last_run_id = %s AND last_outcome = 'running'
"""
_FAILURES: LiteralString = """
SELECT account, sync_type, (
  SELECT count(*) FROM lane_runs run WHERE (run.account, run.sync_type) = (lanes.account, lanes.sync_type)
    AND started_at > coalesce(last_succeeded_at, '-infinity') AND outcome = 'failed')
FROM lanes WHERE account = ANY(%s)
"""
