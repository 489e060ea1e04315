"""Available to sell: what each account can offer of each SKU. Nothing here is sent to a marketplace."""

from collections.abc import Sequence
from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.stock.available_position import recompute
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


def available_to_sell(
    stock: StockConnection, accounts: Sequence[str], skus: Sequence[str] | None = None
) -> list[Available]:
    """What the accounts can offer of all SKUs of the stock list, by account and SKU: also of its aliases and bundles.

    `skus`: only of these, as the accounts name them. On hand, less what locks hold and wait for, less the buffer; never
    below zero. Of a bundle, the numbers are those of its scarcest SKU, in bundles.
    """
    statement = _OF_ALL if skus is None else _OF_SOME
    return stock.rows_as(
        Available, statement, {"accounts": list(accounts), "skus": None if skus is None else list(skus)}
    )


def set_buffer(stock: StockConnection, buffer: Buffer, by: By | None = None) -> bool:
    """Sets a buffer, or removes it where it keeps nothing back. `by`: the person who does; None: no person does.

    Returns whether it counts for a SKU of the stock list now. Raises StockInputError for values that can't be used, and
    for a buffer of an alias.
    """
    check_pieces(buffer.pieces, "the buffer in pieces")
    if not 0 <= buffer.percent <= MAX_PERCENT:
        raise StockInputError(f"the buffer in per cent is {buffer.percent}; allowed is 0 to {MAX_PERCENT}")
    with stock.changing():
        if buffer.sku:
            buffer = buffer._replace(sku=stored_sku_case(stock).form(check_id(buffer.sku, "sku")))
        keeps_back = buffer.pieces > 0 or buffer.percent > 0
        if keeps_back:
            check_in_stock_list(stock, [buffer.sku], buffer.account)
        if stock.execute(_SET_BUFFER if keeps_back else _REMOVE_BUFFER, buffer._asdict()).rowcount:
            if by is not None:
                on = On(buffer.account or None, sku=buffer.sku or None)
                note_act(stock.connection, by, Act.SET_BUFFER, on, f"{buffer.pieces} pieces, {buffer.percent} %")
            recompute(stock)
        return stock.execute(_IS_LISTED, {"sku": buffer.sku}).fetchone() == (True,)


def stored_buffers(stock: StockConnection) -> list[Buffer]:
    """All buffers, by account and SKU."""
    return stock.rows_as(Buffer, "SELECT account, sku, pieces, percent FROM stock_buffers ORDER BY account, sku")


_SET_BUFFER = """
INSERT INTO stock_buffers AS stored (account, sku, pieces, percent)
VALUES (%(account)s, %(sku)s, %(pieces)s, %(percent)s)
ON CONFLICT (account, sku) DO UPDATE SET pieces = excluded.pieces, percent = excluded.percent
WHERE (stored.pieces, stored.percent) <> (excluded.pieces, excluded.percent)
"""
_REMOVE_BUFFER = "DELETE FROM stock_buffers WHERE account = %(account)s AND sku = %(sku)s"
_IS_LISTED = """
SELECT EXISTS (SELECT FROM stock_levels WHERE on_hand IS NOT NULL AND %(sku)s IN (sku, ''))
"""
# Sums of locks are bigint: they may be larger than what one lock can have.
_AVAILABLE: LiteralString = """
WITH accounts AS (SELECT unnest(%(accounts)s::text[]) AS account),
levels AS (
  SELECT level.sku, level.on_hand, level.reserved, coalesce(waiting.short, 0) AS short
  FROM stock_levels level LEFT JOIN (
    SELECT sku, sum(short) AS short FROM stock_locks WHERE state = 'short' {and_part} GROUP BY sku) waiting USING (sku)
  WHERE level.on_hand IS NOT NULL {and_part}
), named AS (
  SELECT accounts.account, alias.sku, alias.stock_sku, alias.pieces
  FROM accounts JOIN stock_skus alias ON alias.account = accounts.account
    OR alias.account = '' AND NOT EXISTS (
      SELECT FROM stock_skus own WHERE own.account = accounts.account AND own.sku = alias.sku)
  WHERE true {and_named}
  UNION ALL
  SELECT accounts.account, levels.sku, levels.sku, 1 FROM accounts CROSS JOIN levels
  WHERE NOT EXISTS (
    SELECT FROM stock_skus alias WHERE alias.sku = levels.sku AND alias.account IN (accounts.account, '')) {and_named}
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
_OF_ALL = _AVAILABLE.replace("{and_part}", "").replace("{and_named}", "")
_OF_SOME = _AVAILABLE.replace(
    "{and_part}",
    "AND sku IN (SELECT unnest(%(skus)s::text[]) UNION SELECT stock_sku FROM stock_skus WHERE sku = ANY(%(skus)s))",
).replace("{and_named}", "AND sku = ANY(%(skus)s)")
