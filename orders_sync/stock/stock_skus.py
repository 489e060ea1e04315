"""What the SKUs of marketplaces are in the stock list: aliases and bundles, imported from CSV."""

import csv
from functools import partial
from pathlib import Path
from typing import NamedTuple

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.csv_files import StockFileError, check_spelling, read_csv
from orders_sync.stock.levels import MAX_ON_HAND
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.store import stored_sku_case

COLUMNS = ("account", "sku", "stock_sku", "pieces")


class StockSku(NamedTuple):
    """One part of a marketplace's SKU; the account '' stands for every account."""

    account: str
    sku: str
    stock_sku: str
    pieces: int


def read_stock_skus_file(path: Path, sku_case: SkuCase = SkuCase.EXACT) -> list[StockSku]:
    """Reads a CSV file with the columns `sku`, `stock_sku` and, if it likes, `account` and `pieces`.

    A bundle has a line for each of its SKUs. The SKUs have their form by `sku_case`. Raises StockFileError, which names
    the line, also where two spellings of a SKU are one by `sku_case`.
    """
    return read_csv(path, ("sku", "stock_sku"), partial(_stock_skus, sku_case))


def _stock_skus(sku_case: SkuCase, path: Path, rows: "csv.DictReader[str]") -> list[StockSku]:
    found: dict[tuple[str, str, str], StockSku] = {}
    first: dict[tuple[str, ...], tuple[str, int]] = {}
    for row in rows:
        where = f"{path}: line {rows.line_num}"
        account, sku, stock_sku, pieces = ((row.get(name) or "").strip() for name in COLUMNS)
        if not sku or not stock_sku:
            raise StockFileError(f"{where}: {'sku' if not sku else 'stock_sku'} is empty")
        pieces = pieces or "1"
        if not (pieces.isascii() and pieces.isdecimal()) or not 0 < int(pieces) <= MAX_ON_HAND:
            raise StockFileError(
                f"{where}: pieces of SKU {sku} is {pieces!r}; allowed is a whole number from 1 to {MAX_ON_HAND}"
            )
        written, stock_written = sku, stock_sku
        sku, stock_sku = sku_case.form(sku), sku_case.form(stock_sku)
        check_spelling(where, written, *first.setdefault((account, sku), (written, rows.line_num)))
        part = (account, sku, stock_sku)
        check_spelling(where, stock_written, *first.setdefault(part, (stock_written, rows.line_num)))
        if part in found:
            raise StockFileError(f"{where}: {stock_sku} is in the file twice for SKU {sku}")
        found[part] = StockSku(account, sku, stock_sku, int(pieces))
    return list(found.values())


def import_stock_skus(stock: StockConnection, skus: list[StockSku]) -> None:
    """Replaces all aliases and bundles. The stock job then moves the locks of open items whose SKUs change."""
    with stock.changing():
        form = stored_sku_case(stock).form
        skus = [each._replace(sku=form(each.sku), stock_sku=form(each.stock_sku)) for each in skus]
        before = set(stored_stock_skus(stock))
        stock.execute("DELETE FROM stock_skus")
        stock.execute(
            "INSERT INTO stock_skus (account, sku, stock_sku, pieces) "
            "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[])",
            [list(column) for column in zip(*skus, strict=True)] if skus else [[], [], [], []],
        )
        changed = sorted({each.sku for each in before ^ set(skus)})
        stock.execute(_RECHECK, [changed])


def stored_stock_skus(stock: StockConnection) -> list[StockSku]:
    """All aliases and bundles, by account and SKU."""
    return stock.rows_as(
        StockSku, "SELECT account, sku, stock_sku, pieces FROM stock_skus ORDER BY account, sku, stock_sku"
    )


_RECHECK = """
INSERT INTO stock_rechecks (account, item_id)
SELECT account, item_id FROM order_items item
WHERE {sku_form} = ANY(%s) AND (status IN ('pending', 'accepted', 'unknown')
  OR (account, item_id) IN (SELECT account, item_id FROM stock_decisions WHERE decision = 'lock'))
"""
