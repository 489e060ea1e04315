"""What has left the stock for an item, and came back: read from the item's movements, in the order of their storing.

The parts are those with which the pieces left, whatever the aliases and bundles are now. What left last is the first
to come back, and the first whose shipment is undone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

SHIPPED = "shipped"
NOT_SHIPPED = "not_shipped"
RETURNED = "returned"
RECEIVED = "received"
"""They came back into quarantine: not on hand yet."""


class ItemMovement(NamedTuple):
    """A stored movement of an item. The movements of one departure, undoing or return follow each other."""

    kind: str
    sku: str
    pieces: int
    on_hand_change: int
    item_pieces: int
    """Pieces of the item, at the first movement of those that belong together; 0 at the others."""
    moved_at: datetime | None
    at: datetime


class Part(NamedTuple):
    """Pieces of a SKU of the stock list that left in one piece of an item."""

    sku: str
    pieces: int


class Departure(NamedTuple):
    """Pieces of an item that left together."""

    pieces: int
    parts: Sequence[Part]
    moved_at: datetime | None
    at: datetime
    """When it was stored, by our clock."""
    came_back: bool

    @property
    def left_at(self) -> datetime:
        """When they left; if the marketplace does not say, when that was stored."""
        return self.moved_at or self.at


def departures_of(movements: Iterable[ItemMovement]) -> list[Departure]:
    """What has left for an item, the earliest first: without what was undone, and marked where it came back."""
    departures: list[Departure] = []
    for group in _groups(movements):
        kind, pieces = group[0].kind, abs(group[0].item_pieces)
        if kind == SHIPPED:
            departures.append(_departure(group, pieces))
        elif kind in (RETURNED, RECEIVED):
            departures = _marked(departures, pieces)
        else:
            departures = without(departures, undoing(departures, pieces))
    return departures


def returning(departures: Sequence[Departure], pieces: int) -> list[Departure]:
    """What comes back when so many pieces of the item do; less if fewer are away."""
    return _latest([each for each in departures if not each.came_back], pieces)


def undoing(departures: Sequence[Departure], pieces: int) -> list[Departure]:
    """What is undone when so many pieces did not leave: those that did not come back yet are the first."""
    away = returning(departures, pieces)
    rest = pieces - pieces_of(away)
    return [*away, *_latest([each for each in departures if each.came_back], rest)]


def pieces_of(departures: Iterable[Departure]) -> int:
    """Their pieces of the item."""
    return sum([each.pieces for each in departures])


def without(departures: Sequence[Departure], taken: Sequence[Departure]) -> list[Departure]:
    """The departures without the pieces of others, which are parts of them."""
    left = Counter[tuple[object, ...]]()
    for each in taken:
        left[_identity(each)] += each.pieces
    kept: list[Departure] = []
    for each in reversed(departures):
        used = min(each.pieces, left[_identity(each)])
        if not used:
            kept.append(each)
            continue
        left[_identity(each)] -= used
        if each.pieces > used:
            kept.append(each._replace(pieces=each.pieces - used))
    return kept[::-1]


def _marked(departures: Sequence[Departure], pieces: int) -> list[Departure]:
    back = returning(departures, pieces)
    return [*without(departures, back), *[each._replace(came_back=True) for each in back]]


def _latest(departures: Sequence[Departure], pieces: int) -> list[Departure]:
    taken: list[Departure] = []
    for each in reversed(departures):
        if pieces <= 0:
            break
        taken.append(each._replace(pieces=min(each.pieces, pieces)))
        pieces -= each.pieces
    return taken


def _identity(departure: Departure) -> tuple[object, ...]:
    return departure.at, departure.moved_at, departure.came_back, tuple(departure.parts)


def _departure(group: Sequence[ItemMovement], pieces: int) -> Departure:
    parts = [Part(each.sku, -each.pieces // pieces if pieces else 0) for each in group]
    return Departure(pieces, parts, group[0].moved_at, group[0].at, came_back=False)


def _groups(movements: Iterable[ItemMovement]) -> Iterator[list[ItemMovement]]:
    group: list[ItemMovement] = []
    for movement in movements:
        if movement.item_pieces and group:
            yield group
            group = []
        if movement.item_pieces or group:
            group.append(movement)
    if group:
        yield group


def by_sku(departures: Iterable[Departure]) -> Mapping[str, int]:
    """The pieces of each SKU of the stock list in them."""
    found: dict[str, int] = {}
    for each in departures:
        for part in each.parts:
            found[part.sku] = found.get(part.sku, 0) + part.pieces * each.pieces
    return found
