"""What is stored about a buyer, as JSON: the right of access (GDPR, article 15)."""

from datetime import UTC, datetime
from typing import Any, LiteralString

from orders_sync.database.engine import Connection
from orders_sync.privacy.buyers import BuyerRecords

Exported = dict[str, Any]


def exported(connection: Connection, records: BuyerRecords) -> Exported:
    """Everything that the tables have of these records, but for what is the same of every buyer, e.g. hashes.

    Of the documents come format, size and URL, not the contents: `orders-sync documents save` writes these.
    """
    return {
        "exported_at": datetime.now(UTC).isoformat(),
        "orders": [_order(connection, account, order_id) for account, order_id in records.orders],
        "care_records": [_one(connection, _CARE, [account, care_id]) for account, care_id in records.care],
        "rejected_records": [_rejected(connection, *key) for key in records.rejected],
    }


def _order(connection: Connection, account: str, order_id: str) -> Exported:
    order = _one(connection, _ORDER, [account, order_id])
    return order | {
        name: [row for (row,) in connection.execute(query, [account, order_id])] for name, query in OF_ORDER.items()
    }


def _one(connection: Connection, query: LiteralString, key: list[str]) -> Exported:
    row = connection.execute(query, key).fetchone()
    return {} if row is None else {name: value for name, value in row[0].items() if name != "fingerprint"}


def _rejected(connection: Connection, account: str, kind: str, key: str) -> Exported:
    row = connection.execute(_REJECTED, [account, kind, key]).fetchone()
    return {} if row is None else {**row[0], "raw": bytes(row[1]).decode(errors="replace")}


_ORDER: LiteralString = """
SELECT to_json(stored) FROM orders stored WHERE account = %s AND order_id = %s
"""
OF_ORDER: dict[str, LiteralString] = {
    "items": "SELECT to_jsonb(stored) FROM order_items stored WHERE account = %s AND order_id = %s ORDER BY item_id",
    "documents": """
SELECT to_jsonb(stored) || jsonb_build_object('format', format, 'bytes', size, 'fetched_at', fetched_at)
FROM order_documents stored
LEFT JOIN document_fetches USING (account, order_id, kind, document_key)
LEFT JOIN document_contents USING (sha256)
WHERE account = %s AND order_id = %s ORDER BY kind, document_key
""",
    "changes": """
SELECT to_jsonb(stored) FROM order_changes stored WHERE account = %s AND order_id = %s ORDER BY revision
""",
    "events": "SELECT to_jsonb(stored) FROM order_events stored WHERE account = %s AND order_id = %s ORDER BY event_id",
    "deliveries": """
SELECT to_jsonb(delivery) || jsonb_build_object('may_have_buyer_data', account = ANY (buyer_accounts))
FROM order_events event JOIN subscriptions known ON true
JOIN event_deliveries delivery USING (subscription, event_id, account, order_id)
WHERE account = %s AND order_id = %s ORDER BY event_id, subscription
""",
    "acceptances": """
SELECT to_jsonb(stored) FROM acceptances stored WHERE account = %s AND order_id = %s ORDER BY acceptance_id
""",
    "differences": """
SELECT to_jsonb(stored) FROM migration_differences stored WHERE account = %s AND order_id = %s ORDER BY difference_id
""",
    "flaws": """
SELECT to_jsonb(stored) FROM record_flaws stored
WHERE account = %s AND kind = 'order' AND record_id = %s ORDER BY field
""",
}
"""What else the tables have of an order, by its name in the export; the parameters are account and order id."""
_CARE: LiteralString = """
SELECT to_jsonb(stored) || jsonb_build_object('items', coalesce((
  SELECT jsonb_agg(to_jsonb(about) ORDER BY item_id) FROM care_record_items about
  WHERE about.account = stored.account AND about.care_id = stored.care_id), '[]'))
FROM care_records stored WHERE account = %s AND care_id = %s
"""
_REJECTED: LiteralString = """
SELECT to_jsonb(stored) - ARRAY['raw', 'fingerprint'], raw FROM rejected_records stored
WHERE account = %s AND kind = %s AND record_id = %s
"""
