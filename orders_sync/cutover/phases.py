"""The meaning of each phase of the cutover, and the moves between them, which are rows of migration_moves."""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.config.v1 import CutoverError
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import MOVE_WAIT_SECONDS, Phase, current_phase, stop_others

MEANING = {
    Phase.PARALLEL: "V1 and V2 run side by side; V1 has the authority, V2 writes its own tables only",
    Phase.MONITOR: "as parallel; in addition, V2's agreement is counted day by day until V2 is ready",
    Phase.LIVE: "V2 has the authority: it accepts orderlines and owns the stock locks; V1's schedules are off",
}


class Move(NamedTuple):
    """One move from phase to phase."""

    from_phase: Phase
    to_phase: Phase
    moved_at: datetime
    moved_by: str
    forced: bool
    reason: str


def moves(connection: Connection) -> list[Move]:
    """All moves, oldest first."""
    rows = connection.execute(
        "SELECT from_phase, to_phase, moved_at, moved_by, forced, reason FROM migration_moves ORDER BY move_id"
    )
    return [
        Move(Phase(from_phase), Phase(to_phase), moved_at, moved_by, forced, reason)
        for from_phase, to_phase, moved_at, moved_by, forced, reason in rows
    ]


def note_move(
    connection: Connection,
    to: Phase,
    by: By,
    *,
    before: Phase,
    forced: bool = False,
    checks: Any = None,
    wait_seconds: float = MOVE_WAIT_SECONDS,
) -> Move:
    """Stores a move from the phase `before`. Call it first in the transaction that does what the move means.

    Raises StillActingError when something that acts outside does not finish within `wait_seconds`, and CutoverError
    when somebody else has moved meanwhile.
    """
    stop_others(connection, wait_seconds=wait_seconds)
    if current_phase(connection) is not before:
        raise CutoverError(
            f"Somebody else has moved the cutover meanwhile. The phase is {current_phase(connection)} now."
        )
    ((moved_at,),) = connection.execute(
        """
        INSERT INTO migration_moves (from_phase, to_phase, moved_by, forced, reason, checks)
        VALUES (%s, %s, %s, %s, %s, %s) RETURNING moved_at
        """,
        [before, to, by.user, forced, by.reason, Jsonb(checks or [])],
    )
    detail = f"from {before} to {to}{', forced' if forced else ''}"
    note_act(connection, by, Act.MOVE_CUTOVER, detail=detail)
    return Move(before, to, moved_at, by.user, forced, by.reason)
