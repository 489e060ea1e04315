"""docs/reference/states.md: our statuses, what each means for a lock, and every marketplace's states."""

import ast
import inspect
from enum import Enum
from itertools import pairwise

from docs.generate.markdown import code, page, table
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE, Status
from orders_sync.stock.actions import LOCK_ACTIONS
from orders_sync.stock.decision import LockState

INTRODUCTION = """\
A *state* is the marketplace's own word or number. A *status* is ours, the same for all marketplaces, for orders and
items alike. A state that no table here names is stored as it came, counts as `unknown`, leaves the lock as it is, and
fails the check `states_are_known`.
"""


def states_page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "## Our statuses", _statuses_table()]
    for name in marketplace_names():
        marketplace = find_marketplace(name)
        parts.append(f"## {marketplace.title}")
        for what, states in marketplace.status_tables.items():
            rows = ((code(state), code(status), str(LOCK_ACTIONS[status].action)) for state, status in states.items())
            parts.append(table((f"state of {what}", "status", "lock"), rows))
        parts.append(marketplace.notes)
    return page("States", *parts)


def lock_actions_table() -> str:
    """What each status means for the lock of an item, with the reason."""
    rows = ((code(status), str(meaning.action), meaning.why) for status, meaning in LOCK_ACTIONS.items())
    return table(("status of the item", "the lock", "why"), rows)


def lock_states_table() -> str:
    """The states of a lock, with their meaning."""
    meanings = _member_docstrings(LockState)
    return table(("state of the lock", "meaning"), ((code(state), meanings[state.name]) for state in LockState))


def _statuses_table() -> str:
    meanings = _member_docstrings(Status)
    rows = [
        (
            code(status),
            meanings[status.name],
            str(LOCK_ACTIONS[status].action),
            ", ".join(
                name for name, due in (("delivery note", DELIVERY_NOTE_DUE), ("label", LABEL_DUE)) if status in due
            ),
        )
        for status in Status
    ]
    return table(("status", "meaning", "lock", "documents due"), rows)


def _member_docstrings(kind: type[Enum]) -> dict[str, str]:
    """The text below each member of an enumeration: Python keeps it in the source only."""
    tree = ast.parse(inspect.getsource(kind))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body
    found: dict[str, str] = {}
    for member, text in pairwise(body):
        if (
            isinstance(member, ast.Assign)
            and isinstance(member.targets[0], ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[member.targets[0].id] = str(text.value.value)
    return found
