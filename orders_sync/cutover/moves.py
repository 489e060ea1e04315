"""Moving accounts from phase to phase of the cutover: forward when the checks pass, and back at any time.

A move is about some accounts, which are in one phase. All other accounts stay as they are.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from orders_sync.acts.by import By
from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.cutover.phases import Move, hold_phase, note_moves
from orders_sync.cutover.readiness import Check, accounts_of, checks_to_live, checks_to_monitor, unnamed_accounts
from orders_sync.cutover.stock_handover import V1Lock, take_over
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import MOVE_WAIT_SECONDS, Phase, current_authority, keep_v1_stopped
from orders_sync.marketplaces.kit.accounts import overselling_accounts
from orders_sync.stock.needs import ItemKey

LOCKS_SECONDS = 60
"""A statement of V1's server may take so long at most while its locks are read."""


class NotReadyError(CutoverError):
    """Some checks do not pass; `checks` are all of them."""

    def __init__(self, checks: Sequence[Check]) -> None:
        failed = [check for check in checks if not check.passed]
        super().__init__("Not ready: " + "; ".join(f"{check.name}: {check.what}" for check in failed))
        self.checks = checks


def accounts_in(connection: Connection, settings: CutoverSettings, chosen: Sequence[str] = ()) -> list[str]:
    """The accounts that a move is about: the chosen ones, or else all of V1's that are not live, if in one phase.

    Raises CutoverError where V1 has no such account, or where the phases differ.
    """
    authority = current_authority(connection)
    accounts = _of_v1(settings, chosen) or [name for name in accounts_of(settings) if not authority.is_live(name)]
    phases = {name: authority.of(name).phase for name in accounts}
    if len(set(phases.values())) > 1:
        where = ", ".join(f"{name}: {phase}" for name, phase in phases.items())
        raise CutoverError(f"These accounts are in different phases ({where}); name those to move with --account.")
    return accounts


def accounts_to_move_back(connection: Connection, settings: CutoverSettings, chosen: Sequence[str]) -> list[str]:
    """The chosen accounts, or else all of V1's that have moved on from the first phase, if in one phase.

    Raises CutoverError as `accounts_in` does.
    """
    authority = current_authority(connection)
    moved = [name for name in accounts_of(settings) if authority.of(name).since is not None]
    return accounts_in(connection, settings, chosen or moved)


def _of_v1(settings: CutoverSettings, chosen: Sequence[str]) -> list[str]:
    of_v1 = accounts_of(settings)
    if unknown := [name for name in chosen if name not in of_v1]:
        raise CutoverError(f"V1 has no account {unknown[0]}; those of {settings.file} are {', '.join(of_v1)}.")
    return sorted(set(chosen))


def begin(
    connection: Connection,
    settings: CutoverSettings,
    by: By,
    chosen: Sequence[str] = (),
    *,
    wait_seconds: float = MOVE_WAIT_SECONDS,
) -> list[Move]:
    """Puts V1 and V2 side by side for the chosen accounts of V1, by default for all of them: V1 has the authority.

    V2 goes on with every other account. Raises CutoverError if the cutover of one has begun already, or if nobody has
    said whether V1 has an account, and StillActingError when something that acts outside does not finish within
    `wait_seconds`.
    """
    accounts = _of_v1(settings, chosen) or accounts_of(settings)
    authority = current_authority(connection)
    begun = [name for name in accounts if not authority.is_live(name)]
    if begun:
        phases = ", ".join(f"{name}: {authority.of(name).phase}" for name in begun)
        raise CutoverError(f"The cutover has begun already ({phases}).")
    if unnamed := unnamed_accounts(settings):
        raise CutoverError(
            f"V2 would go on accepting orders of {', '.join(unnamed)}, which {settings.file} does not name. Add them "
            "to `marketplaces` if V1 has them, or else to `accounts_without_v1`."
        )
    return _to_parallel(connection, accounts, Phase.LIVE, by, wait_seconds)


def back(
    connection: Connection, accounts: Sequence[str], by: By, *, wait_seconds: float = MOVE_WAIT_SECONDS
) -> list[Move]:
    """Moves accounts to the first phase, at any time: V1 has the authority.

    Raises CutoverError if they are there, or have not begun, and StillActingError when something that acts outside does
    not finish within `wait_seconds`.
    """
    phase = _phase_of(connection, accounts)
    authority = current_authority(connection)
    if new := [name for name in accounts if authority.of(name).since is None]:
        raise CutoverError(
            f"The cutover of {', '.join(new)} has not begun; `orders-sync cutover begin` puts V1 and V2 side by side."
        )
    if phase is Phase.PARALLEL:
        raise CutoverError("The cutover is in its first phase; there is no phase before it.")
    return _to_parallel(connection, accounts, phase, by, wait_seconds)


