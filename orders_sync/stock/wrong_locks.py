"""Locks that are not what their items need: found with one query, shown by a check, and repaired.

The query reads all open items, all active locks, and the items that have shipped and whose pieces were not taken. Items
that the stock job has yet to look at are left out.
"""

from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.marketplaces.kit.accounts import accounts_that_release_at_once
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause
from orders_sync.stock.input import MAX_PIECES
from orders_sync.stock.needs_in_sql import PARTS, needs_of, parameters_of_needs
from orders_sync.stock.reconcile import StockResult, reconcile_each
from orders_sync.stock.store import collect_missing_statistics

MAX_ITEMS_PER_TRANSACTION = 500


class WrongLock(NamedTuple):
    """An item whose lock is not what the item needs. Pieces are those that the lock holds or waits for."""

    account: str
    order_id: str
    item_id: str
    sku: str
    status: str
    pieces: int
    needed: int
    problem: str


def wrong_locks(stock: StockConnection, oversell: frozenset[str] = frozenset()) -> list[WrongLock]:
    """All wrong locks of items without pending events, by account and item.

    A lock that waits although pieces are available, or although its account is in `oversell`, is wrong as well.
    """
    parameters = {
        **parameters_of_needs(accounts_that_release_at_once()),
        "oversell": sorted(oversell),
        "max_pieces": MAX_PIECES,
    }
    collect_missing_statistics(stock)
    with stock.transaction():
        stock.look_up_by_keys()
        return stock.rows_as(WrongLock, _WRONG, parameters)


def repair(stock: StockConnection, oversell: frozenset[str] = frozenset(), by: By | None = None) -> StockResult:
    """Brings all wrong locks to what their items need.

    `oversell`: the accounts that may lock stock below zero. `by`: the person who does; None: no person does.
    """
    total = StockResult()
    causes = {(wrong.account, wrong.item_id): Cause(wrong.problem) for wrong in wrong_locks(stock, oversell)}
    keys = list(causes)
    for start in range(0, len(keys), MAX_ITEMS_PER_TRANSACTION):
        with stock.changing():
            some = {key: causes[key] for key in keys[start : start + MAX_ITEMS_PER_TRANSACTION]}
            result, failed = reconcile_each(stock, some, oversell)
            total += result
            if by is not None:
                for account, item_id in some.keys() - failed:
                    on, what = On(account, item_id=item_id), some[account, item_id].text
                    note_act(stock.connection, by, Act.REPAIR_LOCKS, on, what)
    return total


_CANDIDATES: LiteralString = """
  SELECT account, item_id FROM order_items WHERE status IN ('pending', 'accepted', 'unknown')
  UNION SELECT account, item_id FROM stock_locks WHERE {active}
  UNION SELECT account, item_id FROM stock_decisions
  UNION SELECT account, item_id FROM stock_unreported
  UNION SELECT account, item_id FROM order_items item
  WHERE (status = ANY(%(consuming)s) OR shipped > 0) AND kind = 'goods'
    AND coalesce(shipped, quantity - coalesce(cancelled, 0)) > 0
    AND NOT EXISTS (SELECT FROM stock_locks lock WHERE lock.account = item.account AND lock.item_id = item.item_id
      AND lock.item_pieces >= coalesce(item.shipped, item.quantity - coalesce(item.cancelled, 0)))
"""
_WRONG: LiteralString = (
    needs_of(_CANDIDATES)
    + """
SELECT needs.account, needs.order_id, needs.item_id, compared.sku, needs.status, compared.pieces, compared.needed,
  coalesce(needs.moves, CASE WHEN compared.held > 0 AND NOT needs.is_rest_held THEN format(
      CASE WHEN needs.account = ANY(%(at_once)s::text[])
        THEN '%%s pieces are held, and the account''s file says hold_after_label: false'
        ELSE '%%s pieces are held, and no label says that they may have left' END, compared.held)
    WHEN compared.pieces = compared.needed THEN 'pieces are available'
    WHEN compared.needed > %(max_pieces)s THEN format(
      'the item needs %%s pieces, and a lock has at most %%s: is its quantity right, and the bundle?',
      compared.needed, %(max_pieces)s)
    ELSE format('the item needs %%s pieces instead of %%s', compared.needed, compared.pieces) END) AS problem
FROM needs CROSS JOIN LATERAL (
  SELECT sku, sum(needed)::bigint AS needed, sum(pieces)::bigint AS pieces, sum(short)::bigint AS short,
    sum(held)::bigint AS held
  FROM (
    SELECT one.sku, needs.hold::bigint * one.pieces AS needed, 0 AS pieces, 0 AS short, 0 AS held FROM ({parts}) one
    UNION ALL
    SELECT lock.sku, 0, lock.locked + lock.short, lock.short, lock.held FROM stock_locks lock
    WHERE lock.account = needs.account AND lock.item_id = needs.item_id
  ) part GROUP BY sku
) compared
LEFT JOIN stock_levels level ON level.sku = compared.sku
WHERE (compared.pieces <> compared.needed OR needs.moves IS NOT NULL
    OR compared.held > 0 AND NOT needs.is_rest_held
    OR compared.short > 0 AND (needs.account = ANY(%(oversell)s) OR level.on_hand > level.reserved))
  AND NOT EXISTS (
    SELECT FROM order_events event
    WHERE event.account = needs.account AND event.order_id = needs.order_id AND {due})
  AND NOT EXISTS (
    SELECT FROM stock_rechecks recheck WHERE recheck.account = needs.account AND recheck.item_id = needs.item_id)
ORDER BY needs.account, needs.item_id, compared.sku
""".replace("{parts}", PARTS)
)
