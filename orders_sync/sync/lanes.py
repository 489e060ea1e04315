"""Lanes: an account's sync of one type, which never runs over itself.

The guard is a PostgreSQL advisory lock held by the very connection that writes: it holds across machines, Dagster
deployments and the CLI, and is free the moment the process or its connection dies. Who holds it can be read in
pg_stat_activity, so a refusal names the run.
"""

import contextlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection, connect
from orders_sync.sync.summary import Summary


class SyncType(StrEnum):
    """The four syncs, in the order in which `all` runs them."""

    NEW = "new"
    MODIFIED = "modified"
    CARE = "care"
    INCOMPLETE = "incomplete"


class Lane(NamedTuple):
    """(account, sync type): what must never overlap itself."""

    account: str
    sync_type: SyncType

    def __str__(self) -> str:
        return f"{self.account}/{self.sync_type}"


class LaneBusy(RuntimeError):
    """Another run works on the lane; the message names it."""

    def __init__(self, lane: Lane, holder: str) -> None:
        super().__init__(f"Lane {lane} is busy: {holder} works on it.")
        self.lane = lane
        self.holder = holder


_KEY = "hashtextextended('orders_sync lane ' || %s, 0)"
_TRY = f"SELECT pg_try_advisory_lock({_KEY})"
_HOLDER = f"""
SELECT activity.application_name, run.run_id
FROM pg_locks held
JOIN pg_stat_activity activity ON activity.pid = held.pid
LEFT JOIN lanes ON lanes.account = %s AND lanes.sync_type = %s
LEFT JOIN LATERAL (SELECT lanes.last_run_id AS run_id) run ON lanes.last_outcome = 'running'
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((held.classid::bigint << 32) | held.objid::bigint) = {_KEY}
"""  # noqa: S608 - the key's expression is a constant, its value a bound parameter


def holder(connection: Connection, lane: Lane) -> str | None:
    """Who works on the lane now (`run …`), or None when it is free."""
    row = connection.execute(_HOLDER, [lane.account, lane.sync_type, str(lane)]).fetchone()
    if row is None:
        return None
    application, run_id = row
    return f"run {run_id}" if run_id else str(application)


@contextmanager
def hold(
    lane: Lane,
    run_id: str,
    *,
    wait_seconds: float = 0.0,
    told: Callable[[str], None] = lambda _: None,
    url: str | None = None,
) -> Generator[Connection]:
    """Holds the lane for the length of the block and gives the connection that holds it.

    Waits up to `wait_seconds` for a busy lane, saying so through `told`; then raises LaneBusy.
    """
    connection = connect(url, application=f"orders_sync {lane} {run_id}")
    try:
        _acquire(connection, lane, wait_seconds, told)
        yield connection
    finally:
        # Closing alone frees the lock a moment later, when the server has noticed.
        with contextlib.suppress(psycopg.Error):
            connection.execute("SELECT pg_advisory_unlock_all()")
        connection.close()


def _acquire(connection: Connection, lane: Lane, wait_seconds: float, told: Callable[[str], None]) -> None:
    deadline = time.monotonic() + wait_seconds
    said = None
    while True:
        row = connection.execute(_TRY, [str(lane)]).fetchone()
        if row is not None and row[0]:
            return
        who = holder(connection, lane)
        if who is None:
            continue  # freed between the two questions
        if time.monotonic() >= deadline:
            raise LaneBusy(lane, who)
        if who != said:
            told(f"Lane {lane} is busy: {who} works on it; waiting up to {wait_seconds:.0f} s.")
            said = who
        time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))


def watermark(connection: Connection, lane: Lane) -> datetime | None:
    """Up to when the lane has seen everything, by the marketplace's clock; None before its first whole pass."""
    row = connection.execute("SELECT watermark FROM lanes WHERE account = %s AND sync_type = %s", [*lane]).fetchone()
    return row[0] if row else None


def advance_watermark(connection: Connection, lane: Lane, to: datetime) -> datetime:
    """Moves the watermark forward, never back; returns where it stands. Call it in the pass's last transaction."""
    row = connection.execute(
        """
        UPDATE lanes SET watermark = greatest(watermark, %s) WHERE account = %s AND sync_type = %s
        RETURNING watermark
        """,
        [to, *lane],
    ).fetchone()
    assert row is not None, "started() made the row"
    return row[0]


def started(connection: Connection, lane: Lane, run_id: str) -> int:
    """Notes that a pass begins; returns the id of its row in lane_runs."""
    with connection.transaction():
        connection.execute(
            """
            INSERT INTO lanes (account, sync_type, last_run_id, last_started_at, last_outcome)
            VALUES (%s, %s, %s, now(), 'running')
            ON CONFLICT (account, sync_type) DO UPDATE SET
              last_run_id = excluded.last_run_id, last_started_at = now(), last_outcome = 'running',
              last_problem = NULL
            """,
            [*lane, run_id],
        )
        connection.execute(
            """
            UPDATE lane_runs SET outcome = 'failed', problem = 'its process died', finished_at = now()
            WHERE account = %s AND sync_type = %s AND outcome = 'running'
            """,
            [*lane],
        )
        row = connection.execute(
            "INSERT INTO lane_runs (account, sync_type, run_id, outcome) VALUES (%s, %s, %s, 'running') "
            "RETURNING lane_run_id",
            [*lane, run_id],
        ).fetchone()
    assert row is not None
    return int(row[0])


def finished(connection: Connection, lane: Lane, lane_run_id: int, summary: Summary, problem: str | None) -> None:
    """Notes how a pass ended; `problem` is the one line that says why it failed."""
    outcome = "failed" if problem else "succeeded"
    values = [outcome, problem, Jsonb(summary.as_json())]
    with connection.transaction():
        connection.execute(
            "UPDATE lane_runs SET outcome = %s, problem = %s, summary = %s, finished_at = now() WHERE lane_run_id = %s",
            [*values, lane_run_id],
        )
        connection.execute(
            """
            UPDATE lanes SET last_outcome = %s, last_problem = %s, last_summary = %s, last_finished_at = now(),
              last_succeeded_at = CASE WHEN %s THEN now() ELSE last_succeeded_at END
            WHERE account = %s AND sync_type = %s
            """,
            [*values, problem is None, *lane],
        )


class LaneState(NamedTuple):
    """One row of `orders-sync status`."""

    lane: Lane
    watermark: datetime | None
    last_run_id: str | None
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_succeeded_at: datetime | None
    last_outcome: str | None
    last_problem: str | None
    last_summary: dict[str, object]
    holder: str | None

    def lag(self, now: datetime | None = None) -> float | None:
        """Seconds since the watermark."""
        if self.watermark is None:
            return None
        return ((now or datetime.now(UTC)) - self.watermark).total_seconds()


def states(connection: Connection, accounts: list[str]) -> list[LaneState]:
    """How each lane of these accounts stands."""
    rows = {
        (row[0], row[1]): row[2:]
        for row in connection.execute(
            """
            SELECT account, sync_type, watermark, last_run_id, last_started_at, last_finished_at,
                   last_succeeded_at, last_outcome, last_problem, last_summary FROM lanes
            """
        )
    }
    unknown: tuple[Any, ...] = (None, None, None, None, None, None, None, {})
    return [
        LaneState(lane, *rows.get((lane.account, lane.sync_type.value), unknown), holder=holder(connection, lane))
        for account in accounts
        for lane in (Lane(account, sync_type) for sync_type in SyncType)
    ]