def advance(
    connection: Connection,
    settings: CutoverSettings,
    accounts: Sequence[str],
    by: By,
    *,
    force: bool,
    v1_off: Callable[[], AbstractContextManager[Sequence[str]]],
    v1_schedules_on: Callable[[], Sequence[str]],
    now: datetime | None = None,
    wait_seconds: float = MOVE_WAIT_SECONDS,
) -> list[Move]:
    """Moves accounts one phase forward, if the checks pass or `force` is set, which is stored with the moves.

    Where none of V1's accounts remains, going live switches V1's schedules off, by entering `v1_off`, which yields
    those that are still on, and switches them on again where the move fails. Else V1's commands must be told what
    remains. It then waits at most `wait_seconds` for V1's runs, reads V1's locks, waits for what else acts outside,
    takes the locks over, and moves. Raises NotReadyError, StillActingError, or CutoverError.
    """
    phase = _phase_of(connection, accounts)
    if phase is Phase.LIVE:
        raise CutoverError("V2 is live already; `orders-sync cutover begin` puts V1 and V2 side by side.")
    checks = (checks_to_monitor if phase is Phase.PARALLEL else checks_to_live)(connection, settings, accounts, now)
    if not force and not all(check.passed for check in checks):
        raise NotReadyError(checks)
    results = [check._asdict() for check in checks]
    if phase is Phase.PARALLEL:
        with connection.transaction():
            hold_phase(connection, accounts, phase, wait_seconds)
            made = note_moves(connection, accounts, phase, Phase.MONITOR, by, forced=force, checks=results)
            return made + _free_accounts_without_v1(connection, settings, by)
    still_v1 = _left_to_v1(connection, settings, accounts)
    if still_v1:
        _check_v1_can_leave_out(settings, accounts, v1_schedules_on())
        return _to_live(connection, settings, accounts, still_v1, by, force, results, wait_seconds)
    with v1_off() as still_on:
        if still_on:
            names = ", ".join(still_on)
            raise CutoverError(f"V1's schedules do not stay off: {names} still on. The phase has not moved.")
        return _to_live(connection, settings, accounts, still_v1, by, force, results, wait_seconds)


def _to_live(
    connection: Connection,
    settings: CutoverSettings,
    accounts: Sequence[str],
    still_v1: Sequence[str],
    by: By,
    force: bool,
    checks: Sequence[dict[str, object]],
    wait_seconds: float,
) -> list[Move]:
    # V1's locks are read only once V1 has stopped, and before stock stands still.
    with keep_v1_stopped(connection, wait_seconds=wait_seconds):
        v1_locks = _v1_locks(settings, accounts)
        promised = _promised_before(connection, settings, accounts)
        with connection.transaction():
            hold_phase(connection, accounts, Phase.MONITOR, wait_seconds)
            if _left_to_v1(connection, settings, accounts) != still_v1:
                raise CutoverError(
                    "Somebody else has moved another account of V1 meanwhile. Nothing has moved; try again."
                )
            taken = take_over(connection, v1_locks, overselling_accounts(), frozenset(still_v1), promised)
            not_taken = {
                account: [
                    {"order_id": lock.order_id, "item_id": lock.item_id, "status": lock.status}
                    for lock in taken.not_taken
                    if lock.account == account
                ]
                for account in accounts
            }
            made = note_moves(
                connection, accounts, Phase.MONITOR, Phase.LIVE, by, forced=force, checks=checks, not_taken=not_taken
            )
            return made + _free_accounts_without_v1(connection, settings, by)


def _left_to_v1(connection: Connection, settings: CutoverSettings, accounts: Collection[str]) -> list[str]:
    """The other accounts of V1 for which V1's commands go on, also of those whose cutover has not begun."""
    authority = current_authority(connection)
    return [name for name in accounts_of(settings) if name not in accounts and authority.is_left_to_v1(name)]


def _free_accounts_without_v1(connection: Connection, settings: CutoverSettings, by: By) -> list[Move]:
    """Ends V1's authority over accounts that V1 never had. Before revision 0040, a move was about all accounts."""
    authority = current_authority(connection)
    made: list[Move] = []
    for name in settings.accounts_without_v1:
        if not authority.is_live(name):
            made += note_moves(connection, [name], authority.of(name).phase, Phase.LIVE, by)
    return made


def _promised_before(connection: Connection, settings: CutoverSettings, accounts: Collection[str]) -> set[ItemKey]:
    """The items of accounts that have moved before for which V1 held pieces, as V1's database still says."""
    left = _left_to_v1(connection, settings, accounts)
    moved = [name for name in accounts_of(settings) if name not in accounts and name not in left]
    return (
        {(lock.account, lock.item_id) for lock in _v1_locks(settings, moved) if not lock.consumed} if moved else set()
    )


def _check_v1_can_leave_out(settings: CutoverSettings, accounts: Collection[str], schedules_on: Sequence[str]) -> None:
    """Raises CutoverError where Dagster would run V1's commands for accounts that V2 takes over."""
    if schedules_on and not settings.run.can_leave_out:
        raise CutoverError(
            f"{', '.join(schedules_on)} would go on with {', '.join(accounts)}: {settings.file} hands V1's commands no "
            "marketplaces. Write {marketplaces} where `run.command` or `run.url` takes them, or let V1's own scheduler "
            "run the others and switch these schedules off. The phase has not moved."
        )


def _v1_locks(settings: CutoverSettings, accounts: Collection[str]) -> list[V1Lock]:
    with V1Database(settings, LOCKS_SECONDS) as v1:
        return v1.locks_to_take(accounts)


def _phase_of(connection: Connection, accounts: Collection[str]) -> Phase:
    """The phase that all of the accounts are in. Raises CutoverError where there is none, or no account."""
    authority = current_authority(connection)
    phases = {authority.of(account).phase for account in accounts}
    if not phases:
        raise CutoverError("No account is in a cutover; `orders-sync cutover begin` puts V1 and V2 side by side.")
    if len(phases) > 1:
        raise CutoverError("These accounts are in different phases.")
    return phases.pop()


def _to_parallel(
    connection: Connection, accounts: Sequence[str], before: Phase, by: By, wait_seconds: float
) -> list[Move]:
    with connection.transaction():
        hold_phase(connection, accounts, before, wait_seconds)
        return note_moves(connection, accounts, before, Phase.PARALLEL, by)
