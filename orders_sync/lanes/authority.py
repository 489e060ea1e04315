"""The authority over an account: to accept its orderlines at the marketplace, and to own its stock locks.

V1 has it while V1 and V2 run side by side (phases `parallel` and `monitor`). V2 has it in phase `live`, which is also
the phase of an account that never had a V1. Each account has a phase of its own.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg.errors import LockNotAvailable

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection
from orders_sync.database.session_settings import LOCK_SECONDS
from orders_sync.model.errors import UserFacingError

MOVE_WAIT_SECONDS = 60
"""How long a move to another phase waits by default until nothing acts outside."""
_LOCK = "orders_sync migration phase"
_V1_LOCK = "orders_sync runs of V1"


class Phase(StrEnum):
    """The phases of the cutover, in their order."""

    PARALLEL = "parallel"
    MONITOR = "monitor"
    LIVE = "live"


@dataclass(frozen=True)
class AccountPhase:
    """The phase that an account is in, and since when."""

    phase: Phase = Phase.LIVE
    since: datetime | None = None
    """When it moved there; None: it has never moved, so that V2 has been alone from the beginning."""


@dataclass(frozen=True)
class Authority:
    """Who may do what outside V2's own tables. This is the only place that decides it."""

    moved: Mapping[str, AccountPhase]
    """The phase of each account that has moved."""
    others: AccountPhase = AccountPhase()
    """The phase of every other account: live, but for moves of the whole project, before revision 0040."""

    def of(self, account: str) -> AccountPhase:
        """The phase of an account."""
        return self.moved.get(account, self.others)

    def is_live(self, account: str) -> bool:
        """Whether V2 accepts an account's orderlines at the marketplace, and owns its stock locks."""
        return self.of(account).phase is Phase.LIVE

    def is_left_to_v1(self, account: str) -> bool:
        """Whether V1's commands run for an account that it has: until V2 has taken it over."""
        return not self.is_live(account) or self.of(account).since is None

    def v1_may_run(self, accounts: Iterable[str]) -> bool:
        """Whether V1's commands run at all: until V2 has taken over all of these accounts."""
        return any(map(self.is_left_to_v1, accounts))


class StillActingError(UserFacingError):
    """Something that acts outside did not finish in time, so the phase can't move; the message names it."""


def current_authority(connection: Connection) -> Authority:
    """The authority now, for reading: it may move right afterwards."""
    rows = connection.execute(_PHASES).fetchall()
    phases = {account: (move_id, AccountPhase(Phase(phase), at)) for account, phase, at, move_id in rows}
    of_all_id, of_all = phases.pop("", (0, AccountPhase()))
    return Authority({name: phase for name, (move_id, phase) in phases.items() if move_id > of_all_id}, of_all)


_PHASES = "SELECT DISTINCT ON (account) account, to_phase, moved_at, move_id FROM migration_moves ORDER BY 1, 4 DESC"


@contextmanager
def hold_authority(connection: Connection) -> Generator[Authority]:
    """Keeps the authority as it is for the length of the block; yields it.

    Stock, acceptances and V1's runs act inside this block. A move of any account waits for its end, so that nothing
    begun in one phase goes on in the next.
    """
    with advisory_locks.shared_lock(connection, _LOCK):
        yield current_authority(connection)


@contextmanager
def hold_authority_of_v1(connection: Connection) -> Generator[Authority]:
    """The same for a run of V1, which takes minutes: only a move to live waits for it, before it stops others."""
    with advisory_locks.shared_lock(connection, _V1_LOCK):
        yield current_authority(connection)


@contextmanager
def keep_v1_stopped(connection: Connection, *, wait_seconds: float) -> Generator[None]:
    """Waits until no command of V1 runs, and lets none begin before the end of the block.

    After `wait_seconds` it raises StillActingError.
    """
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{round(wait_seconds * 1000)}ms"])
    try:
        advisory_locks.lock(connection, _V1_LOCK)
    except LockNotAvailable:
        raise _still_acting(connection, _V1_LOCK, wait_seconds) from None
    finally:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
    try:
        yield
    finally:
        advisory_locks.unlock(connection, _V1_LOCK)


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
        raise _still_acting(connection, _LOCK, wait_seconds) from None
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])


def _still_acting(connection: Connection, name: str, waited_seconds: float) -> StillActingError:
    names = ", ".join(advisory_locks.holders(connection, name)) or "another connection"
    return StillActingError(
        f"{names} did not finish within {waited_seconds:g} s. The phase has not moved; try again when it has finished."
    )
