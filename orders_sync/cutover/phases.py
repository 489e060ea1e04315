"""The meaning of each phase of the cutover, and the moves of accounts between them: rows of migration_moves."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, LiteralString, NamedTuple

from psycopg.types.json import Jsonb

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.v1 import CutoverError
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import Phase, current_authority, stop_others

MEANING = {
    Phase.PARALLEL: "V1 and V2 run side by side; V1 has the authority, V2 writes its own tables only",
    Phase.MONITOR: "as parallel; in addition, V2's agreement is counted day by day until V2 is ready",
    Phase.LIVE: "V2 has the authority: it accepts orderlines and owns the stock locks; V1's schedules are off",
}


NONE_LEFT: Mapping[str, Sequence[dict[str, str]]] = MappingProxyType({})


class Move(NamedTuple):
    """One move of an account from phase to phase."""

    account: str
    """'': all accounts, before revision 0040."""
    from_phase: Phase
    to_phase: Phase
    moved_at: datetime
    moved_by: str
    forced: bool
    reason: str
    not_taken: Sequence[dict[str, str]] = ()
    """V1's locks that V2 did not take over: {order_id, item_id, status}, as `stock_handover.NotTaken` has them."""


def moves(connection: Connection) -> list[Move]:
    """All moves, oldest first."""
    rows = connection.execute(_MOVES).fetchall()
    return list(map(_move, rows))


def hold_phase(connection: Connection, accounts: Collection[str], phase: Phase, wait_seconds: float) -> None:
    """Waits until nothing acts outside, and keeps accounts in their phase until the end of the open transaction.

    Call it first in the transaction of a move. Raises StillActingError when something that acts outside does not finish
    within `wait_seconds`, and CutoverError when somebody else has moved an account meanwhile.
    """
    stop_others(connection, wait_seconds=wait_seconds)
    authority = current_authority(connection)
    for account in accounts:
        if (now := authority.of(account).phase) is not phase:
            raise CutoverError(f"Somebody else has moved the cutover meanwhile. The phase of {account} is {now} now.")


def note_moves(
    connection: Connection,
    accounts: Collection[str],
    before: Phase,
    to: Phase,
    by: By,
    *,
    forced: bool = False,
    checks: Any = (),
    not_taken: Mapping[str, Sequence[dict[str, str]]] = NONE_LEFT,
) -> list[Move]:
    """Stores the moves of accounts, in the transaction that has held their phase.

    `checks`: those of the move, as JSON. `not_taken`: see Move, by account.
    """
    made: list[Move] = []
    for account in accounts:
        left = list(not_taken.get(account, ()))
        values = [account, before, to, by.user, forced, by.reason, Jsonb(list(checks)), Jsonb(left)]
        made += map(_move, connection.execute(_NOTE, values).fetchall())
        note_act(connection, by, Act.MOVE_CUTOVER, On(account), f"from {before} to {to}{', forced' if forced else ''}")
    return made


def note_v1_writes(connection: Connection, written: Mapping[str, int]) -> None:
    """Stores how many orders of accounts V1 has written since V2 has taken them over."""
    for account, orders in written.items():
        connection.execute(_NOTE_WRITES, [account, orders])


def _move(row: tuple[Any, ...]) -> Move:
    account, from_phase, to_phase, *others = row
    return Move(account, Phase(from_phase), Phase(to_phase), *others)


_NOTE_WRITES = """
INSERT INTO migration_v1_writes (account, orders) VALUES (%s, %s)
ON CONFLICT (account) DO UPDATE SET orders = excluded.orders, looked_at = now()
"""
_MOVES: LiteralString = """
SELECT account, from_phase, to_phase, moved_at, moved_by, forced, reason, not_taken
FROM migration_moves ORDER BY move_id
"""
_NOTE: LiteralString = """
INSERT INTO migration_moves (account, from_phase, to_phase, moved_by, forced, reason, checks, not_taken)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
RETURNING account, from_phase, to_phase, moved_at, moved_by, forced, reason, not_taken
"""
