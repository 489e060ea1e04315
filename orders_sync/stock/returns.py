"""Pieces that come back by a return: each care record's are booked once, and never more than have left.

`stock_returns` has a row for each item of a care record that closed as received (orders_sync/sync/due_returns.py), or
that a person booked (by_hand.py). The row says what was booked; only pending rows are booked here.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import NotedOnce
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.data_faults import is_data_fault
from orders_sync.stock.decision import Cause, Movement, StockLevel
from orders_sync.stock.departures import RETURNED, Departure, by_sku, pieces_of, returning
from orders_sync.stock.needs import ItemKey
from orders_sync.stock.reconcile import ReturnNotBooked, StockResult, move
from orders_sync.stock.store import load_departures, load_levels


class Returned(NamedTuple):
    """Pieces of an item that came back by care records so far."""

    booked: int
    booked_before: int
    counted: int


class _Due(NamedTuple):
    account: str
    care_id: str
    item_id: str
    pieces: int | None
    came_back_at: datetime | None
    done: int
    """Pieces of it that were dealt with before: a person booked them."""

    @property
    def key(self) -> ItemKey:
        return self.account, self.item_id


class _Outcome(NamedTuple):
    returned: Returned
    notes: Sequence[str]
    result: StockResult = StockResult()


_NOTHING = Returned(0, 0, 0)


def apply_returns(stock: StockConnection, oversell: frozenset[str], size: int, note: NotedOnce) -> StockResult:
    """Books the pending returns. One that can't be booked keeps the reason, and stops no other.

    `size`: the maximum of items per transaction. `note`: notes the act of the person who books them, if one does.
    Raises what is no fault of a return (`is_data_fault`), e.g. where the connection is lost.
    """
    total = StockResult()
    while True:
        with stock.changing():
            due = list(map(_Due._make, stock.execute(_PENDING, [size])))
            if not due:
                return total
            for each in due:
                total += _handle(stock, each, oversell)
            note()


def returned(
    departures: Sequence[Departure],
    key: ItemKey,
    levels: Mapping[str, StockLevel],
    came_back_at: datetime | None,
    by: By,
) -> list[Movement]:
    """The movements by which pieces of an item come back. `departures`: those that come back, as they left."""
    after = dict(levels)
    movements: list[Movement] = []
    for departure in departures:
        for number, part in enumerate(departure.parts):
            pieces, level = part.pieces * departure.pieces, after[part.sku]
            change = pieces if level.takes_note_of(came_back_at) else 0
            after[part.sku] = level._replace(on_hand=level.on_hand if level.on_hand is None else level.on_hand + change)
            movements.append(
                Movement(
                    part.sku, RETURNED, pieces, change, after[part.sku].on_hand, *key, by.reason, by.user, came_back_at,
                    0 if number else departure.pieces,
                )
            )  # fmt: skip
    return movements


def _handle(stock: StockConnection, due: _Due, oversell: frozenset[str]) -> StockResult:
    try:
        with stock.transaction():
            outcome = _book(stock, due, oversell)
    except Exception as error:
        if not is_data_fault(error):
            raise
        outcome = _Outcome(_NOTHING, [f"it failed: {type(error).__name__}"])
    note = "; ".join(outcome.notes) or None
    stock.execute(_HANDLED, [*outcome.returned, note, due.account, due.care_id, due.item_id])
    booked = outcome.returned.booked
    missing = () if note is None else (ReturnNotBooked(*due[:4], due.done + booked, note),)
    return outcome.result + StockResult(returned=booked, not_booked=missing)


def _book(stock: StockConnection, due: _Due, oversell: frozenset[str]) -> _Outcome:
    """Books what comes back of one item by one care record.

    Pieces that a person booked without naming a care record count as the first record's.
    """
    departures = load_departures(stock, due.key)
    if due.pieces is None:
        return _Outcome(_NOTHING, ["the care record does not say how many pieces come back"])
    if not departures:
        return _Outcome(_NOTHING, ["no piece of the item has left the stock"])
    earlier = Returned._make(stock.execute(_BY_CARE_RECORDS, [*due.key]).fetchone() or _NOTHING)
    came_back = pieces_of(each for each in departures if each.came_back)
    pieces = max(0, due.pieces - due.done)
    by_hand = min(pieces, max(0, came_back - sum(earlier)))
    back = returning(departures, pieces - by_hand)
    rest = pieces_of(back)
    notes = [f"a person had booked {by_hand} before"] if by_hand else []
    if by_hand + rest < pieces:
        notes.append(f"{pieces - by_hand - rest} more than have left and not come back")
    if not rest:
        return _Outcome(Returned(0, by_hand, 0), notes)
    levels = load_levels(stock, by_sku(back))
    came_back_at = due.came_back_at and min(due.came_back_at, datetime.now(UTC))
    by = By("", f"care record {due.care_id}: return received")
    movements = returned(back, due.key, levels, came_back_at, by)
    notes += [why_not(movement, levels[movement.sku]) for movement in movements if not movement.on_hand_change]
    is_booked = any(movement.on_hand_change for movement in movements)
    result = move(stock, levels, movements, Cause(f"return {due.care_id} was received"), oversell)
    return _Outcome(Returned(rest, by_hand, 0) if is_booked else Returned(0, by_hand, rest), notes, result)


def why_not(movement: Movement, level: StockLevel) -> str:
    """Why pieces that came back are not on hand by it."""
    if level.on_hand is None:
        return f"SKU {movement.sku} is not in the stock list"
    return f"SKU {movement.sku} was counted after they came back"


# Rows are booked in the order in which they became due.
_PENDING = """
SELECT account, care_id, item_id, pieces, came_back_at, booked + booked_before + counted FROM stock_returns
WHERE handled_at IS NULL ORDER BY at, account, care_id, item_id LIMIT %s
"""
_HANDLED = """
UPDATE stock_returns SET handled_at = now(), booked = booked + %s, booked_before = booked_before + %s,
  counted = counted + %s, note = %s
WHERE account = %s AND care_id = %s AND item_id = %s
"""
_BY_CARE_RECORDS = """
SELECT coalesce(sum(booked), 0)::int, coalesce(sum(booked_before), 0)::int, coalesce(sum(counted), 0)::int
FROM stock_returns WHERE account = %s AND item_id = %s
"""
