"""Locks that are not what their items need: found with one query, shown by a check, and repaired.

The query reads all open items and all active locks. Items that the stock job has yet to look at are left out.
"""

from typing import LiteralString, NamedTuple

from orders_sync.stock.actions import LOCK_ACTIONS
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause
from orders_sync.stock.reconcile import StockResult, reconcile_each
from orders_sync.stock.store import IN_FORCE, collect_missing_statistics

MAX_ITEMS_PER_TRANSACTION = 500
MAX_ATTEMPTS = 5
"""An event that failed so often is not tried again; the check `every_event_could_be_applied` reports it."""


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
        "statuses": list(LOCK_ACTIONS),
        "actions": [meaning.action for meaning in LOCK_ACTIONS.values()],
        "oversell": sorted(oversell),
        "max_attempts": MAX_ATTEMPTS,
    }
    collect_missing_statistics(stock)
    with stock.transaction():
        stock.look_up_by_keys()
        return stock.rows_as(WrongLock, _WRONG, parameters)


def repair(stock: StockConnection, oversell: frozenset[str] = frozenset()) -> StockResult:
    """Brings all wrong locks to what their items need. `oversell`: the accounts that may lock stock below zero."""
    total = StockResult()
    causes = {(wrong.account, wrong.item_id): Cause(wrong.problem) for wrong in wrong_locks(stock, oversell)}
    keys = list(causes)
    for start in range(0, len(keys), MAX_ITEMS_PER_TRANSACTION):
        with stock.changing():
            some = {key: causes[key] for key in keys[start : start + MAX_ITEMS_PER_TRANSACTION]}
            total += reconcile_each(stock, some, oversell)[0]
    return total


# The same rules as in orders_sync/stock/needs.py, for all items at once; a property-based test compares the two.
_WRONG: LiteralString = """
WITH candidates AS (
  SELECT account, item_id FROM order_items WHERE status IN ('pending', 'accepted', 'unknown')
  UNION SELECT account, item_id FROM {locks} WHERE state IN ('locked', 'short')
  UNION SELECT account, item_id FROM stock_decisions WHERE decision = 'lock'
), facts AS (
  SELECT item.account, item.order_id, item.item_id, {sku_form} AS sku,
    item.kind = 'goods' AS is_goods, item.status,
    greatest(item.quantity - coalesce(item.cancelled, 0), 0) AS to_ship, coalesce(item.shipped, 0) AS shipped,
    CASE WHEN decided.account IS NOT NULL AND {in_force} THEN decided.decision END AS decision, meaning.action,
    EXISTS (SELECT FROM {locks} lock WHERE lock.account = item.account AND lock.item_id = item.item_id
      AND lock.state IN ('locked', 'short')) AS has_lock
  FROM candidates
  JOIN order_items item USING (account, item_id)
  JOIN orders placed ON placed.account = item.account AND placed.order_id = item.order_id
  JOIN unnest(%(statuses)s::text[], %(actions)s::text[]) AS meaning (status, action)
    ON meaning.status = CASE WHEN item.status = 'unknown' THEN placed.status ELSE item.status END
  LEFT JOIN stock_decisions decided ON decided.account = item.account AND decided.item_id = item.item_id
), needs AS (
  SELECT account, order_id, item_id, sku, status, CASE
      WHEN NOT is_goods OR decision IN ('release', 'shipped') THEN 0
      WHEN decision = 'not_shipped' THEN CASE WHEN action = 'lock' THEN to_ship ELSE 0 END
      WHEN decision = 'lock' OR action = 'lock' OR action = 'keep' AND has_lock THEN greatest(to_ship - shipped, 0)
      ELSE 0 END AS hold,
    CASE WHEN decision = 'not_shipped' THEN 0 ELSE shipped END AS gone
  FROM facts
)
SELECT needs.account, needs.order_id, needs.item_id, compared.sku, needs.status, compared.pieces, compared.needed,
  CASE WHEN compared.pieces = compared.needed THEN 'pieces are available'
    ELSE format('the item needs %%s pieces instead of %%s', compared.needed, compared.pieces) END AS problem
FROM needs CROSS JOIN LATERAL (
  -- What left under another SKU has left; what was consumed beyond that, by mistake, is not needed once more.
  SELECT sku, pieces, short, greatest(hold - greatest(consumed - greatest(
    gone - coalesce(sum(consumed) FILTER (WHERE NOT is_wanted) OVER (), 0), 0), 0), 0)::int AS needed
  FROM (
    SELECT sku, bool_or(is_wanted) AS is_wanted, sum(hold) AS hold, sum(gone) AS gone, sum(pieces)::int AS pieces,
      sum(short)::int AS short, sum(consumed) AS consumed
    FROM (
      SELECT alias.stock_sku AS sku, true AS is_wanted, needs.hold * alias.pieces AS hold,
        needs.gone * alias.pieces AS gone, 0 AS pieces, 0 AS short, 0 AS consumed
      FROM stock_skus alias WHERE alias.sku = needs.sku AND (alias.account = needs.account
        OR alias.account = '' AND NOT EXISTS (
          SELECT FROM stock_skus own WHERE own.account = needs.account AND own.sku = needs.sku))
      UNION ALL
      SELECT needs.sku, true, needs.hold, needs.gone, 0, 0, 0 WHERE NOT EXISTS (
        SELECT FROM stock_skus alias WHERE alias.sku = needs.sku AND alias.account IN (needs.account, ''))
      UNION ALL
      SELECT lock.sku, false, 0, 0, lock.locked + lock.short, lock.short, lock.consumed FROM {locks} lock
      WHERE lock.account = needs.account AND lock.item_id = needs.item_id
    ) part GROUP BY sku
  ) by_sku
) compared
LEFT JOIN {levels} level ON level.sku = compared.sku
WHERE (compared.pieces <> compared.needed
    OR compared.short > 0 AND (needs.account = ANY(%(oversell)s) OR level.on_hand > level.reserved))
  AND NOT EXISTS (
    SELECT FROM {events} event
    WHERE event.account = needs.account AND event.order_id = needs.order_id AND event.applied_at IS NULL
      AND event.attempts < %(max_attempts)s)
  AND NOT EXISTS (
    SELECT FROM stock_rechecks recheck WHERE recheck.account = needs.account AND recheck.item_id = needs.item_id)
ORDER BY needs.account, needs.item_id, compared.sku
""".replace("{in_force}", IN_FORCE)
