"""The documents of orders, and which of them an order offers: `orders.delivery_note_url` and `orders.label_url`.

An order may have several labels, one for each parcel, and a label that was cancelled or has expired. All are kept in
`order_documents`; the two columns show the one to use: never a cancelled one, one that still works before one that has
expired, and else the one that was stored first.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import msgspec
from psycopg.sql import SQL, Identifier

from orders_sync.database.engine import Connection
from orders_sync.model.records import Document, DocumentKind, Flaw, Order, RecordRejectedError
from orders_sync.privacy.blanking import blanked_key
from orders_sync.privacy.erased import blanked_records
from orders_sync.sync.record_types import check_types, plain
from orders_sync.sync.rules import wrong_url
from orders_sync.sync.validate import mend_document

_STORE = """
INSERT INTO order_documents AS stored (
  account, order_id, kind, document_key, url, carrier, tracking_number, item_ids, expires_at, cancelled_at, shipped_at
)
SELECT
  %s, order_id, kind, key, url, nullif(carrier, ''), nullif(tracking_number, ''), item_ids, expires_at, cancelled_at,
  shipped_at
FROM jsonb_to_recordset(%s::jsonb) AS found (
  order_id text, kind text, key text, url text, carrier text, tracking_number text, item_ids jsonb,
  expires_at timestamptz, cancelled_at timestamptz, shipped_at timestamptz
)
ORDER BY order_id, kind, key
ON CONFLICT (account, order_id, kind, document_key) DO UPDATE SET
  url = coalesce(excluded.url, stored.url),
  carrier = coalesce(excluded.carrier, stored.carrier),
  tracking_number = coalesce(excluded.tracking_number, stored.tracking_number),
  item_ids = CASE WHEN excluded.item_ids = '[]' THEN stored.item_ids ELSE excluded.item_ids END,
  expires_at = excluded.expires_at, cancelled_at = excluded.cancelled_at,
  shipped_at = excluded.shipped_at, read_at = now()
"""
#: Documents that a complete list no longer has, although it has others of their kind: they were replaced.
_CANCEL_REPLACED = """
WITH listed AS (
  SELECT order_id, kind, key, cancelled_at FROM jsonb_to_recordset(%(listed)s::jsonb)
    AS found (order_id text, kind text, key text, cancelled_at timestamptz)
)
UPDATE order_documents stored SET cancelled_at = now()
WHERE account = %(account)s AND cancelled_at IS NULL
  AND (order_id, kind) IN (SELECT order_id, kind FROM listed WHERE cancelled_at IS NULL)
  AND (order_id, kind, document_key) NOT IN (SELECT order_id, kind, key FROM listed)
"""
_OFFER = SQL("""
UPDATE orders SET {column} = offered.url
FROM (
  SELECT DISTINCT ON (order_id) order_id, CASE WHEN cancelled_at IS NULL THEN url END AS url
  FROM order_documents
  WHERE account = %(account)s AND kind = %(kind)s AND order_id = ANY(%(orders)s)
    AND (url IS NOT NULL OR cancelled_at IS NOT NULL)
  ORDER BY order_id, cancelled_at IS NOT NULL, coalesce(expires_at <= now(), FALSE), first_stored_at, document_key
) offered
WHERE orders.account = %(account)s AND orders.order_id = offered.order_id
  AND orders.{column} IS DISTINCT FROM offered.url
""")
_OFFERS = {
    kind: _OFFER.format(column=Identifier(column))
    for kind, column in ((DocumentKind.DELIVERY_NOTE, "delivery_note_url"), (DocumentKind.LABEL, "label_url"))
}
"""The statements that let orders offer their documents, by kind."""


#: What is held because of a label is looked at again once the labels of its order change.
#: So is what was released before a label was stored.
_RECHECK_HELD = """
INSERT INTO stock_rechecks (account, item_id)
SELECT DISTINCT account, item_id FROM order_items JOIN stock_locks lock USING (account, item_id)
WHERE account = %s AND order_items.order_id = ANY(%s) AND (lock.held > 0 OR lock.state = 'released' AND EXISTS (
  SELECT FROM order_documents label
  WHERE label.account = order_items.account AND label.order_id = order_items.order_id AND label.kind = 'label'
    AND label.cancelled_at IS NULL AND label.first_stored_at > lock.since))
