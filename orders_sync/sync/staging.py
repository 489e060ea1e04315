"""The statements that merge changed orders: from temporary tables, where they are compared with the stored orders."""

from collections.abc import Sequence

from psycopg.sql import SQL, Composed, Identifier, Literal

from orders_sync.database.tables.columns import BLANKED_COLUMNS, DEVICE_COLUMNS
from orders_sync.sync.copy_columns import ITEM_COLUMNS, ORDER_COLUMNS
from orders_sync.sync.validate import GONE

OPEN_STAGING = """
CREATE TEMP TABLE IF NOT EXISTS stage_orders (LIKE orders INCLUDING DEFAULTS);
CREATE TEMP TABLE IF NOT EXISTS stage_items (LIKE order_items INCLUDING DEFAULTS)
"""
_GONE = SQL("({})").format(SQL(", ").join(Literal(str(status)) for status in sorted(GONE)))
#: Staged items that stay with another order, staged or stored: it lists the item live and this one does not, or its
#: record is newer. The last column says whether both list it live.
TAKEN_ITEMS = SQL("""
SELECT mine.order_id, item.item_id, min(theirs.order_id), bool_or(item.status NOT IN {gone})
FROM stage_items item
JOIN stage_orders mine ON mine.order_id = item.order_id
JOIN stage_items other ON other.item_id = item.item_id AND other.order_id <> item.order_id
JOIN stage_orders theirs ON theirs.order_id = other.order_id
WHERE item.status IN {gone} AND other.status NOT IN {gone}
   OR (item.status IN {gone}) = (other.status IN {gone})
   AND (theirs.modified_at > mine.modified_at
        OR theirs.modified_at IS NOT DISTINCT FROM mine.modified_at AND theirs.order_id > mine.order_id)
GROUP BY 1, 2
UNION
SELECT mine.order_id, item.item_id, theirs.order_id, item.status NOT IN {gone}
FROM stage_items item
JOIN stage_orders mine ON mine.order_id = item.order_id
JOIN order_items stored ON stored.account = item.account AND stored.item_id = item.item_id
JOIN orders theirs ON theirs.account = stored.account AND theirs.order_id = stored.order_id
WHERE stored.order_id <> item.order_id AND stored.status <> 'removed'
  AND NOT EXISTS (SELECT FROM stage_orders again WHERE again.order_id = stored.order_id)
  AND (item.status IN {gone} AND stored.status NOT IN {gone}
       OR (item.status IN {gone}) = (stored.status IN {gone}) AND theirs.modified_at > mine.modified_at)
""").format(gone=_GONE)
#: The same for stored records that are decoded again: they show nothing new about which order has an item, so one that
#: is stored stays with its order.
TAKEN_ITEMS_AS_STORED = SQL("""
SELECT item.order_id, item.item_id, stored.order_id, item.status NOT IN {gone} AND stored.status NOT IN {gone}
FROM stage_items item JOIN order_items stored USING (account, item_id)
WHERE stored.order_id <> item.order_id AND stored.status <> 'removed'
UNION
SELECT item.order_id, item.item_id, min(other.order_id), bool_or(item.status NOT IN {gone})
FROM stage_items item JOIN stage_items other ON other.item_id = item.item_id AND other.order_id < item.order_id
WHERE NOT EXISTS (SELECT FROM order_items stored WHERE stored.account = item.account
  AND stored.item_id = item.item_id AND stored.status <> 'removed')
GROUP BY 1, 2
""").format(gone=_GONE)
UNSTAGE_ITEMS = """
DELETE FROM stage_items USING unnest(%s::text[], %s::text[]) AS taken (order_id, item_id)
WHERE stage_items.order_id = taken.order_id AND stage_items.item_id = taken.item_id
"""
#: Stored items that move to a staged order: their order until now, whether it is staged as well, whether they are live.
MOVED_ITEMS = SQL("""
SELECT stored.order_id, stored.item_id, staged.order_id, stored.status,
       EXISTS (SELECT FROM stage_orders again WHERE again.order_id = stored.order_id), stored.status NOT IN {gone}
FROM stage_items staged
JOIN order_items stored ON stored.account = staged.account AND stored.item_id = staged.item_id
WHERE stored.order_id <> staged.order_id AND stored.status <> 'removed'
""").format(gone=_GONE)
BUMP_REVISIONS = """
UPDATE orders SET revision = revision + 1 WHERE account = %s AND order_id = ANY(%s)
RETURNING order_id, status, revision
"""
LEAVE_OUT_MADE_SKUS = """
UPDATE stage_items staged SET sku = '' FROM order_items stored
JOIN unnest(%s::text[], %s::text[]) AS made (item_id, prefix) ON made.item_id = stored.item_id
WHERE stored.account = staged.account AND stored.item_id = staged.item_id
  AND stored.sku <> '' AND NOT starts_with(stored.sku, made.prefix)
"""
LOCK_ORDERS = """
SELECT order_id, status, modified_at, fingerprint, buyer_data_blanked_at IS NOT NULL FROM orders
WHERE account = %s AND order_id = ANY(%s) ORDER BY order_id FOR UPDATE
"""
ITEM_STATUSES = "SELECT order_id, item_id, status FROM order_items WHERE account = %s AND order_id = ANY(%s)"
#: An order that somebody deleted by hand begins again: the events of its former life are in the way of the new ones.
FORGET_EVENTS = "DELETE FROM order_events WHERE account = %s AND order_id = ANY(%s)"
#: Which of these items the order once had and lost to another order: the last event says that it is removed.
LOST_ITEMS = """
SELECT DISTINCT event.order_id, event.item_id FROM order_events event
JOIN unnest(%s::text[], %s::text[]) AS moved (order_id, item_id) USING (order_id, item_id)
WHERE event.account = %s AND event.new_status = 'removed'
"""
#: Orders that list an item which their newest claimant lists no more: they are read anew, whatever their fingerprint.
READ_ANEW = """
UPDATE orders SET fingerprint = ''::bytea FROM record_flaws flaw
WHERE flaw.account = %s AND flaw.kind = 'order' AND flaw.found = ANY(%s)
  AND orders.account = flaw.account AND orders.order_id = flaw.record_id
"""
REMOVE_ITEMS = """
UPDATE order_items stored SET status = %s, marketplace_state = NULL, stored_at = now()
WHERE account = %s AND order_id = ANY(%s) AND status <> %s
  AND NOT EXISTS (SELECT FROM stage_items staged WHERE staged.item_id = stored.item_id)
RETURNING order_id, item_id, status
"""


