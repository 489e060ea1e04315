"""The statements that merge changed orders: over temporary tables, where they are compared with what is stored."""

from collections.abc import Sequence

from psycopg.sql import SQL, Composed, Identifier

from orders_sync.sync.copy_columns import ITEM_COLUMNS, ORDER_COLUMNS

OPEN_STAGING = """
CREATE TEMP TABLE IF NOT EXISTS stage_orders (LIKE orders INCLUDING DEFAULTS);
CREATE TEMP TABLE IF NOT EXISTS stage_items (LIKE order_items INCLUDING DEFAULTS)
"""
TAKEN_ITEMS = """
SELECT DISTINCT staged.order_id, staged.item_id, known.order_id
FROM stage_items staged JOIN order_items known USING (account, item_id)
WHERE known.order_id <> staged.order_id
UNION
SELECT later.order_id, later.item_id, min(earlier.order_id)
FROM stage_items later JOIN stage_items earlier USING (account, item_id)
WHERE earlier.order_id < later.order_id GROUP BY 1, 2
"""
LOCK_ORDERS = """
SELECT order_id, status, modified_at, fingerprint FROM orders
WHERE account = %s AND order_id = ANY(%s) ORDER BY order_id FOR UPDATE
"""
ITEM_STATUSES = "SELECT item_id, status FROM order_items WHERE account = %s AND order_id = ANY(%s)"
REMOVE_ITEMS = """
UPDATE order_items known SET status = %s, marketplace_state = NULL, stored_at = now()
WHERE account = %s AND order_id = ANY(%s) AND status <> %s
  AND NOT EXISTS (SELECT FROM stage_items staged WHERE staged.item_id = known.item_id)
RETURNING order_id, item_id, status
"""


def _names(columns: Sequence[str]) -> Composed:
    return SQL(", ").join(Identifier(column) for column in columns)


def _kept_where_unknown(columns: Sequence[str]) -> Composed:
    """`column = what is staged, or what is known where the record leaves it out`."""
    return SQL(", ").join(SQL("{0} = coalesce(staged.{0}, known.{0})").format(Identifier(column)) for column in columns)


_STATUS_KEPT_WHERE_UNKNOWN = SQL(
    "status = CASE WHEN staged.marketplace_state IS NULL AND known.status <> 'removed' "
    "THEN known.status ELSE staged.status END"
)
_ORDER_VALUES = [c for c in ORDER_COLUMNS if c not in ("account", "order_id", "status", "raw", "fingerprint")]
_ITEM_VALUES = [c for c in ITEM_COLUMNS if c not in ("account", "item_id", "order_id", "status")]

INSERT_ORDERS = SQL(
    "INSERT INTO orders ({columns}) SELECT {columns} FROM stage_orders ORDER BY order_id "
    "ON CONFLICT DO NOTHING RETURNING order_id"
).format(columns=_names(ORDER_COLUMNS))
UPDATE_ORDERS = SQL(
    "UPDATE orders known SET {values}, {status}, raw = staged.raw, fingerprint = staged.fingerprint, "
    "revision = known.revision + 1, stored_at = now(), buyer_data_blanked_at = NULL FROM stage_orders staged "
    "WHERE known.account = staged.account AND known.order_id = staged.order_id AND known.order_id = ANY(%s) "
    "RETURNING known.order_id, known.status, known.revision"
).format(values=_kept_where_unknown(_ORDER_VALUES), status=_STATUS_KEPT_WHERE_UNKNOWN)
UPDATE_ITEMS = SQL(
    "UPDATE order_items known SET {values}, {status}, stored_at = now() FROM stage_items staged "
    "WHERE known.account = staged.account AND known.item_id = staged.item_id "
    "AND (({staged}) IS DISTINCT FROM ({known}) OR staged.status <> known.status "
    "AND (staged.marketplace_state IS NOT NULL OR known.status = 'removed')) "
    "RETURNING known.order_id, known.item_id, known.status"
).format(
    values=_kept_where_unknown(_ITEM_VALUES),
    status=_STATUS_KEPT_WHERE_UNKNOWN,
    staged=SQL(", ").join(SQL("coalesce(staged.{0}, known.{0})").format(Identifier(c)) for c in _ITEM_VALUES),
    known=SQL(", ").join(SQL("known.{}").format(Identifier(c)) for c in _ITEM_VALUES),
)
INSERT_ITEMS = SQL(
    "INSERT INTO order_items ({columns}) SELECT {columns} FROM stage_items ORDER BY item_id "
    "ON CONFLICT DO NOTHING RETURNING order_id, item_id, status"
).format(columns=_names(ITEM_COLUMNS))
