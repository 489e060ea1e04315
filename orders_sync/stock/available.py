"""Available to sell: what each account can offer of each SKU. Nothing here is sent to a marketplace."""

from typing import NamedTuple

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.input import StockInputError, check_id, check_pieces
from orders_sync.stock.stock_skus import check_in_stock_list
from orders_sync.stock.store import stored_sku_case

MAX_PERCENT = 100


class Available(NamedTuple):
    """What an account can offer of a SKU, in pieces; `sku` is the marketplace's."""

    account: str
    sku: str
    available: int
    on_hand: int
    locked: int
    short: int
    buffer: int


class Buffer(NamedTuple):
    """Pieces that are kept back from sale. The account '' and the SKU '' stand for all."""

    account: str
    sku: str
    pieces: int
    percent: int


def available_to_sell(stock: StockConnection, accounts: list[str]) -> list[Available]:
    """What the accounts can offer of all SKUs of the stock list, by account and SKU: also of its aliases and bundles.

    On hand, less what locks hold and wait for, less the buffer; never below zero. Of a bundle, the numbers are those of
    its scarcest SKU, in bundles.
    """
    return stock.rows_as(Available, _AVAILABLE, [accounts])


def store_available(stock: StockConnection, rows: list[Available]) -> int:
    """Stores what is available, and each change as history; returns how many numbers changed."""
    values = [[row.account for row in rows], [row.sku for row in rows], [row.available for row in rows]]
    with stock.transaction():
        stock.execute("LOCK TABLE stock_available IN SHARE ROW EXCLUSIVE MODE")
        changed = stock.execute(_STORE, values).rowcount
        gone = stock.execute(_REMOVE, values[:2]).rowcount
    return changed + gone


def set_buffer(stock: StockConnection, buffer: Buffer) -> bool:
    """Sets a buffer, or removes it where it keeps nothing back.

    Returns whether it counts for a SKU of the stock list now. Raises StockInputError for values that can't be used, and
    for a buffer of an alias.
    """
    check_pieces(buffer.pieces, "the buffer in pieces")
    if not 0 <= buffer.percent <= MAX_PERCENT:
        raise StockInputError(f"the buffer in per cent is {buffer.percent}; allowed is 0 to {MAX_PERCENT}")
    with stock.changing():
        if buffer.sku:
            buffer = buffer._replace(sku=stored_sku_case(stock).form(check_id(buffer.sku, "sku")))
        stock.execute("DELETE FROM stock_buffers WHERE account = %s AND sku = %s", [buffer.account, buffer.sku])
        if buffer.pieces or buffer.percent:
            check_in_stock_list(stock, [buffer.sku], buffer.account)
            stock.execute("INSERT INTO stock_buffers (account, sku, pieces, percent) VALUES (%s, %s, %s, %s)", buffer)
        return stock.execute(_IS_LISTED, {"sku": buffer.sku}).fetchone() == (True,)


def stored_buffers(stock: StockConnection) -> list[Buffer]:
    """All buffers, by account and SKU."""
    return stock.rows_as(Buffer, "SELECT account, sku, pieces, percent FROM stock_buffers ORDER BY account, sku")


_IS_LISTED = """
SELECT EXISTS (SELECT FROM {levels} WHERE on_hand IS NOT NULL AND %(sku)s IN (sku, ''))
"""
# Sums of locks are bigint: they may be larger than what one lock can have.
_AVAILABLE = """
WITH accounts AS (SELECT unnest(%s::text[]) AS account),
levels AS (
  SELECT level.sku, level.on_hand, level.reserved, coalesce(waiting.short, 0) AS short
  FROM {levels} level LEFT JOIN (
    SELECT sku, sum(short) AS short FROM {locks} WHERE state = 'short' GROUP BY sku) waiting USING (sku)
  WHERE level.on_hand IS NOT NULL
), named AS (
  SELECT accounts.account, alias.sku, alias.stock_sku, alias.pieces
  FROM accounts JOIN stock_skus alias ON alias.account = accounts.account
    OR alias.account = '' AND NOT EXISTS (
      SELECT FROM stock_skus own WHERE own.account = accounts.account AND own.sku = alias.sku)
  UNION ALL
  SELECT accounts.account, levels.sku, levels.sku, 1 FROM accounts CROSS JOIN levels
  WHERE NOT EXISTS (
    SELECT FROM stock_skus alias WHERE alias.sku = levels.sku AND alias.account IN (accounts.account, ''))
), parts AS (
  SELECT named.account, named.sku, named.pieces, coalesce(levels.on_hand, 0) AS on_hand,
    coalesce(levels.reserved, 0) AS locked, coalesce(levels.short, 0) AS short, coalesce(buffer.kept, 0) AS kept
  FROM named LEFT JOIN levels ON levels.sku = named.stock_sku
  LEFT JOIN LATERAL (
    SELECT pieces + ceil(greatest(levels.on_hand - levels.reserved - levels.short, 0) * percent / 100.0)::int AS kept
    FROM stock_buffers
    WHERE account IN (named.account, '') AND sku IN (named.stock_sku, '')
    ORDER BY sku = '', account = '' LIMIT 1) buffer ON true
)
SELECT DISTINCT ON (account, sku) account, sku,
  greatest((on_hand - locked - short - kept) / pieces, 0) AS available,
  on_hand / pieces AS on_hand, locked / pieces AS locked, short / pieces AS short, kept / pieces AS buffer
FROM parts ORDER BY account, sku, greatest((on_hand - locked - short - kept) / pieces, 0)
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
_REMOVE = """
WITH removed AS (
  DELETE FROM stock_available stored WHERE NOT EXISTS (
    SELECT FROM unnest(%s::text[], %s::text[]) AS now (account, sku)
    WHERE now.account = stored.account AND now.sku = stored.sku)
  RETURNING account, sku, available
)
INSERT INTO stock_available_history (account, sku, available) SELECT account, sku, 0 FROM removed WHERE available <> 0
"""