def _names(columns: Sequence[str]) -> Composed:
    return SQL(", ").join(Identifier(column) for column in columns)


def _kept_where_missing(columns: Sequence[str]) -> Composed:
    """`column = the staged value, or the stored value where the record leaves it out`, for each column."""
    return SQL(", ").join(
        SQL("{0} = coalesce(staged.{0}, stored.{0})").format(Identifier(column)) for column in columns
    )


def _staged_or_stored(columns: Sequence[str]) -> Composed:
    """The values that `_kept_where_missing` writes."""
    return SQL(", ").join(SQL("coalesce(staged.{0}, stored.{0})").format(Identifier(column)) for column in columns)


def _stored(columns: Sequence[str]) -> Composed:
    return SQL(", ").join(SQL("stored.{}").format(Identifier(column)) for column in columns)


_STATUS_KEPT_WHERE_MISSING = SQL(
    "status = CASE WHEN staged.marketplace_state IS NULL AND stored.status <> 'removed' "
    "THEN stored.status ELSE staged.status END"
)
ORDER_VALUES = [c for c in ORDER_COLUMNS if c not in ("account", "order_id", "status", "raw", "fingerprint")]
ITEM_VALUES = [
    c for c in ITEM_COLUMNS if c not in ("account", "item_id", "order_id", "status", "quantity", "sku", "kind")
]
#: A cancelled item may come with the quantity 0: the quantity that was ordered is kept.
QUANTITY = SQL("CASE WHEN staged.quantity = 0 THEN stored.quantity ELSE staged.quantity END")
SKU = SQL("CASE WHEN staged.sku = '' THEN stored.sku ELSE staged.sku END")
#: Goods stay goods: an odd price that is negative for once must not give their lock back.
KIND = SQL("CASE WHEN stored.kind = 'goods' AND staged.kind = 'discount' THEN stored.kind ELSE staged.kind END")

