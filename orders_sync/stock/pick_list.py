"""The pick list: which pieces have to leave the warehouse now, by SKU of the stock list or by order.

An item is on it as long as its pieces are promised to the buyer and have not left: the rule of its lock
(orders_sync/stock/needs.py), by what is stored about the order now, whether or not the stock job has looked at it yet.
Aliases and bundles are resolved: the SKUs are those that are on the shelves.
"""

from collections.abc import Mapping
from typing import Any, LiteralString

from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.needs_in_sql import PARTS, needs_of, parameters_of_needs

STATUSES = tuple(status for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.LOCK)
"""The statuses of items that are to be picked."""


def parameters_of_pick_list() -> Mapping[str, Any]:
    """The parameters of both queries, but for those of the selection: accounts, picked, since, until, skus.

    `accounts`, `skus`: lists, `since`, `until`: times; None: any. `picked`: a list of some of STATUSES.
    """
    return parameters_of_needs()


_CANDIDATES: LiteralString = """
  SELECT account, item_id FROM order_items
  WHERE status IN ('pending', 'accepted', 'unknown') AND kind = 'goods'
    AND (%(accounts)s::text[] IS NULL OR account = ANY(%(accounts)s::text[]))
"""
_LINES: LiteralString = """{needs}, lines AS (
  SELECT needs.account, needs.order_id, needs.item_id, needs.counted_status, placed.created_at, placed.dispatch_due_at,
    part.sku, needs.hold::bigint * part.pieces AS pieces, item.sku AS ordered_sku, item.product,
    least(coalesce(item.refunded, 0), needs.hold)::bigint * part.pieces AS refunded, coalesce(lock.locked, 0) AS locked
  FROM needs
  JOIN orders placed ON placed.account = needs.account AND placed.order_id = needs.order_id
  JOIN order_items item ON item.account = needs.account AND item.item_id = needs.item_id
  CROSS JOIN LATERAL ({parts}) part
  LEFT JOIN stock_locks lock ON lock.account = needs.account AND lock.item_id = needs.item_id AND lock.sku = part.sku
  WHERE needs.hold > 0 AND needs.counted_status = ANY(%(picked)s::text[])
    AND (%(since)s::timestamptz IS NULL OR coalesce(placed.created_at, placed.first_stored_at) >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR coalesce(placed.created_at, placed.first_stored_at) < %(until)s)
    AND (%(skus)s::text[] IS NULL
      OR part.sku IN (SELECT {sku_form} FROM unnest(%(skus)s::text[]) AS given (sku)))
)
""".replace("{needs}", needs_of(_CANDIDATES)).replace("{parts}", PARTS)
BY_SKU: LiteralString = """{lines}
SELECT line.sku, line.pieces, line.orders, line.dispatch_due_at, line.refunded, line.locked, level.on_hand,
  level.on_hand - level.reserved AS available
FROM (
  SELECT sku, sum(pieces)::bigint AS pieces, count(DISTINCT (account, order_id)) AS orders,
    min(dispatch_due_at) AS dispatch_due_at, sum(refunded)::bigint AS refunded, sum(locked)::bigint AS locked
  FROM lines GROUP BY sku) line
LEFT JOIN stock_levels level ON level.sku = line.sku
ORDER BY line.sku
""".replace("{lines}", _LINES)
"""One row per SKU of the stock list: `pieces` to pick, of so many `orders`, the earliest `dispatch_due_at` of these;
`refunded`, how many of the pieces may be refunded ones (Mirakl does not say it); `locked`, how many of them are locked;
`on_hand` and `available` of the SKU, empty where the stock list does not have it."""
BY_ORDER: LiteralString = """{lines}
SELECT account, order_id, item_id, counted_status AS status, created_at, dispatch_due_at, sku, pieces, refunded, locked,
  ordered_sku, product
FROM lines ORDER BY dispatch_due_at, created_at, account, order_id, item_id, sku
""".replace("{lines}", _LINES)
"""One row per item and SKU of the stock list, the earliest dispatch first; `ordered_sku` is the marketplace's."""
