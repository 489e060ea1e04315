"""States as a marketplace publishes them, and as it may write them: with spaces around them, in another case.

What such a state means is certain. `meaning` refuses it, so that the record is read leniently; `kit.lenient` then puts
the published state in its place, as the field's metadata names it, and notes the flaw.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

State = TypeVar("State")
Meaning = TypeVar("Meaning")


class OddSpellingError(ValueError):
    """A state that is published, but is written in another way."""


def published(*states: Iterable[Any]) -> msgspec.Meta:
    """Metadata of a field with a state: `Annotated[str | None, published(STATUS)]`. `states`: all that it can have.

    Others are contract drift (`kit.contract`): they are stored and shown, so that no field about a buyer may have it.
    """
    known = {state for each in states for state in each}
    return msgspec.Meta(extra={"states": _by_spelling(known), "known": frozenset(map(str, known))})


def meaning(table: Mapping[State, Meaning], state: State | None, unknown: Meaning) -> Meaning:
    """What a state means; `unknown` if there is none, or one that is not published.

    Raises OddSpellingError for one that is published in another spelling; its field must have `published` metadata.
    """
    found = None if state is None else table.get(state)
    if found is not None:
        return found
    check_spelling(state, table)
    return unknown


def check_spelling(state: object, states: Collection[Any]) -> None:
    """Raises OddSpellingError for a state that is one of the published `states`, but is written in another way."""
    if isinstance(state, str) and state not in states and _plain(state) in _by_spelling(states):
        raise OddSpellingError("a state is not written as published")


def as_published(state: str, hint: Any) -> str:
    """The state as the metadata of its field's type publish it; as it is if they don't."""
    metadata: tuple[msgspec.Meta, ...] = getattr(hint, "__metadata__", ())
    for meta in metadata:
        by_spelling: Mapping[str, str] = (meta.extra or {}).get("states", {})
        if by_spelling and state not in by_spelling.values():
            return by_spelling.get(_plain(state), state)
    return state


def _by_spelling(states: Iterable[Any]) -> dict[str, str]:
    """The published states by what all their spellings have in common, as far as that is one state's alone."""
    found: dict[str, list[str]] = {}
    for state in states:
        if isinstance(state, str):
            found.setdefault(_plain(state), []).append(state)
    return {plain: alike[0] for plain, alike in found.items() if len(alike) == 1}


def _plain(state: str) -> str:
    return state.strip().casefold()