INSERT_ORDERS = SQL(
    "INSERT INTO orders ({columns}) SELECT {columns} FROM stage_orders ORDER BY order_id "
    "ON CONFLICT DO NOTHING RETURNING order_id"
).format(columns=_names(ORDER_COLUMNS))
UPDATE_ORDERS = SQL(
    "UPDATE orders stored SET {values}, {status}, raw = staged.raw, fingerprint = staged.fingerprint, "
    "revision = stored.revision + 1, stored_at = now() FROM stage_orders staged "
    "WHERE stored.account = staged.account AND stored.order_id = staged.order_id AND stored.order_id = ANY(%s) "
    "RETURNING stored.order_id, stored.status, stored.revision"
).format(values=_kept_where_missing(ORDER_VALUES), status=_STATUS_KEPT_WHERE_MISSING)
STATUS_DIFFERS = SQL(
    "(staged.status <> stored.status AND (staged.marketplace_state IS NOT NULL OR stored.status = 'removed'))"
)
_ITEM_DIFFERS = SQL(
    "(({staged}, {quantity}, {sku}, {kind}, staged.order_id) IS DISTINCT FROM "
    "({stored}, stored.quantity, stored.sku, stored.kind, stored.order_id) OR {status_differs})"
).format(
    staged=_staged_or_stored(ITEM_VALUES),
    quantity=QUANTITY,
    sku=SKU,
    kind=KIND,
    stored=_stored(ITEM_VALUES),
    status_differs=STATUS_DIFFERS,
)
UPDATE_ITEMS = SQL(
    "UPDATE order_items stored SET order_id = staged.order_id, {values}, quantity = {quantity}, sku = {sku}, "
    "kind = {kind}, {status}, "
    "stored_at = now() FROM stage_items staged "
    "WHERE stored.account = staged.account AND stored.item_id = staged.item_id AND {differs} "
    "RETURNING stored.order_id, stored.item_id, stored.status"
).format(
    values=_kept_where_missing(ITEM_VALUES),
    quantity=QUANTITY,
    sku=SKU,
    kind=KIND,
    status=_STATUS_KEPT_WHERE_MISSING,
    differs=_ITEM_DIFFERS,
)
INSERT_ITEMS = SQL(
    "INSERT INTO order_items ({columns}) SELECT {columns} FROM stage_items ORDER BY item_id "
    "ON CONFLICT DO NOTHING RETURNING order_id, item_id, status"
).format(columns=_names(ITEM_COLUMNS))

#: Items that changed without an event: their locks may depend on what changed.
RECHECK_STOCK = SQL("INSERT INTO stock_rechecks (account, item_id) SELECT %s, unnest(%s::text[])")

#: The values by which a reread compares orders. The documents' URLs may be signed anew in each answer: the fingerprint
#: leaves such parts out, and so does this comparison, as it does the raw record.
_COMPARED = [c for c in ORDER_VALUES if c not in ("delivery_note_url", "label_url")]
#: A staged order whose buyer's data must not be stored: the columns about the buyer are left out of it.
BLANK_STAGED = SQL("UPDATE stage_orders SET {blank}, raw = %s::json WHERE order_id = %s").format(
    blank=SQL(", ").join(SQL("{} = NULL").format(Identifier(column)) for column in BLANKED_COLUMNS)
)
#: The staged items of such orders.
BLANK_STAGED_ITEMS = SQL("UPDATE stage_items SET {blank} WHERE order_id = ANY(%s)").format(
    blank=SQL(", ").join(SQL("{} = NULL").format(Identifier(column)) for column in DEVICE_COLUMNS)
)
NOTE_BLANKED = "UPDATE orders SET buyer_data_blanked_at = now() WHERE account = %s AND order_id = ANY(%s)"
#: Staged orders whose stored version has the URL of a document: it is left out of them.
KEEP_DOCUMENTS = """
UPDATE stage_orders staged SET
  delivery_note_url = CASE WHEN stored.delivery_note_url IS NULL THEN staged.delivery_note_url END,
  label_url = CASE WHEN stored.label_url IS NULL THEN staged.label_url END
FROM orders stored WHERE stored.account = staged.account AND stored.order_id = staged.order_id
  AND (stored.delivery_note_url IS NOT NULL OR stored.label_url IS NOT NULL)
"""
#: Staged orders that are stored with the same fingerprint and the same values. The parameter names the orders whose
#: records have items: a stored item that such a record does not list must be removed.
EQUAL_ORDERS = SQL(
    "SELECT staged.order_id FROM stage_orders staged JOIN orders stored USING (account, order_id) "
    "WHERE staged.fingerprint = stored.fingerprint AND NOT {status_differs} "
    "AND ({staged}) IS NOT DISTINCT FROM ({stored}) "
    "AND json_typeof(stored.raw) = 'object' "
    "AND (stored.raw::text <> '{{}}' OR stored.buyer_data_blanked_at IS NOT NULL) "
    "AND NOT EXISTS (SELECT FROM stage_items listed WHERE listed.order_id = staged.order_id AND NOT EXISTS ("
    "SELECT FROM stage_items staged JOIN order_items stored USING (account, item_id) "
    "WHERE staged.item_id = listed.item_id AND NOT {item_differs})) "
    "AND NOT EXISTS (SELECT FROM order_items other WHERE staged.order_id = ANY(%s) AND other.account = staged.account "
    "AND other.order_id = staged.order_id AND other.status <> 'removed' "
    "AND NOT EXISTS (SELECT FROM stage_items listed WHERE listed.item_id = other.item_id "
    "AND listed.order_id = other.order_id))"
).format(
    status_differs=STATUS_DIFFERS,
    staged=_staged_or_stored(_COMPARED),
    stored=_stored(_COMPARED),
    item_differs=_ITEM_DIFFERS,
)
