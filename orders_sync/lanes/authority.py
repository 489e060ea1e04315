"""The authority to act outside: to accept orderlines at a marketplace, and to lock stock.

V1 has it while V1 and V2 run side by side (phases `parallel` and `monitor`). V2 has it in phase `live`, which is also
the phase of a project that never had a V1.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from psycopg.errors import LockNotAvailable

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection
from orders_sync.database.session_settings import LOCK_SECONDS
from orders_sync.model.errors import UserFacingError

MOVE_WAIT_SECONDS = 60
"""How long a move to another phase waits by default until nothing acts outside."""
_LOCK = "orders_sync migration phase"


class Phase(StrEnum):
    """The phases of the cutover, in their order."""

    PARALLEL = "parallel"
    MONITOR = "monitor"
    LIVE = "live"


@dataclass(frozen=True)
class Authority:
    """Who may do what outside V2's own tables. This is the only place that decides it."""

    phase: Phase
    had_a_v1: bool
    """Whether the cutover has ever moved; else V2 has been alone from the beginning."""

    @property
    def may_accept_orderlines(self) -> bool:
        """Whether V2 accepts orderlines at the marketplaces."""
        return self.phase is Phase.LIVE

    @property
    def may_lock_stock(self) -> bool:
        """Whether V2 owns the stock locks; else it keeps the shadow's."""
        return self.phase is Phase.LIVE

    @property
    def v1_may_run(self) -> bool:
        """Whether V1's commands run: until V2 has taken over from it."""
        return self.phase is not Phase.LIVE or not self.had_a_v1


class StillActingError(UserFacingError):
    """Something that acts outside did not finish in time, so the phase can't move; the message names it."""


def current_phase(connection: Connection) -> Phase:
    """The phase now; live where no cutover has begun."""
    return current_authority(connection).phase


def current_authority(connection: Connection) -> Authority:
    """The authority now, for reading: it may move right afterwards."""
    row = connection.execute("SELECT to_phase FROM migration_moves ORDER BY move_id DESC LIMIT 1").fetchone()
    if row is None:
        return Authority(Phase.LIVE, had_a_v1=False)
    (phase,) = row
    return Authority(Phase(phase), had_a_v1=True)


@contextmanager
def hold_authority(connection: Connection) -> Generator[Authority]:
    """Keeps the authority as it is for the length of the block; yields it.

    Stock, acceptances and V1's runs act inside this block. A move to another phase waits for its end, so that nothing
    begun in one phase goes on in the next.
    """
    with advisory_locks.shared_lock(connection, _LOCK):
        yield current_authority(connection)


def stop_others(connection: Connection, *, wait_seconds: float) -> None:
    """Waits until nothing acts outside, and prevents that anything begins before the end of the open transaction.

    After `wait_seconds` it raises StillActingError. Of two connections that call this at once, the second waits for the
    first one's transaction.
    """
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{round(wait_seconds * 1000)}ms"])
    try:
        with connection.transaction():
            advisory_locks.lock_for_transaction(connection, _LOCK)
    except LockNotAvailable:
        names = ", ".join(advisory_locks.holders(connection, _LOCK)) or "another connection"
        raise StillActingError(
            f"{names} did not finish within {wait_seconds:g} s. "
            "The phase has not moved; try again when it has finished."
        ) from None
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])
