"""The table stock_available with its history: what listing tools take, kept at what the accounts can offer now."""

from collections.abc import Collection, Sequence
from typing import LiteralString, NamedTuple

from orders_sync.stock.available import Available, available_to_sell
from orders_sync.stock.available_position import lock_position, position_now, skus_changed_since, store_position
from orders_sync.stock.connection import StockConnection


def store_available(stock: StockConnection, accounts: Collection[str]) -> int:
    """Brings stock_available to what the accounts can offer now, and stores each change as history.

    Returns how many numbers changed. Only the SKUs whose stock has changed since the last time are computed; all of
    them where aliases, bundles, buffers or accounts have changed. Whoever changes stock by hand calls this afterwards.
    If that fails, the next computation makes up for it: `is_behind` tells the sensor.
    """
    names = sorted(accounts)
    with stock.transaction():
        position = lock_position(stock)
        now = position_now(stock, names)
        if position == now:
            return 0
        changed = skus_changed_since(stock, position, now)
        stored = _store_all(stock, names) if changed is None else _store_some(stock, names, changed)
        store_position(stock, now)
    return stored


class AvailableTotals(NamedTuple):
    """What stock_available has in all."""

    numbers: int
    pieces: int
    not_available: int
    """Numbers that are 0."""


def available_totals(stock: StockConnection) -> AvailableTotals:
    """Counts what is stored."""
    [totals] = stock.rows_as(AvailableTotals, _TOTALS)
    return totals


def scarcest_available(stock: StockConnection, limit: int) -> list[Available]:
    """The lowest numbers of SKUs that are on hand, the lowest first."""
    found = stock.execute(_SCARCEST, [limit]).fetchall()
    rows = available_to_sell(stock, sorted({account for account, _ in found}), [sku for _, sku in found])
    return sorted((row for row in rows if (row.account, row.sku) in found), key=lambda row: row.available)


def _store_all(stock: StockConnection, accounts: list[str]) -> int:
    rows = available_to_sell(stock, accounts)
    return _store(stock, rows) + _remove(stock, _REMOVE_ALL, rows, accounts, [])


def _store_some(stock: StockConnection, accounts: list[str], changed: Sequence[str]) -> int:
    """Stores the numbers of these SKUs of the stock list, and of what stands for them."""
    skus = [sku for (sku,) in stock.execute(_WITH_ALIASES, {"skus": list(changed)})]
    rows = available_to_sell(stock, accounts, skus)
    return _store(stock, rows) + _remove(stock, _REMOVE_SOME, rows, accounts, skus)


def _store(stock: StockConnection, rows: Sequence[Available]) -> int:
    values = [[row.account for row in rows], [row.sku for row in rows], [row.available for row in rows]]
    return stock.execute(_STORE, values).rowcount


def _remove(
    stock: StockConnection, statement: LiteralString, rows: Sequence[Available], accounts: list[str], skus: list[str]
) -> int:
    """Removes the numbers of what is not in `rows`."""
    parameters = {
        "offered_by": [row.account for row in rows],
        "offered": [row.sku for row in rows],
        "skus": skus,
        "accounts": accounts,
    }
    return stock.execute(statement, parameters).rowcount


_WITH_ALIASES = """
SELECT unnest(%(skus)s::text[]) UNION SELECT sku FROM stock_skus WHERE stock_sku = ANY(%(skus)s)
"""
_STORE = """
WITH changed AS (
  INSERT INTO stock_available AS stored (account, sku, available)
  SELECT * FROM unnest(%s::text[], %s::text[], %s::int[])
  ON CONFLICT (account, sku) DO UPDATE SET available = excluded.available, changed_at = now()
    WHERE stored.available <> excluded.available
  RETURNING account, sku, available
)
INSERT INTO stock_available_history (account, sku, available) SELECT account, sku, available FROM changed
"""
_REMOVE: LiteralString = """
WITH removed AS (
  DELETE FROM stock_available stored WHERE {of_these} NOT EXISTS (
    SELECT FROM unnest(%(offered_by)s::text[], %(offered)s::text[]) AS now (account, sku)
    WHERE now.account = stored.account AND now.sku = stored.sku)
  RETURNING account, sku, available
)
INSERT INTO stock_available_history (account, sku, available) SELECT account, sku, 0 FROM removed WHERE available <> 0
"""
_REMOVE_ALL = _REMOVE.replace("{of_these}", "")
_REMOVE_SOME = _REMOVE.replace("{of_these}", "account = ANY(%(accounts)s) AND sku = ANY(%(skus)s) AND")
_TOTALS = """
SELECT count(*) AS numbers, coalesce(sum(available), 0) AS pieces,
  count(*) FILTER (WHERE available = 0) AS not_available
FROM stock_available
"""
_SCARCEST = """
SELECT stored.account, stored.sku FROM stock_available stored JOIN stock_levels level ON level.sku = stored.sku
WHERE level.on_hand > 0 ORDER BY stored.available, stored.account, stored.sku LIMIT %s
"""
