"""The content of documents in the orders database: what is to be fetched, what was, and what is erased."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, LiteralString, NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.documents.formats import DocumentFormat
from orders_sync.model.records import DocumentKind
from orders_sync.model.shown_ids import shown_id
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE, Status

FETCH_BACK = timedelta(days=93)
"""The documents of orders that are older than this are not fetched any more, shipped or not."""

_CANDIDATES = """
WITH candidates AS (
  SELECT order_id, created_at FROM orders
  WHERE account = %(account)s AND created_at >= %(kept_since)s::timestamptz AND (
    order_id = ANY(%(order_ids)s)
    OR (%(order_ids)s::text[] IS NULL AND created_at >= %(open_since)s AND status = ANY(%(open)s))
    OR (%(order_ids)s::text[] IS NULL AND created_at >= %(since)s AND status = %(shipped)s)
  )
)
"""
#: URLs that orders have from their own records become documents: their key is that of the only one of their kind.
_ADD_OFFERED = (
    _CANDIDATES
    + """
INSERT INTO order_documents AS stored (account, order_id, kind, document_key, url)
SELECT account, order_id, offered.kind, offered.kind, offered.url
FROM candidates JOIN orders USING (order_id)
CROSS JOIN LATERAL (VALUES ('delivery_note', delivery_note_url), ('label', label_url)) AS offered (kind, url)
WHERE account = %(account)s AND offered.url IS NOT NULL
  AND NOT EXISTS (
    SELECT FROM order_documents other
    WHERE other.account = orders.account AND other.order_id = orders.order_id AND other.kind = offered.kind
      AND other.url = offered.url
  )
ON CONFLICT (account, order_id, kind, document_key) DO UPDATE
  SET url = excluded.url, expires_at = NULL, cancelled_at = NULL, read_at = now()
RETURNING order_id, kind
"""
)
#: A document whose URL expires has another URL each time it is read: such a one is fetched once.
_DUE = (
    _CANDIDATES
    + """
SELECT order_id, kind, document_key, order_documents.url
FROM candidates JOIN order_documents USING (order_id)
LEFT JOIN document_fetches USING (account, order_id, kind, document_key)
WHERE account = %(account)s AND cancelled_at IS NULL AND order_documents.url IS NOT NULL
  AND (expires_at IS NULL OR expires_at > %(now)s)
  AND (document_fetches.sha256 IS NULL OR (expires_at IS NULL AND document_fetches.url <> order_documents.url))
ORDER BY coalesce(attempts, 0), created_at, order_id, kind, document_key
"""
)
#: Locked, so that its buyer's data is not erased between the two.
_HAS_BUYER = """
SELECT FROM orders WHERE account = %(account)s AND order_id = %(order_id)s AND buyer_data_blanked_at IS NULL FOR SHARE
"""
_STORE_CONTENT = """
INSERT INTO document_contents (sha256, format, size, content) VALUES (%(sha256)s, %(format)s, %(size)s, %(content)b)
ON CONFLICT (sha256) DO NOTHING
"""
_STORE_FETCH = """
INSERT INTO document_fetches (account, order_id, kind, document_key, sha256, url, fetched_at)
VALUES (%(account)s, %(order_id)s, %(kind)s, %(document_key)s, %(sha256)s, %(url)s, now())
ON CONFLICT (account, order_id, kind, document_key) DO UPDATE
  SET sha256 = excluded.sha256, url = excluded.url, fetched_at = now(), attempts = 0, failed_at = NULL, problem = NULL
"""
_STORE_FAILURE = """
INSERT INTO document_fetches AS stored (account, order_id, kind, document_key, attempts, failed_at, problem)
VALUES (%(account)s, %(order_id)s, %(kind)s, %(document_key)s, 1, now(), %(problem)s)
ON CONFLICT (account, order_id, kind, document_key) DO UPDATE
  SET attempts = stored.attempts + 1, failed_at = now(), problem = excluded.problem
"""
_OF_ORDER = """
SELECT account, order_id, kind, document_key, format, content, problem
FROM order_documents
LEFT JOIN document_fetches USING (account, order_id, kind, document_key)
LEFT JOIN document_contents
  ON document_contents.sha256 = document_fetches.sha256
  AND (expires_at IS NOT NULL OR document_fetches.url = order_documents.url)
WHERE account = %s AND order_id = %s AND cancelled_at IS NULL
ORDER BY kind, order_documents.first_stored_at, document_key
"""
_ERASE: LiteralString = """
DELETE FROM document_fetches USING orders
WHERE document_fetches.account = %(account)s AND orders.account = %(account)s
  AND orders.order_id = document_fetches.order_id
  AND orders.created_at < coalesce(%(now)s, now()) - make_interval(days => %(days)s)
