"""Up to which change of stock the numbers of stock_available are computed.

Each change of a lock is a row of stock_lock_history, and each change of the pieces on hand one of stock_movements. One
transaction at a time writes them (StockConnection.changing), so that their running numbers are in the order of the
commits: what has a greater number than the position has changed since. Aliases, bundles and buffers have no history:
who changes them calls `recompute`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from orders_sync.stock.connection import StockConnection


class Position(NamedTuple):
    """The last changes that the numbers follow, and for whom they were computed."""

    schema_name: str | None
    """Always `public`, as the release before writes it; None: everything has to be recomputed."""
    entry_id: int
    movement_id: int
    accounts: Sequence[str]


def recompute(stock: StockConnection) -> None:
    """Lets the next computation compute all numbers. Call it in the transaction that changes what they depend on."""
    stock.execute(_RECOMPUTE)


def lock_position(stock: StockConnection) -> Position:
    """The position, locked until the end of the transaction: one computation at a time."""
    stock.execute(_CREATE)
    row = stock.execute(_POSITION + " FOR UPDATE").fetchone()
    return Position(*row) if row else Position(None, 0, 0, [])


def position_now(stock: StockConnection, accounts: Sequence[str]) -> Position:
    """The position of what is committed now."""
    entry_id, movement_id = stock.execute(_NOW).fetchone() or (0, 0)
    return Position("public", entry_id, movement_id, accounts)


def store_position(stock: StockConnection, position: Position) -> None:
    """Stores the position. Call it in the transaction that has locked it."""
    stock.execute(_STORE, [position.schema_name, position.entry_id, position.movement_id, list(position.accounts)])


def skus_changed_since(stock: StockConnection, position: Position, now: Position) -> list[str] | None:
    """The SKUs of the stock list whose pieces have changed since a position; None: everything has to be computed."""
    comparable = position.schema_name == now.schema_name and list(position.accounts) == list(now.accounts)
    if not comparable or now.entry_id < position.entry_id or now.movement_id < position.movement_id:
        return None
    return [sku for (sku,) in stock.execute(_CHANGED, [position.entry_id, position.movement_id])]


def is_behind(stock: StockConnection) -> bool:
    """Whether stock_available lacks a change of stock, where there are numbers at all: there is a stock list, or was.

    Whether the accounts are others is not looked at.
    """
    now = position_now(stock, [])
    row = stock.execute(_POSITION).fetchone()
    if row is not None and Position(*row)._replace(accounts=[]) == now:
        return False
    return stock.execute(_HAS_NUMBERS).fetchone() == (True,)


_CREATE = "INSERT INTO stock_available_position (position_id) VALUES (1) ON CONFLICT DO NOTHING"
_POSITION = "SELECT schema_name, entry_id, movement_id, accounts FROM stock_available_position"
# Waits for a computation under way, and makes it count as not done.
_RECOMPUTE = """
INSERT INTO stock_available_position (position_id) VALUES (1) ON CONFLICT (position_id) DO UPDATE SET schema_name = NULL
"""
_NOW = """
SELECT coalesce((SELECT max(entry_id) FROM stock_lock_history), 0),
  coalesce((SELECT max(movement_id) FROM stock_movements), 0)
"""
_STORE = "UPDATE stock_available_position SET schema_name = %s, entry_id = %s, movement_id = %s, accounts = %s"
_CHANGED = """
SELECT sku FROM stock_lock_history WHERE entry_id > %s UNION SELECT sku FROM stock_movements WHERE movement_id > %s
"""
_HAS_NUMBERS = """
SELECT EXISTS (SELECT FROM stock_available) OR EXISTS (SELECT FROM stock_levels WHERE on_hand IS NOT NULL)
"""
