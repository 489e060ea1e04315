"""Pieces that come back by a return: each care record's are booked once, and never more than have left.

`stock_returns` has a row for each item of a care record that closed as received (orders_sync/sync/due_returns.py), or
that a person booked (by_hand.py). The row says what was booked; only pending rows are booked here.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Lock, Movement
from orders_sync.stock.needs import ItemFacts, ItemKey, parts_of
from orders_sync.stock.reconcile import ReturnNotBooked, StockResult, move
from orders_sync.stock.store import Loaded, load


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

    @property
    def key(self) -> ItemKey:
        return self.account, self.item_id


class _Outcome(NamedTuple):
    returned: Returned
    notes: Sequence[str]
    result: StockResult = StockResult()


_NOTHING = Returned(0, 0, 0)


def apply_returns(stock: StockConnection, oversell: frozenset[str], size: int) -> StockResult:
    """Books the pending returns. One that can't be booked keeps the reason, and stops no other.

    `size`: the maximum of items per transaction. Raises psycopg.OperationalError, e.g. where the connection is lost.
    """
    total = StockResult()
    while True:
        with stock.changing():
            due = list(map(_Due._make, stock.execute(_PENDING, [size])))
            if not due:
                return total
            for each in due:
                total += _handle(stock, each, oversell)


def consumed_locks(item: ItemFacts, loaded: Loaded) -> list[tuple[Lock, int]]:
    """The locks whose pieces have left and can come back, each with the pieces of its SKU in one piece of the item.

    What left under a former SKU comes back as that one, if nothing left under the present one.
    """
    parts = {part.sku: part.pieces for part in parts_of(item.account, item.sku, loaded.stock_skus)}
    gone = [lock for lock in loaded.locks.get(item.key, ()) if lock.consumed]
    return [(lock, parts.get(lock.sku, 1)) for lock in [lock for lock in gone if lock.sku in parts] or gone]


def returned_pieces(stock: StockConnection, key: ItemKey) -> Mapping[str, int]:
    """The pieces of each SKU that came back of an item."""
    return dict(stock.execute(_RETURNED, [*key]).fetchall())


def _handle(stock: StockConnection, due: _Due, oversell: frozenset[str]) -> StockResult:
    try:
        with stock.transaction():
            outcome = _book(stock, due, oversell)
    except psycopg.OperationalError:
        raise
    except (psycopg.Error, ValueError, KeyError) as error:
        outcome = _Outcome(_NOTHING, [f"it failed: {type(error).__name__}"])
    note = "; ".join(outcome.notes) or None
    stock.execute(_HANDLED, [*outcome.returned, note, due.account, due.care_id, due.item_id])
    booked = outcome.returned.booked
    missing = () if note is None else (ReturnNotBooked(*due[:4], booked, note),)
    return outcome.result + StockResult(returned=booked, not_booked=missing)


def _book(stock: StockConnection, due: _Due, oversell: frozenset[str]) -> _Outcome:
    """Books what comes back of one item by one care record.

    Pieces that a person booked without naming a care record count as the first record's.
    """
    loaded = load(stock, [due.key])
    locks = consumed_locks(loaded.items[0], loaded) if loaded.items else []
    if due.pieces is None:
        return _Outcome(_NOTHING, ["the care record does not say how many pieces come back"])
    if not locks:
        return _Outcome(_NOTHING, ["no piece of the item has left the stock"])
    earlier = Returned._make(stock.execute(_BY_CARE_RECORDS, [*due.key]).fetchone() or _NOTHING)
    back = returned_pieces(stock, due.key)
    came_back = max(earlier.booked, *(back.get(lock.sku, 0) // per_piece for lock, per_piece in locks))
    by_hand = min(due.pieces, max(0, came_back - earlier.booked - earlier.booked_before))
    away = min(lock.consumed // per_piece for lock, per_piece in locks) - came_back - earlier.counted
    rest = max(0, min(due.pieces - by_hand, away))
    notes = [f"a person had booked {by_hand} before"] if by_hand else []
    if by_hand + rest < due.pieces:
        notes.append(f"{due.pieces - by_hand - rest} more than have left and not come back")
    if not rest:
        return _Outcome(Returned(0, by_hand, 0), notes)
    movements, problems = _movements(due, rest, locks, loaded)
    notes += problems
    if not movements:
        counted = rest if any(loaded.levels[lock.sku].on_hand is not None for lock, _ in locks) else 0
        return _Outcome(Returned(0, by_hand, counted), notes)
    cause = Cause(f"return {due.care_id} was received")
    return _Outcome(Returned(rest, by_hand, 0), notes, move(stock, loaded.levels, movements, cause, oversell))


def _movements(
    due: _Due, pieces: int, locks: Sequence[tuple[Lock, int]], loaded: Loaded
) -> tuple[list[Movement], list[str]]:
    """What comes back of each SKU, and why nothing comes back of the others."""
    came_back_at = due.came_back_at and min(due.came_back_at, datetime.now(UTC))
    movements: list[Movement] = []
    problems: list[str] = []
    for lock, per_piece in locks:
        level = loaded.levels[lock.sku]
        if level.on_hand is None:
            problems.append(f"SKU {lock.sku} is not in the stock list")
        elif level.counted_after(came_back_at):
            problems.append(f"SKU {lock.sku} was counted after they came back")
        else:
            on_hand = level.on_hand + pieces * per_piece
            reason = f"care record {due.care_id}: return received"
            movements.append(
                Movement(lock.sku, "returned", pieces * per_piece, on_hand, *due.key, reason, "", came_back_at)
            )
    return movements, problems


# Rows are booked in the order in which they became due.
_PENDING = """
SELECT account, care_id, item_id, pieces, came_back_at FROM stock_returns
WHERE handled_at IS NULL ORDER BY at, account, care_id, item_id LIMIT %s
"""
_HANDLED = """
UPDATE stock_returns SET handled_at = now(), booked = %s, booked_before = %s, counted = %s, note = %s
WHERE account = %s AND care_id = %s AND item_id = %s
"""
_BY_CARE_RECORDS = """
SELECT coalesce(sum(booked), 0)::int, coalesce(sum(booked_before), 0)::int, coalesce(sum(counted), 0)::int
FROM stock_returns WHERE account = %s AND item_id = %s AND handled_at IS NOT NULL
"""
_RETURNED = """
SELECT sku, sum(pieces)::int FROM {movements} WHERE account = %s AND item_id = %s AND kind = 'returned' GROUP BY sku
"""
