"""Carrying out lock commands: load, decide, store, in the caller's transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from orders_sync.stock.actions import LockAction
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import LockCommand, decide_all
from orders_sync.stock.store import load, store


@dataclass(frozen=True)
class StockResult:
    """What was done to stock; results can be added."""

    events: int = 0
    """How many events were applied."""
    transitions: Counter[str] = field(default_factory=Counter[str])
    """How many locks came into each state."""
    failed: int = 0
    """How many attempts to apply an event failed."""

    def __add__(self, other: "StockResult") -> "StockResult":
        return StockResult(self.events + other.events, self.transitions + other.transitions, self.failed + other.failed)


def apply_commands(
    stock: StockConnection, commands: Sequence[LockCommand], oversell: frozenset[str] = frozenset()
) -> StockResult:
    """Moves the locks of the commands' items, and the levels with them. Call it within a transaction.

    `oversell`: the accounts that may lock stock below zero.
    """
    commands = [command for command in commands if command.action is not LockAction.KEEP]
    if not commands:
        return StockResult()
    loaded = load(stock, ((command.account, command.item_id) for command in commands))
    outcome = decide_all(commands, loaded.locks, loaded.items, loaded.levels, oversell)
    store(stock, outcome)
    return StockResult(transitions=Counter(transition.to_state.value for transition in outcome.transitions))
