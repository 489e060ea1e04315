"""The authority to act outside: to accept orderlines at a marketplace, and to lock stock.

V1 has it while V1 and V2 run side by side (phases `parallel` and `monitor`). V2 has it in phase `live`, which is also
the phase of a project that never had a V1.
"""

from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum

from psycopg.errors import LockNotAvailable

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection
from orders_sync.model.errors import UserFacingError

MOVE_WAIT_SECONDS = 60
"""How long a move to another phase waits until nothing acts outside."""
_LOCK = "orders_sync migration phase"


class Phase(StrEnum):
    """The phases of the cutover, in their order."""

    PARALLEL = "parallel"
    MONITOR = "monitor"
    LIVE = "live"


class StillActingError(UserFacingError):
    """Something that acts outside did not finish in time, so the phase can't move; the message names it."""


def current_phase(connection: Connection) -> Phase:
    """The phase now; live where no cutover has begun."""
    row = connection.execute("SELECT to_phase FROM migration_moves ORDER BY move_id DESC LIMIT 1").fetchone()
    return Phase(row[0]) if row is not None else Phase.LIVE


@contextmanager
def authority(connection: Connection) -> Generator[Phase]:
    """Keeps the phase as it is for the length of the block; yields it.

    Stock, acceptances and V1's runs act inside this block. A move to another phase waits for its end, so that nothing
    begun in one phase goes on in the next.
    """
    with advisory_locks.shared_lock(connection, _LOCK):
        yield current_phase(connection)


def stop_others(connection: Connection, *, wait_seconds: float | None = None) -> None:
    """Waits until nothing acts outside, and prevents that anything begins before the end of the open transaction.

    After `wait_seconds` (MOVE_WAIT_SECONDS by default) it raises StillActingError. Of two connections that call this at
    once, the second waits for the first one's transaction.
    """
    seconds = MOVE_WAIT_SECONDS if wait_seconds is None else wait_seconds
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{round(seconds * 1000)}ms"])
    try:
        with connection.transaction():
            advisory_locks.lock_for_transaction(connection, _LOCK)
    except LockNotAvailable:
        names = ", ".join(advisory_locks.holders(connection, _LOCK)) or "another connection"
        raise StillActingError(
            f"{names} did not finish within {seconds:g} s. The phase has not moved; try again when it has finished."
        ) from None
    connection.execute("SET LOCAL lock_timeout TO DEFAULT")
