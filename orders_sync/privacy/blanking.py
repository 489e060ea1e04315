"""Blanks the buyers' data of records: of an order, everywhere that it has something of its buyer.

The record keeps the fields that its adapter names (`KeptFields`), nothing else. A new table that holds something of a
buyer by the order's id: add its statement to `OF_ORDERS`, and to `orders_sync/privacy/export.py` what it holds.
"""

import hashlib
from collections.abc import Mapping, Sequence

from psycopg.sql import SQL, Composed, Identifier, Literal

from orders_sync.database.engine import Connection
from orders_sync.database.tables.columns import BLANKED_COLUMNS, DEVICE_COLUMNS
from orders_sync.marketplaces.kit.kept_fields import KeptFields


def blank_orders(connection: Connection, account: str, kept: KeptFields, raw: Mapping[str, str]) -> None:
    """Blanks orders that are stored, or were. `raw`: their records' JSON, by order id; call it with their rows locked.

    Whatever is stored of an order whose row is gone is blanked, too: name it in `raw` with an empty text.
    """
    with connection.cursor() as cursor:
        parts = [(kept.part_of("order", text.encode()).decode(), account, order_id) for order_id, text in raw.items()]
        cursor.executemany(_BLANK_ORDER, parts)
        for statement in OF_ORDERS:
            cursor.execute(statement, {"account": account, "orders": list(raw)})
    blank_rejected(connection, account, kept, "order", list(raw))


def blank_care_records(connection: Connection, account: str, kept: KeptFields, raw: Mapping[str, str]) -> None:
    """Likewise for care records, by their ids: what buyers write is in their JSON alone."""
    parts = [(kept.part_of("care", text.encode()).decode(), account, care_id) for care_id, text in raw.items()]
    with connection.cursor() as cursor:
        cursor.executemany(_BLANK_CARE, parts)
    blank_rejected(connection, account, kept, "care", list(raw))


def blank_rejected(connection: Connection, account: str, kept: KeptFields, kind: str, keys: Sequence[str]) -> int:
    """Blanks what is kept of rejected records and of those that were put off; returns how many had something to blank.

    A record is none of them if its rejection has ended: then its last rejected version is blanked.
    """
    count = 0
    for key, raw in connection.execute(_REJECTED, [account, kind, list(keys)]).fetchall():
        part = kept.part_of(kind, bytes(raw))
        if part != bytes(raw):
            connection.execute(_BLANK_REJECTED, [part, account, kind, key])
            count += 1
    return count


def blanked_key(key: str) -> str:
    """What stands for a document's key that is its tracking number or URL; equal keys stay equal."""
    return f"blanked-{hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()}"  # as PostgreSQL's md5()


def _emptied(columns: Sequence[str]) -> Composed:
    return SQL(", ").join(SQL("{} = NULL").format(Identifier(column)) for column in columns)


_BLANK_ORDER = SQL(
    "UPDATE orders SET {blank}, raw = %s::json, buyer_data_blanked_at = now() WHERE account = %s AND order_id = %s"
).format(blank=_emptied(BLANKED_COLUMNS))
_BLANK_CARE = (
    "UPDATE care_records SET raw = %s::jsonb, buyer_data_blanked_at = now() WHERE account = %s AND care_id = %s"
)
_NAMES = SQL("ARRAY[{}]").format(SQL(", ").join(map(Literal, BLANKED_COLUMNS)))
OF_ORDERS: Sequence[Composed | SQL] = (
    SQL("UPDATE order_items SET {blank} WHERE account = %(account)s AND order_id = ANY(%(orders)s) AND ({has})").format(
        blank=_emptied(DEVICE_COLUMNS),
        has=SQL(" OR ").join(SQL("{} IS NOT NULL").format(Identifier(column)) for column in DEVICE_COLUMNS),
    ),
    # A document may be known by its URL alone. That there is one stays: what was shipped with it is not in stock.
    SQL("""
UPDATE order_documents SET url = NULL, tracking_number = NULL,
  document_key = CASE WHEN document_key IN (url, tracking_number) THEN 'blanked-' || md5(document_key)
                 ELSE document_key END
WHERE account = %(account)s AND order_id = ANY(%(orders)s) AND (url IS NOT NULL OR tracking_number IS NOT NULL)
"""),
    SQL("""
UPDATE order_changes SET fields = fields || (
  SELECT jsonb_object_agg(name, '[]'::jsonb) FROM jsonb_object_keys(fields) AS name WHERE name = ANY({names}))
WHERE account = %(account)s AND order_id = ANY(%(orders)s) AND fields ?| {names}
""").format(names=_NAMES),
    SQL("""
UPDATE order_events SET previous = previous - {names}
WHERE account = %(account)s AND order_id = ANY(%(orders)s) AND previous ?| {names}
""").format(names=_NAMES),
    SQL("""
UPDATE acceptances SET answer = NULL
WHERE account = %(account)s AND order_id = ANY(%(orders)s) AND answer IS NOT NULL
"""),
    SQL("""
UPDATE order_events SET details = details - 'mark'
WHERE account = %(account)s AND order_id = ANY(%(orders)s) AND details ? 'mark'
"""),
    SQL("""
UPDATE event_deliveries delivery SET problem = NULL FROM order_events event, subscriptions known
WHERE event.account = %(account)s AND event.order_id = ANY(%(orders)s) AND known.subscription = delivery.subscription
  AND delivery.event_id = event.event_id AND delivery.problem IS NOT NULL
"""),
    SQL("""
UPDATE migration_differences SET v1 = NULL, v2 = NULL
WHERE account = %(account)s AND order_id = ANY(%(orders)s) AND field IN ('delivery_note_url', 'label_url')
"""),
)
"""What else is stored of orders that may lead to their buyers; `account` and `orders` are the parameters."""
_REJECTED = """
SELECT record_id, raw FROM rejected_records WHERE account = %s AND kind = %s AND record_id = ANY(%s)
ORDER BY record_id FOR UPDATE
"""
_BLANK_REJECTED = "UPDATE rejected_records SET raw = %s WHERE account = %s AND kind = %s AND record_id = %s"
