"""docs/orders.md: its pictures have the states that the code has, no more and no fewer."""

import re

import pytest

from orders_sync.database.tables import metadata
from orders_sync.model.statuses import Status
from orders_sync.stock.decision import LockState
from orders_sync_tests.docs.test_commands import PAGES

PICTURES = re.findall(r"```mermaid\n(.*?)```", PAGES["docs/orders.md"], re.DOTALL)


def states_in(picture: str) -> set[str]:
    """The states that a diagram names."""
    arrows = [pair for line in picture.splitlines() for pair in re.findall(r"^ +(\S+) --> ([^\s:]+)", line)]
    notes = re.findall(r"note \w+ of (\w+)", picture)
    return {state for pair in arrows for state in pair if state != "[*]"} | set(notes)


@pytest.mark.parametrize(
    ("number", "states"), [(0, {str(status) for status in Status}), (1, {str(state) for state in LockState})]
)
def test_a_picture_has_the_states_of_the_code(number: int, states: set[str]) -> None:
    assert states_in(PICTURES[number]) == states


def test_the_picture_of_requests_has_the_states_of_its_table() -> None:
    comment = metadata.tables["acceptances"].columns["state"].comment or ""
    named = set(re.findall(r"(?:^|, |or )(requested|accepted|done|refused|failed|lost|left)\b", comment))
    assert states_in(PICTURES[2]) == named
