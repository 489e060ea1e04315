"""The run history of each lane: every pass with its outcome, and the state of each lane now."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import holder
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
            UPDATE lane_runs SET outcome = 'failed', problem = 'its process died', finished_at = now()
            WHERE account = %s AND sync_type = %s AND outcome = 'running'
            """,
            [*lane],
        )
        ((lane_run_id,),) = connection.execute(
            "INSERT INTO lane_runs (account, sync_type, run_id, outcome) VALUES (%s, %s, %s, 'running') "
            "RETURNING lane_run_id",
            [*lane, run_id],
        )
    return int(lane_run_id)


def finished(connection: Connection, lane: Lane, lane_run_id: int, summary: PassSummary, problem: str | None) -> None:
    """Stores how a pass ended; `problem` is the reason of a failure in one line, or None where it succeeded.

    A pass that put records off is `partial`; it counts as succeeded.
    """
    outcome = "failed" if problem else "partial" if summary.is_partial else "succeeded"
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

    def lag(self, now: datetime | None = None) -> float | None:
        """Seconds since the watermark; None before the first complete pass."""
        if self.watermark is None:
            return None
        return ((now or datetime.now(UTC)) - self.watermark).total_seconds()


def lane_states(connection: Connection, accounts: list[str]) -> list[LaneState]:
    """The state of each lane of these accounts, lanes that never ran included."""
    cursor = connection.cursor(row_factory=dict_row).execute(
        """
        SELECT account, sync_type, watermark, last_run_id, last_started_at, last_finished_at,
               last_succeeded_at, last_outcome, last_problem, last_summary FROM lanes
        """
    )
    stored = {Lane(row.pop("account"), SyncType(row.pop("sync_type"))): row for row in cursor}
    return [
        LaneState(lane, **stored.get(lane, {}), holder=holder(connection, lane))
        for account in accounts
        for lane in (Lane(account, sync_type) for sync_type in SyncType)
    ]
