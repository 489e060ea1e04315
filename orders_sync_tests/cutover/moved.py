"""Accounts in a phase of the cutover, as a move stores it."""

from orders_sync.acts.by import By
from orders_sync.config.v1 import CutoverSettings
from orders_sync.cutover.phases import note_moves
from orders_sync.cutover.readiness import accounts_of
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import Phase

BY = By("a test", "a test")


def begin(connection: Connection, settings: CutoverSettings) -> None:
    """The cutover of V1's accounts has begun, whatever other accounts the project has."""
    note_moves(connection, accounts_of(settings), Phase.LIVE, Phase.PARALLEL, BY)
