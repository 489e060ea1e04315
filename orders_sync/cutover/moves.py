"""Moving the cutover from phase to phase: forward when the checks pass, and back at any time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from orders_sync.acts.by import By
from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.cutover.phases import Move, note_move
from orders_sync.cutover.readiness import Check, checks_to_live, checks_to_monitor
from orders_sync.cutover.stock_handover import V1Lock, hand_back, take_over
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import MOVE_WAIT_SECONDS, Phase, current_phase
from orders_sync.marketplaces.kit.accounts import overselling_accounts

LOCKS_SECONDS = 60
"""Stock stands still while V1's locks are read: a statement of V1's server may take so long at most."""


class NotReadyError(CutoverError):
    """Some checks do not pass; `checks` are all of them."""

    def __init__(self, checks: Sequence[Check]) -> None:
        failed = [check for check in checks if not check.passed]
        super().__init__("Not ready: " + "; ".join(f"{check.name}: {check.what}" for check in failed))
        self.checks = checks


def begin(connection: Connection, by: By, *, wait_seconds: float = MOVE_WAIT_SECONDS) -> Move:
    """Puts V1 and V2 side by side: V1 has the authority from now on.

    Raises CutoverError if a cutover has begun already, and StillActingError when something that acts outside does not
    finish within `wait_seconds`.
    """
    phase = current_phase(connection)
    if phase is not Phase.LIVE:
        raise CutoverError(f"The cutover has begun already; its phase is {phase}.")
    return _from_live_to_parallel(connection, by, wait_seconds)


def back(connection: Connection, by: By, *, wait_seconds: float = MOVE_WAIT_SECONDS) -> Move:
    """Moves one phase back, at any time. From live, V2's locks are released and V1 has the authority again.

    Raises CutoverError in the first phase, and StillActingError when something that acts outside does not finish within
    `wait_seconds`.
    """
    phase = current_phase(connection)
    if phase is Phase.PARALLEL:
        raise CutoverError("The cutover is in its first phase; there is no phase before it.")
    if phase is Phase.LIVE:
        return _from_live_to_parallel(connection, by, wait_seconds)
    with connection.transaction():
        return note_move(connection, Phase.PARALLEL, by, before=phase, wait_seconds=wait_seconds)


def advance(
    connection: Connection,
    settings: CutoverSettings,
    by: By,
    *,
    force: bool,
    v1_off: Callable[[], AbstractContextManager[Sequence[str]]],
    now: datetime | None = None,
    wait_seconds: float = MOVE_WAIT_SECONDS,
) -> Move:
    """Moves one phase forward, if the checks pass or `force` is set. The move is stored with `by` and `force`.

    To go live, it first switches V1's schedules off, by entering `v1_off`, which yields those that are still on, and
    switches them on again where the move fails. In one
    transaction it then waits at most `wait_seconds` for what acts outside, V1's runs included, takes V1's locks over,
    and moves. Raises NotReadyError, StillActingError, or CutoverError.
    """
    phase = current_phase(connection)
    if phase is Phase.LIVE:
        raise CutoverError("V2 is live already; `orders-sync cutover begin` puts V1 and V2 side by side.")
    checks = (checks_to_monitor if phase is Phase.PARALLEL else checks_to_live)(connection, settings, now)
    if not force and not all(check.passed for check in checks):
        raise NotReadyError(checks)
    results = [check._asdict() for check in checks]
    if phase is Phase.PARALLEL:
        with connection.transaction():
            return note_move(
                connection, Phase.MONITOR, by, before=phase, forced=force, checks=results,
                wait_seconds=wait_seconds,
            )  # fmt: skip
    with v1_off() as still_on:
        if still_on:
            names = ", ".join(still_on)
            raise CutoverError(f"V1's schedules do not stay off: {names} still on. The phase has not moved.")
        with connection.transaction():
            move = note_move(
                connection, Phase.LIVE, by, before=phase, forced=force, checks=results, wait_seconds=wait_seconds
            )
            # V1's locks are read only now that V1 has stopped.
            take_over(connection, _v1_locks(settings), overselling_accounts())
    return move


def _v1_locks(settings: CutoverSettings) -> list[V1Lock]:
    with V1Database(settings, LOCKS_SECONDS) as v1:
        return v1.all_locks()


def _from_live_to_parallel(connection: Connection, by: By, wait_seconds: float) -> Move:
    with connection.transaction():
        move = note_move(connection, Phase.PARALLEL, by, before=Phase.LIVE, wait_seconds=wait_seconds)
        hand_back(connection)
    return move
