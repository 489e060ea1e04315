"""The assets of the cutover, and the events that a move of an account is in Dagster."""

from collections.abc import Iterable, Iterator

import dagster as dg

from orders_sync.cutover.phases import Move

PHASES = "migration_phase"
"""The asset of which each move is an event."""


def comparison_key(account: str) -> dg.AssetKey:
    """The asset of an account's cutover: what each day's comparison found, and the phase."""
    return dg.AssetKey([account, "v1_v2_comparison"])


def events_of(moves: Iterable[Move]) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """The events of moves: one of the phases, one of the account's cutover."""
    for move in moves:
        metadata = {
            "account": move.account, "from": move.from_phase.value, "to": move.to_phase.value, "by": move.moved_by,
            "forced": move.forced, "reason": move.reason, "locks of V1 not taken over": len(move.not_taken),
        }  # fmt: skip
        what = f"{move.account}: from {move.from_phase} to {move.to_phase}"
        yield dg.AssetMaterialization(PHASES, description=what, metadata=metadata)
        yield dg.AssetObservation(comparison_key(move.account), description=what, metadata=metadata)
