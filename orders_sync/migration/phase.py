"""The phases of a migration, and who moved it from one to the next: every move is a row.

`parallel` and `monitor`: V1 is the truth. V2 fetches, stores and writes events, but accepts nothing at a marketplace
and touches no stock; its locks are computed in shadow. `live`: V2 is the truth. A project that never had a V1 is live.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from psycopg.errors import LockNotAvailable
from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection
from orders_sync.migration.settings import MigrationProblem


class Phase(StrEnum):
    """A phase of the migration, in their order."""

    PARALLEL = "parallel"
    MONITOR = "monitor"
    LIVE = "live"


MEANING = {
    Phase.PARALLEL: "V1 and V2 run side by side; V1 is the truth, V2 acts on nothing outside its own tables",
    Phase.MONITOR: "as parallel, and V2's agreement is counted day by day until it is ready",
    Phase.LIVE: "V2 is the truth: it accepts orderlines and owns the stock locks; V1's schedules are off",
}


class Move(NamedTuple):
    """One move from phase to phase."""

    from_phase: Phase
    to_phase: Phase
    moved_at: datetime
    moved_by: str
    forced: bool
    reason: str


def current_phase(connection: Connection) -> Phase:
    """The phase now; live where no migration was ever begun."""
    row = connection.execute("SELECT to_phase FROM migration_moves ORDER BY move_id DESC LIMIT 1").fetchone()
    return Phase(row[0]) if row is not None else Phase.LIVE


PATIENCE_SECONDS = 60
"""How long a move waits for what acts outside."""
_KEY = "hashtextextended('orders_sync migration phase', 0)"
_ACTING = """
SELECT DISTINCT activity.application_name FROM pg_locks held JOIN pg_stat_activity activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 AND activity.datname = current_database()
  AND ((held.classid::bigint << 32) | held.objid::bigint) = hashtextextended('orders_sync migration phase', 0)
"""


def keep_phase(connection: Connection) -> Phase:
    """Keeps the phase as it is until the connection closes or `let_phase_move` is called; returns it.

    What acts outside (stock, acceptances, V1's runs) does so under it: a move waits until that is done, so that nothing
    begun in one phase goes on into the next.
    """
    connection.execute(f"SELECT pg_advisory_lock_shared({_KEY})")
    return current_phase(connection)


def let_phase_move(connection: Connection) -> None:
    """Ends what `keep_phase` began."""
    connection.execute(f"SELECT pg_advisory_unlock_shared({_KEY})")


def _let_nobody_act(connection: Connection) -> None:
    """Until the end of the transaction; two people do not move at once either."""
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{PATIENCE_SECONDS}s"])
    try:
        with connection.transaction():
            connection.execute(f"SELECT pg_advisory_xact_lock({_KEY})")
    except LockNotAvailable:
        names = ", ".join(acting(connection)) or "something"
        raise MigrationProblem(
            f"Still at work after {PATIENCE_SECONDS} s: {names}. Nothing was moved; try again when it is done."
        ) from None
    connection.execute("SET LOCAL lock_timeout TO DEFAULT")


def acting(connection: Connection) -> list[str]:
    """What keeps the phase as it is, by the names of the connections."""
    return [name for (name,) in connection.execute(_ACTING).fetchall()]


def moves(connection: Connection) -> list[Move]:
    """All moves, oldest first."""
    rows = connection.execute(
        "SELECT from_phase, to_phase, moved_at, moved_by, forced, reason FROM migration_moves ORDER BY move_id"
    )
    return [Move(Phase(row[0]), Phase(row[1]), *row[2:]) for row in rows]


def note_move(
    connection: Connection, to: Phase, *, by: str, reason: str, before: Phase, forced: bool = False, checks: Any = None
) -> Move:
    """Writes a move from the phase `before`. Call it first in the transaction that does what the move means.

    Raises MigrationProblem when something that acts outside is not done in time, or somebody else has moved meanwhile.
    """
    _let_nobody_act(connection)
    if current_phase(connection) is not before:
        raise MigrationProblem(f"Somebody else has moved meanwhile: the phase is {current_phase(connection)} now.")
    row = connection.execute(
        """
        INSERT INTO migration_moves (from_phase, to_phase, moved_by, forced, reason, checks)
        VALUES (%s, %s, %s, %s, %s, %s) RETURNING moved_at
        """,
        [before, to, by, forced, reason, Jsonb(checks or [])],
    ).fetchone()
    assert row is not None
    return Move(before, to, row[0], by, forced, reason)