"""
_FORGET_FLAWS = """
DELETE FROM record_flaws WHERE account = %s AND kind = 'order' AND record_id = ANY(%s) AND field LIKE 'documents.%%'
"""


_UNREADABLE = Flaw("documents.record", "has a document with values of other types", "the others")


def store_listed(connection: Connection, account: str, orders: Sequence[Order]) -> list[tuple[str, Flaw]]:
    """Stores the documents that the records of stored orders list. Returns flaws, each with its order's id."""
    found = {order.order_id: order.documents for order in orders if order.documents}
    return store_documents(connection, account, found) if found else []


def is_usable(document: Document) -> bool:
    """Whether an order can offer a document."""
    readable = _as_declared(document)
    return (
        readable is not None
        and bool(readable.url)
        and wrong_url(readable.url) is None
        and readable.cancelled_at is None
    )


def _as_declared(document: object) -> Document | None:
    """A document as its adapter made it, with values of the declared types; None if one of them can't be converted.

    A list is as good as a tuple, and `"label"` as the kind that it names: no label is lost because of them.
    """
    try:
        check_types(document, Document)
    except RecordRejectedError:
        try:
            return msgspec.convert(msgspec.to_builtins(document, enc_hook=plain), Document, strict=False)
        except (msgspec.ValidationError, TypeError):
            return None
    return cast(Document, document)


def store_documents(
    connection: Connection, account: str, found: Mapping[str, Sequence[Document]], *, are_whole: bool = True
) -> list[tuple[str, Flaw]]:
    """Stores documents by order id, and lets the orders offer the right ones. Call it in a transaction.

    Of each kind, `found` has all documents that the marketplace lists for the order, or none; unless `are_whole` is
    false: then others that are stored stay as they are. Of an order whose buyer's data is blanked, URL and
    tracking number of a document are not stored. A document whose URL can't be used is stored without it.
    Returns the flaws, each with its order's id; earlier flaws of the documents of these orders are gone.
    """
    flaws: list[tuple[str, Flaw]] = []
    rows: dict[tuple[str, DocumentKind, str], dict[str, Any]] = {}
    blanked = blanked_records(connection, account, "order", found)
    for order_id, documents in found.items():
        for document in documents:
            readable = _as_declared(document)
            if readable is None:
                flaws.append((order_id, _UNREADABLE))
                continue
            mended, wrong = mend_document(readable)
            flaws += ((order_id, flaw) for flaw in wrong)
            if order_id in blanked:
                mended = _without_buyer(mended)
            if mended.key:
                row = msgspec.to_builtins(mended, enc_hook=plain)
                rows[order_id, mended.kind, mended.key] = {"order_id": order_id, **row}
    if found:
        connection.execute(_FORGET_FLAWS, [account, list(found)])
    if rows:
        listed = msgspec.json.encode(list(rows.values())).decode()
        connection.execute(_STORE, [account, listed])
        if are_whole:
            connection.execute(_CANCEL_REPLACED, {"account": account, "listed": listed})
        recheck_labelled(connection, account, {order_id for order_id, kind, _ in rows if kind is DocumentKind.LABEL})
        for kind, statement in _OFFERS.items():
            of_kind = sorted({order_id for order_id, its_kind, _ in rows if its_kind is kind})
            if of_kind:
                connection.execute(statement, {"account": account, "kind": kind, "orders": of_kind})
    return flaws


def _without_buyer(document: Document) -> Document:
    """What is stored of a document of an order whose buyer's data is blanked: that there is one, for which items."""
    key = blanked_key(document.key) if document.key in (document.url, document.tracking_number) else document.key
    return msgspec.structs.replace(document, key=key, url=None, tracking_number=None)


def recheck_labelled(connection: Connection, account: str, order_ids: Collection[str]) -> None:
    """Lets the stock job look at what is held of these orders, of which labels were stored or cancelled."""
    if order_ids:
        connection.execute(_RECHECK_HELD, [account, sorted(order_ids)])