"""
_ERASE_OF_ORDERS = "DELETE FROM document_fetches WHERE account = %(account)s AND order_id = ANY(%(orders)s)"
_ERASE_UNUSED = """
DELETE FROM document_contents
WHERE NOT EXISTS (SELECT FROM document_fetches WHERE document_fetches.sha256 = document_contents.sha256)
"""


class Choice(NamedTuple):
    """The orders whose documents are to be fetched."""

    now: datetime
    """By the marketplace's clock."""
    since: datetime
    """The documents of shipped orders are fetched if these were created at or after this moment."""
    retention_days: int | None
    """The documents of older orders are not fetched: the retention would erase them."""
    order_ids: Sequence[str] | None = None
    """Only these orders, whatever their status; None: those that are open, and those shipped since `since`."""

    def parameters(self, account: str) -> dict[str, Any]:
        days = self.retention_days
        return {
            "account": account,
            "now": self.now,
            "since": self.since,
            "open_since": self.now - FETCH_BACK,
            "kept_since": "-infinity" if days is None else self.now - timedelta(days=days),
            "order_ids": None if self.order_ids is None else list(self.order_ids),
            "open": sorted({str(status) for status in (*DELIVERY_NOTE_DUE, *LABEL_DUE)}),
            "shipped": str(Status.SHIPPED),
        }


class DueDocument(NamedTuple):
    """A document that is to be fetched."""

    order_id: str
    kind: str
    document_key: str
    url: str

    def __str__(self) -> str:
        return f"order {shown_id(self.order_id)}: {self.kind.replace('_', ' ')} {shown_id(self.document_key)}"


class StoredDocument(NamedTuple):
    """A document of an order that is not cancelled, with its content if that is stored."""

    account: str
    order_id: str
    kind: DocumentKind
    document_key: str
    format: DocumentFormat | None
    content: bytes | None
    """None if it was not fetched, or from a URL that the document no longer has: it may have been replaced."""
    problem: str | None
    """Why the last attempt to fetch it failed; None if it did not."""


def add_offered_documents(connection: Connection, account: str, choice: Choice) -> set[str]:
    """Adds the URLs that only the records of orders have to `order_documents`; returns the orders of added labels.

    Call it in a transaction with what follows from the labels.
    """
    added = connection.execute(_ADD_OFFERED, choice.parameters(account)).fetchall()
    return {order_id for order_id, kind in added if kind == DocumentKind.LABEL}


def due_documents(connection: Connection, account: str, choice: Choice) -> list[DueDocument]:
    """The documents to be fetched, those that failed least often first."""
    return rows_as(connection, DueDocument, _DUE, choice.parameters(account))  # pyright: ignore[reportArgumentType]


def store_content(
    connection: Connection, account: str, document: DueDocument, content: bytes, format_: DocumentFormat
) -> None:
    """Stores the content of a document, in a transaction of its own.

    Does nothing if the buyer's data of its order was blanked while the document was fetched.
    """
    values = {
        "account": account, **document._asdict(), "sha256": sha256(content).digest(), "format": str(format_),
        "size": len(content), "content": content,
    }  # fmt: skip
    with connection.transaction():
        if connection.execute(_HAS_BUYER, values).rowcount:
            connection.execute(_STORE_CONTENT, values)
            connection.execute(_STORE_FETCH, values)


def store_failure(connection: Connection, account: str, document: DueDocument, problem: str) -> None:
    """Stores why a document could not be fetched; a content that was fetched earlier stays."""
    connection.execute(_STORE_FAILURE, {"account": account, **document._asdict(), "problem": problem})


def stored_documents(connection: Connection, account: str, order_id: str) -> list[StoredDocument]:
    """The documents of an order that are not cancelled, delivery notes first, each with its content if it is stored."""
    return [
        StoredDocument(
            account, order_id, DocumentKind(kind), key, None if format_ is None else DocumentFormat(format_),
            None if content is None else bytes(content), problem,
        )
        for account, order_id, kind, key, format_, content, problem in connection.execute(
            _OF_ORDER, [account, order_id]
        )
    ]  # fmt: skip


def erase_documents(connection: Connection, account: str, days: int, now: datetime | None) -> int:
    """Erases the documents of orders that are older than `days` at `now`; returns how many there were.

    A content that another document has too stays. `now`: by our clock; the database's present if None.
    """
    return _erase(connection, _ERASE, {"account": account, "days": days, "now": now})


def erase_documents_of(connection: Connection, account: str, order_ids: Sequence[str]) -> int:
    """Erases the documents of these orders, likewise."""
    return _erase(connection, _ERASE_OF_ORDERS, {"account": account, "orders": list(order_ids)})


def _erase(connection: Connection, statement: LiteralString, parameters: dict[str, Any]) -> int:
    with connection.transaction():
        # No content can be stored in the meantime that the last statement would not see.
        connection.execute("LOCK TABLE document_contents IN SHARE ROW EXCLUSIVE MODE")
        erased = connection.execute(statement, parameters).rowcount
        connection.execute(_ERASE_UNUSED)
    return erased
