"""The run history of each lane: every pass with its outcome, and the state of each lane now."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import holder, holder_active_at
from orders_sync.lanes.progress import DIED, Wait
from orders_sync.model.known_credentials import masked
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary


def started(connection: Connection, lane: Lane, run_id: str) -> int:
    """Stores that a pass begins; returns the id of its row in lane_runs.

    A run of the lane that is still `running` there has died, since only one can hold the lane: it becomes `failed`.
    """
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
            UPDATE lane_runs SET outcome = 'failed', problem = %s, finished_at = now(),
              waits_for = NULL, waits_until = NULL
            WHERE account = %s AND sync_type = %s AND outcome = 'running'
            """,
            [DIED, *lane],
        )
        ((lane_run_id,),) = connection.execute(
            "INSERT INTO lane_runs (account, sync_type, run_id, outcome, progressed_at) "
            "VALUES (%s, %s, %s, 'running', now()) RETURNING lane_run_id",
            [*lane, run_id],
        )
    return int(lane_run_id)


def finished(connection: Connection, lane: Lane, lane_run_id: int, summary: PassSummary, problem: str | None) -> None:
    """Stores how a pass ended; `problem` is the reason of a failure in one line, or None where it succeeded.

    A pass that put records off is `partial`; it counts as succeeded.
    """
    outcome = "failed" if problem else "partial" if summary.is_partial else "succeeded"
    values = [outcome, problem and masked(problem), Jsonb(summary.as_json())]
    with connection.transaction():
        connection.execute(
            "UPDATE lane_runs SET outcome = %s, problem = %s, summary = %s, finished_at = now(), "
            "waits_for = NULL, waits_until = NULL WHERE lane_run_id = %s",
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
    """The state of a lane: its watermark, its last run, and the holder of its lock now."""

    lane: Lane
    watermark: datetime | None = None
    last_run_id: str | None = None
    last_started_at: datetime | None = None
    last_finished_at: datetime | None = None
    last_succeeded_at: datetime | None = None
    last_outcome: str | None = None
    last_problem: str | None = None
    last_summary: Mapping[str, object] = MappingProxyType({})
    holder: str | None = None
    progressed_at: datetime | None = None
    """When the pass that is running last made progress; None: none is running, or it does not note it."""
    waits: Wait | None = None
    """What the pass that is running waits for."""
    holder_active_at: datetime | None = None
    """When the session that holds the lane last executed something; None: nobody holds it, or it can't be seen."""

    def lag(self, now: datetime | None = None) -> float | None:
        """Seconds since the watermark; None before the first complete pass."""
        if self.watermark is None:
            return None
        return ((now or datetime.now(UTC)) - self.watermark).total_seconds()

    @property
    def is_running(self) -> bool:
        """Whether a pass works on the lane: its row says so, and it holds the lane."""
        return self.last_outcome == "running" and self.holder == f"run {self.last_run_id}"

    @property
    def has_died(self) -> bool:
        """Whether the last pass ended without a word: its row says `running`, but it does not hold the lane."""
        return self.last_outcome == "running" and not self.is_running

    def silence(self, now: datetime) -> timedelta:
        """How long the pass that is running has made no progress. A wait counts as progress while its process lives.

        Of other work on the lane, e.g. a command, how long its process has shown no sign of life.
        """
        since = self.progressed_at if self.is_running else self.holder_active_at
        return timedelta(0) if self.holder is None or since is None else max(now - since, timedelta(0))


def accounts_with_lanes(connection: Connection) -> list[str]:
    """The accounts of which a pass has run, also those that have no file any more."""
    return [account for (account,) in connection.execute("SELECT DISTINCT account FROM lanes ORDER BY account")]


def lane_states(connection: Connection, lanes: Sequence[Lane]) -> list[LaneState]:
    """The state of each of these lanes, in their order; those that never ran included."""
    states = _lane_states(connection, lanes)
    if not any(state.has_died for state in states):
        return states
    # A pass may have ended between the look at its row and the one at its lock: only the second look is certain.
    again = _lane_states(connection, lanes)
    return [second if first.has_died else first for first, second in zip(states, again, strict=True)]


def _lane_states(connection: Connection, lanes: Sequence[Lane]) -> list[LaneState]:
    cursor = connection.cursor(row_factory=dict_row).execute(_STATES, [list({lane.account for lane in lanes})])
    stored: dict[Lane, dict[str, Any]] = {}
    for row in cursor:
        what, until = row.pop("waits_for"), row.pop("waits_until")
        row["waits"] = Wait(what, until) if what is not None else None
        stored[Lane(row.pop("account"), SyncType(row.pop("sync_type")))] = row
    return [
        LaneState(
            lane,
            **stored.get(lane, {}),
            holder=holder(connection, lane),
            holder_active_at=holder_active_at(connection, lane),
        )
        for lane in lanes
    ]


# `started` writes both rows in one transaction, so that their times are equal; there is an index on them.
_STATES = """
SELECT lanes.account, lanes.sync_type, watermark, last_run_id, last_started_at, last_finished_at, last_succeeded_at,
       last_outcome, last_problem, last_summary, progressed_at, waits_for, waits_until
FROM lanes LEFT JOIN lane_runs running
  ON (running.account, running.sync_type, running.started_at) = (lanes.account, lanes.sync_type, last_started_at)
  AND running.outcome = 'running'
WHERE lanes.account = ANY(%s)
"""
