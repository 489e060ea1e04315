"""What all order items require of the stock, in one query: the rules of orders_sync/stock/needs.py in SQL.

Property-based tests compare the two.
"""

from collections.abc import Collection, Mapping
from typing import Any, LiteralString

from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.labels import LABELLED
from orders_sync.stock.store import CORRECTIONS, DECIDED, IN_FORCE


def parameters_of_needs(released_at_once: Collection[str] = ()) -> Mapping[str, Any]:
    """The parameters of `needs_of`.

    `released_at_once`: the accounts that release cancelled pieces also after the label.
    """
    return {
        "statuses": list(LOCK_ACTIONS),
        "actions": [meaning.action for meaning in LOCK_ACTIONS.values()],
        "consuming": [status for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.CONSUME],
        "at_once": sorted(released_at_once),
    }


def needs_of(candidates: LiteralString) -> LiteralString:
    """The begin of a query: `WITH … needs AS (…)`, a row for each candidate that is goods or has a lock.

    `candidates`: a query of (account, item_id). The columns: `hold`, the pieces of the marketplace's `sku` that the
    item needs; `counted_status`, the item's status, or its order's if its own is unknown; `action`, what that does to a
    lock; `moves`, what is wrong with the pieces that left.
    """
    return _NEEDS.replace("{candidates}", candidates)


PARTS: LiteralString = """
  SELECT alias.stock_sku AS sku, alias.pieces
  FROM stock_skus alias WHERE alias.sku = needs.sku AND (alias.account = needs.account
    OR alias.account = '' AND NOT EXISTS (
      SELECT FROM stock_skus own WHERE own.account = needs.account AND own.sku = needs.sku))
  UNION ALL
  SELECT needs.sku, 1 WHERE NOT EXISTS (
    SELECT FROM stock_skus alias WHERE alias.sku = needs.sku AND alias.account IN (needs.account, ''))"""
"""What one piece of the SKU of `needs` takes of the SKUs of the stock list: `parts_of` in SQL."""
_NEEDS: LiteralString = (
    """
WITH candidates AS (
{candidates}), facts AS (
  SELECT item.account, item.order_id, item.item_id, {sku_form} AS sku,
    item.kind = 'goods' AS is_goods, item.status,
    greatest(item.quantity - coalesce(item.cancelled, 0), 0) AS to_ship, item.shipped, item.quantity,
    CASE WHEN decided.account IS NOT NULL AND {in_force} THEN decided.decision END AS decision,
    decided.pieces AS decided_pieces, meaning.action,
    meaning.status AS counted_status,
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
      sum(item_pieces) AS left_before FROM stock_locks lock
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
""".replace("{in_force}", IN_FORCE)
    .replace("{decided}", DECIDED)
    .replace("{corrections}", CORRECTIONS)
    .replace("{labelled}", LABELLED)
)
