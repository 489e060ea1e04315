"""What the commands share by which a person changes stock: the reason, who acts, and what became of locks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from orders_sync.cli.output import console
from orders_sync.cli.user import user_at_machine

if TYPE_CHECKING:
    from orders_sync.stock.decision import By

REASON = click.option("--reason", required=True, help="Why; stored with your name.")


def by(reason: str) -> "By":
    """Who acts, and why. Raises StockInputError if the reason can't be used, e.g. is empty."""
    from orders_sync.stock.decision import By

    return By.checked(user_at_machine(), reason)


def print_transitions(transitions: Mapping[str, int], verb: str = "are now") -> None:
    """Prints how many locks came into each state."""
    for line in transition_lines(transitions, verb):
        console.print(line)


def transition_lines(transitions: Mapping[str, int], verb: str = "are now") -> list[str]:
    """How many locks came into each state, a line for each."""
    return [f"{count} locks {verb} {state}." for state, count in sorted(transitions.items())]
