"""What the SKUs of marketplaces are in the stock list: aliases and bundles, imported from CSV."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.stock.available_position import recompute
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.csv_files import StockFileError, check_spelling, read_csv
from orders_sync.stock.input import StockInputError, check_id, check_pieces, one_spelling
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
    the line, also where two spellings of a SKU are one by `sku_case`. So it does for a file without any line below its
    header, which would remove all aliases and bundles.
    """
    found: dict[tuple[str, str, str], StockSku] = {}
    first: dict[tuple[str, ...], tuple[str, int]] = {}

    def take(line: int, cells: Mapping[str, str]) -> None:
        written, stock_written = (check_id(cells[name], name) for name in ("sku", "stock_sku"))
        account = check_id(cells["account"], "account") if cells["account"] else ""
        sku, stock_sku = sku_case.form(written), sku_case.form(stock_written)
        pieces = check_pieces(cells["pieces"] or 1, f"pieces of SKU {written}", lowest=1)
        check_spelling(written, *first.setdefault((account, sku), (written, line)))
        part = (account, sku, stock_sku)
        check_spelling(stock_written, *first.setdefault(part, (stock_written, line)))
        if part in found:
            raise StockInputError(f"{stock_sku} is in the file twice for SKU {sku}")
        found[part] = StockSku(*part, pieces)

    read_csv(path, ("sku", "stock_sku"), ("account", "pieces"), take)
    if not found:
        raise StockFileError(
            f"{path}: line 1: no line follows, and the import would remove all aliases and bundles. If you mean that, "
            "use `orders-sync stock skus import --remove-all`."
        )
    return list(found.values())


def import_stock_skus(stock: StockConnection, skus: list[StockSku], by: By | None = None) -> list[str]:
    """Replaces all aliases and bundles. The stock job then moves the locks whose items' SKUs change.

    Where all of them are stored already, nothing changes. `by`: the person who imports; None: no person does.

    Returns the SKUs with pieces on hand that no item can get any more, since they are aliases or bundles now. Raises
    StockInputError if two SKUs are one by the stored case rule.
    """
    with stock.changing():
        skus = _in_form(skus, stored_sku_case(stock))
        changed = sorted({each.sku for each in {*stored_stock_skus(stock)} ^ {*skus}})
        if not changed:
            return []
        stock.execute("DELETE FROM stock_skus")
        stock.execute(
            "INSERT INTO stock_skus (account, sku, stock_sku, pieces) "
            "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[])",
            [list(column) for column in zip(*skus, strict=True)] if skus else [[], [], [], []],
        )
        recompute(stock)
        stock.execute(_RECHECK, [changed])
        if by is not None:
            note_act(stock.connection, by, Act.IMPORT_SKUS, detail=f"{len(skus)} lines, {len(changed)} SKUs changed")
        listed = stock.execute("SELECT sku FROM stock_levels WHERE on_hand > 0 AND sku = ANY(%s)", [changed]).fetchall()
        return list(_parts_of_aliases(stock, [sku for (sku,) in listed]))


def _in_form(skus: Sequence[StockSku], sku_case: SkuCase) -> list[StockSku]:
    by_account: dict[str, set[str]] = defaultdict(set)
    by_sku: dict[tuple[str, str], list[str]] = defaultdict(list)
    for account, sku, stock_sku, _ in skus:
        by_account[account].add(sku)
        by_sku[account, sku].append(stock_sku)
    for spellings in (*by_account.values(), *by_sku.values()):
        one_spelling(spellings, sku_case)
    return [each._replace(sku=sku_case.form(each.sku), stock_sku=sku_case.form(each.stock_sku)) for each in skus]


def check_in_stock_list(stock: StockConnection, skus: Sequence[str], account: str = "") -> None:
    """Raises StockInputError if pieces of one of the SKUs could go to no item: it is an alias or a bundle.

    `account`: whose items count; '' stands for all. A SKU that an alias or a bundle stands for is in the stock
    list, also if it is an alias itself.
    """
    if parts := _parts_of_aliases(stock, skus, account):
        raise StockInputError(
            "; ".join(
                f"SKU {sku} is {'an alias' if len(found) == 1 else 'a bundle'} of {' and '.join(found)}"
                for sku, found in parts.items()
            )
            + ": no order gets pieces under this name; name the SKU of the stock list instead"
        )


def _parts_of_aliases(stock: StockConnection, skus: Sequence[str], account: str = "") -> dict[str, list[str]]:
    """Which of the SKUs are only aliases or bundles, and of what."""
    parts: dict[str, list[str]] = {}
    for sku, stock_sku, pieces in stock.execute(_ALIASES, {"skus": list(skus), "account": account}):
        parts.setdefault(sku, []).append(stock_sku if pieces == 1 else f"{pieces} {stock_sku}")
    return parts


def stored_stock_skus(stock: StockConnection) -> list[StockSku]:
    """All aliases and bundles, by account and SKU."""
    return stock.rows_as(
        StockSku, "SELECT account, sku, stock_sku, pieces FROM stock_skus ORDER BY account, sku, stock_sku"
    )


_RECHECK = """
INSERT INTO stock_rechecks (account, item_id)
SELECT account, item_id FROM order_items item
WHERE {sku_form} = ANY(%s) AND (status IN ('pending', 'accepted', 'unknown')
  OR (account, item_id) IN (SELECT account, item_id FROM stock_locks WHERE {active})
  OR (account, item_id) IN (SELECT account, item_id FROM stock_decisions WHERE decision = 'lock'))
"""
# An account's own aliases count instead of those of every account; but what another line stands for has pieces.
_ALIASES = """
SELECT DISTINCT ON (sku, stock_sku) sku, stock_sku, pieces FROM stock_skus alias
WHERE sku = ANY(%(skus)s) AND account IN ('', %(account)s)
  AND NOT EXISTS (SELECT FROM stock_skus other WHERE other.stock_sku = alias.sku)
ORDER BY sku, stock_sku, account DESC
"""
