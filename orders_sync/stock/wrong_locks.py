"""Locks that are not what their items need: found with one query, shown by a check, and repaired.

The query reads all open items, all active locks, and the items that have shipped and whose pieces were not taken. Items
that the stock job has yet to look at are left out.
"""

from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.marketplaces.kit.accounts import accounts_that_release_at_once
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause
from orders_sync.stock.input import MAX_PIECES
from orders_sync.stock.labels import LABELLED
from orders_sync.stock.reconcile import StockResult, reconcile_each
from orders_sync.stock.store import CORRECTIONS, DECIDED, IN_FORCE, collect_missing_statistics

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
        "statuses": list(LOCK_ACTIONS),
        "actions": [meaning.action for meaning in LOCK_ACTIONS.values()],
        "consuming": [status for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.CONSUME],
        "oversell": sorted(oversell),
        "max_pieces": MAX_PIECES,
        "at_once": sorted(accounts_that_release_at_once()),
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


# The same rules as in orders_sync/stock/needs.py, for all items at once; a property-based test compares the two.
_WRONG: LiteralString = (
    """
WITH candidates AS (
  SELECT account, item_id FROM order_items WHERE status IN ('pending', 'accepted', 'unknown')
  UNION SELECT account, item_id FROM {locks} WHERE {active}
  UNION SELECT account, item_id FROM stock_decisions
  UNION SELECT account, item_id FROM stock_unreported
  UNION SELECT account, item_id FROM order_items item
  WHERE (status = ANY(%(consuming)s) OR shipped > 0) AND kind = 'goods'
    AND coalesce(shipped, quantity - coalesce(cancelled, 0)) > 0
    AND NOT EXISTS (SELECT FROM {locks} lock WHERE lock.account = item.account AND lock.item_id = item.item_id
      AND lock.item_pieces >= coalesce(item.shipped, item.quantity - coalesce(item.cancelled, 0)))
), facts AS (
  SELECT item.account, item.order_id, item.item_id, {sku_form} AS sku,
    item.kind = 'goods' AS is_goods, item.status,
    greatest(item.quantity - coalesce(item.cancelled, 0), 0) AS to_ship, item.shipped, item.quantity,
    CASE WHEN decided.account IS NOT NULL AND {in_force} THEN decided.decision END AS decision,
    decided.pieces AS decided_pieces, meaning.action,
    coalesce(over_report.pieces, 0) AS over_reported, coalesce(over_report.reported, 0) AS reported_before,
    coalesce(unreported.pieces, 0) AS unreported, coalesce(unreported.expected, 0) AS expected,
    coalesce(held.has_rest, false) AS has_rest,
    coalesce(held.has_rest, false) AND item.account <> ALL(%(at_once)s::text[]) AND {labelled} AS is_labelled,
    coalesce(held.has_lock, false) AS has_lock,
    coalesce(held.left_before, 0) AS left_before
  FROM candidates
  JOIN order_items item USING (account, item_id)
  JOIN orders placed ON placed.account = item.account AND placed.order_id = item.order_id
  JOIN unnest(%(statuses)s::text[], %(actions)s::text[]) AS meaning (status, action)
    ON meaning.status = CASE WHEN item.status = 'unknown' THEN placed.status ELSE item.status END
  {corrections}{decided}
  LEFT JOIN LATERAL (
    SELECT bool_or(locked + short > 0) AS has_lock, bool_or(lock.held > 0) AS has_rest,
      sum(item_pieces) AS left_before FROM {locks} lock
    WHERE lock.account = item.account AND lock.item_id = item.item_id) held ON true
), reported AS (
  SELECT *, CASE WHEN shipped IS NULL AND action = 'consume' THEN to_ship ELSE coalesce(shipped, 0) END AS reported
  FROM facts WHERE is_goods OR has_lock OR has_rest
), corrected AS (
  SELECT *, greatest(least(reported, over_reported - greatest(reported_before - reported, 0)), 0) AS over_now,
    -- What the marketplace is to report beside the unreported pieces: it is to be shipped, or has left.
    least(expected, greatest(left_before - unreported, CASE WHEN decision = 'lock' OR action IN ('lock', 'consume')
      OR action = 'keep' AND has_lock THEN to_ship ELSE 0 END, 0)) AS expected_now,
    is_labelled AND is_goods AND coalesce(decision, '') <> 'release' AS is_rest_held
  FROM reported
), left_now AS (
  SELECT *, CASE
      WHEN NOT is_goods THEN 0
      WHEN decision IN ('lock', 'release') THEN greatest(coalesce(shipped, 0) - over_now, 0)
      WHEN decision = 'shipped'
        THEN greatest(CASE WHEN decided_pieces IS NULL THEN to_ship ELSE least(quantity, decided_pieces) END, reported)
      ELSE reported - over_now END AS gone_as_reported
  FROM corrected
), unreported_left AS (
  SELECT *, CASE WHEN is_goods THEN greatest(unreported - greatest(gone_as_reported - expected_now, 0), 0) ELSE 0 END
      AS unreported_now
  FROM left_now
), needs AS (
  SELECT *, CASE
      WHEN is_goods AND coalesce(decision, '') <> 'release'
        AND (decision = 'lock' OR action = 'lock' OR action = 'keep' AND has_lock)
      -- What has left beyond that, by mistake, is not needed once more.
      THEN greatest(greatest(to_ship - gone_as_reported, 0)
        - least(unreported_now, greatest(to_ship - greatest(expected_now, gone_as_reported), 0))
        - greatest(left_before - gone_as_reported - unreported_now, 0), 0)
      ELSE 0 END AS hold,
    CASE WHEN gone_as_reported + unreported_now > left_before
      THEN format('%%s of %%s pieces that left were not taken', gone_as_reported + unreported_now - left_before,
        gone_as_reported + unreported_now) END AS moves
  FROM unreported_left
)
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
    SELECT alias.stock_sku AS sku, needs.hold::bigint * alias.pieces AS needed, 0 AS pieces, 0 AS short, 0 AS held
    FROM stock_skus alias WHERE alias.sku = needs.sku AND (alias.account = needs.account
      OR alias.account = '' AND NOT EXISTS (
        SELECT FROM stock_skus own WHERE own.account = needs.account AND own.sku = needs.sku))
    UNION ALL
    SELECT needs.sku, needs.hold, 0, 0, 0 WHERE NOT EXISTS (
      SELECT FROM stock_skus alias WHERE alias.sku = needs.sku AND alias.account IN (needs.account, ''))
    UNION ALL
    SELECT lock.sku, 0, lock.locked + lock.short, lock.short, lock.held FROM {locks} lock
    WHERE lock.account = needs.account AND lock.item_id = needs.item_id
  ) part GROUP BY sku
) compared
LEFT JOIN {levels} level ON level.sku = compared.sku
WHERE (compared.pieces <> compared.needed OR needs.moves IS NOT NULL
    OR compared.held > 0 AND NOT needs.is_rest_held
    OR compared.short > 0 AND (needs.account = ANY(%(oversell)s) OR level.on_hand > level.reserved))
  AND NOT EXISTS (
    SELECT FROM {events} event
    WHERE event.account = needs.account AND event.order_id = needs.order_id AND {due})
  AND NOT EXISTS (
    SELECT FROM stock_rechecks recheck WHERE recheck.account = needs.account AND recheck.item_id = needs.item_id)
ORDER BY needs.account, needs.item_id, compared.sku
""".replace("{in_force}", IN_FORCE)
    .replace("{decided}", DECIDED)
    .replace("{corrections}", CORRECTIONS)
    .replace("{labelled}", LABELLED)
)
