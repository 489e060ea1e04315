"""Stock levels by SKU: imported from CSV, never below what is promised without saying so."""

import csv
from collections.abc import Iterable
from pathlib import Path

from orders_sync.database.engine import Connection
from orders_sync.model.errors import UserFacingError
from orders_sync.stock.locks import StockResult, retry_short

MAX_ON_HAND = 10_000_000


class StockFileError(UserFacingError):
    """A stock file that can't be used: file, line, what is wrong, what is allowed."""


def read_stock_file(path: Path) -> dict[str, int]:
    """SKU → pieces on hand, of a CSV file with the columns `sku` and `on_hand` (comma or semicolon).

    Raises StockFileError that names the line.
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
            raise StockFileError(f"{where}: SKU {sku} stands twice in the file")
        if not text.isdecimal() or int(text) > MAX_ON_HAND:
            raise StockFileError(
                f"{where}: on_hand of SKU {sku} is {text!r}; allowed is a whole number from 0 to {MAX_ON_HAND}"
            )
        levels[sku] = int(text)
    return levels


def import_levels(connection: Connection, levels: dict[str, int]) -> StockResult:
    """Sets the pieces on hand of these SKUs, marks locks short that no longer fit, and locks what now can be.

    Returns the locks' steps.
    """
    applied = StockResult()
    skus = sorted(levels)
    with connection.transaction():
        connection.execute(
            """
            INSERT INTO stock_levels AS known (sku, on_hand, imported_at)
            SELECT sku, on_hand, now() FROM unnest(%s::text[], %s::int[]) AS new (sku, on_hand) ORDER BY sku
            ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, imported_at = now()
            """,
            [skus, [levels[sku] for sku in skus]],
        )
        _mark_what_no_longer_fits(connection, skus, applied)
    retry_short(connection, applied)
    return applied


def _mark_what_no_longer_fits(connection: Connection, skus: Iterable[str], applied: StockResult) -> None:
    """Where more is reserved than there is, the newest locks become short."""
    rows = connection.execute(_OVERDRAWN, [list(skus)]).fetchall()
    for account, item_id, sku, quantity, on_hand in rows:
        problem = f"an import left {on_hand} pieces"
        connection.execute(
            "UPDATE stock_locks SET state = 'short', problem = %s, since = now() WHERE account = %s AND item_id = %s",
            [problem, account, item_id],
        )
        connection.execute("UPDATE stock_levels SET reserved = reserved - %s WHERE sku = %s", [quantity, sku])
        connection.execute(
            "INSERT INTO stock_lock_history (account, item_id, sku, cause, from_state, to_state, quantity) "
            "VALUES (%s, %s, %s, %s, 'locked', 'short', %s)",
            [account, item_id, sku, f"stock import: {problem}", quantity],
        )
        applied.steps["short"] += 1


_OVERDRAWN = """
SELECT account, item_id, sku, quantity, on_hand FROM (
  SELECT lock.*, level.on_hand,
    sum(lock.quantity) OVER (PARTITION BY lock.sku ORDER BY lock.since, lock.account, lock.item_id) AS needed
  FROM stock_locks lock JOIN stock_levels level USING (sku)
  WHERE lock.state = 'locked' AND level.sku = ANY(%s) AND level.reserved > level.on_hand
) placed WHERE needed > on_hand
"""
