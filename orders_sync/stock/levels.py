"""Stock levels by SKU, imported from CSV. Where an import leaves too few pieces for the locks, some become short."""

import csv
from collections import Counter
from pathlib import Path

from orders_sync.model.errors import UserFacingError
from orders_sync.stock.apply_commands import StockResult
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import LockState
from orders_sync.stock.retry import retry_short

MAX_ON_HAND = 10_000_000


class StockFileError(UserFacingError):
    """A stock file can't be used. The message has the file, the line, what is wrong, and what is allowed."""


def read_stock_file(path: Path) -> dict[str, int]:
    """Reads SKU → pieces on hand from a CSV file with the columns `sku` and `on_hand`, separated by comma or semicolon.

    Raises StockFileError, which names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = ";" if header.count(";") > header.count(",") else ","
            file.seek(0)
            return _levels(path, csv.DictReader(file, delimiter=delimiter))
    except (OSError, UnicodeDecodeError) as error:
        raise StockFileError(f"{path}: can't be read: {error}") from None


def _levels(path: Path, rows: "csv.DictReader[str]") -> dict[str, int]:
    columns = [name.strip() for name in rows.fieldnames or []]
    if not {"sku", "on_hand"} <= set(columns):
        raise StockFileError(
            f"{path}: line 1: the columns are {', '.join(columns) or 'missing'}; needed are sku, on_hand"
        )
    levels: dict[str, int] = {}
    for row in rows:
        sku = (row.get("sku") or "").strip()
        text = (row.get("on_hand") or "").strip()
        where = f"{path}: line {rows.line_num}"
        if not sku:
            raise StockFileError(f"{where}: sku is empty")
        if sku in levels:
            raise StockFileError(f"{where}: SKU {sku} is in the file twice")
        if not text.isdecimal() or int(text) > MAX_ON_HAND:
            raise StockFileError(
                f"{where}: on_hand of SKU {sku} is {text!r}; allowed is a whole number from 0 to {MAX_ON_HAND}"
            )
        levels[sku] = int(text)
    return levels


def import_levels(stock: StockConnection, levels: dict[str, int]) -> StockResult:
    """Sets the pieces on hand of these SKUs; returns how many locks came into each state.

    Where more pieces are reserved than there are, the newest locks become short. Then short locks are tried again.
    """
    skus = sorted(levels)
    with stock.transaction():
        stock.execute(_SET_ON_HAND, [skus, [levels[sku] for sku in skus]])
        no_longer_fitting = _shorten_locks(stock, skus)
    return no_longer_fitting + retry_short(stock)


def _shorten_locks(stock: StockConnection, skus: list[str]) -> StockResult:
    """Makes the newest locks of these SKUs short, where more is reserved than there is."""
    rows = stock.execute(_OVERDRAWN, [skus]).fetchall()
    for account, item_id, sku, quantity, on_hand in rows:
        problem = f"an import left {on_hand} pieces"
        stock.execute(
            "UPDATE {locks} SET state = 'short', problem = %s, since = now() WHERE account = %s AND item_id = %s",
            [problem, account, item_id],
        )
        stock.execute("UPDATE {levels} SET reserved = reserved - %s WHERE sku = %s", [quantity, sku])
        stock.execute(
            "INSERT INTO {history} (account, item_id, sku, cause, from_state, to_state, quantity) "
            "VALUES (%s, %s, %s, %s, 'locked', 'short', %s)",
            [account, item_id, sku, f"stock import: {problem}", quantity],
        )
    return StockResult(transitions=Counter({LockState.SHORT.value: len(rows)}) if rows else Counter())


_SET_ON_HAND = """
INSERT INTO {levels} (sku, on_hand, imported_at)
SELECT sku, on_hand, now() FROM unnest(%s::text[], %s::int[]) AS imported (sku, on_hand) ORDER BY sku
ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, imported_at = now()
"""
_OVERDRAWN = """
SELECT account, item_id, sku, quantity, on_hand FROM (
  SELECT lock.*, level.on_hand,
    sum(lock.quantity) OVER (PARTITION BY lock.sku ORDER BY lock.since, lock.account, lock.item_id) AS needed
  FROM {locks} lock JOIN {levels} level USING (sku)
  WHERE lock.state = 'locked' AND level.sku = ANY(%s) AND level.reserved > level.on_hand
) placed WHERE needed > on_hand
"""
