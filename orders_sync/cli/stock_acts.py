"""What the commands share by which a person changes stock: the reason, and what became of locks."""

from collections.abc import Mapping

import click

from orders_sync.cli.output import console

REASON = click.option("--reason", required=True, help="Why; stored with your name.")


def print_transitions(transitions: Mapping[str, int], verb: str = "are now") -> None:
    """Prints how many locks came into each state."""
    for line in transition_lines(transitions, verb):
        console.print(line, markup=False)


def transition_lines(transitions: Mapping[str, int], verb: str = "are now") -> list[str]:
    """How many locks came into each state, a line for each."""
    return [f"{count} locks {verb} {state}." for state, count in sorted(transitions.items())]
