"""The documents of orders as a person sees them: what there is, what is stored of it, and what its file is called."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.documents.store import StoredDocument
from orders_sync.lanes.history import accounts_with_lanes
from orders_sync.marketplaces.kit.accounts import account_names, load_accounts
from orders_sync.marketplaces.kit.errors import BadAnswerError
from orders_sync.marketplaces.kit.other_hosts import url_of_document
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.records import DocumentKind

MAX_NAME_LENGTH = 120
"""Characters of an order's id in the name of a file."""


class ListedDocument(NamedTuple):
    """A document of an order, cancelled and expired ones too."""

    order_id: str
    kind: str
    document_key: str
    carrier: str | None
    tracking_number: str | None
    read_at: datetime
    expires_at: datetime | None
    cancelled_at: datetime | None
    url: str | None
    is_offered: bool
    """Whether it is the one of its kind to use: `orders.label_url` or `delivery_note_url` names it."""
    format: str | None
    """The format of its stored content; None: none is stored."""
    size: int | None
    """Of the content, in bytes."""
    problem: str | None
    """Why the last attempt to fetch it failed."""

    @property
    def stored(self) -> str | None:
        """What is stored of it, in words; why nothing is, if that is known."""
        if self.format is None or self.size is None:
            return self.problem
        return f"{self.format.upper()}, {-(-self.size // 1024)} kB"

    @property
    def link(self) -> str | None:
        """Its URL, if a person may follow it: one that the fetch refuses, e.g. since it names a user, is no link."""
        if self.url is None:
            return None
        try:
            url_of_document(self.url)
        except BadAnswerError:
            return None
        return self.url


def listed_documents(connection: Connection, account: str, order_ids: Sequence[str]) -> list[ListedDocument]:
    """All documents of orders, by order and kind."""
    return rows_as(connection, ListedDocument, _LISTED, {"account": account, "orders": list(order_ids)})


def kinds_that_need_credential(account: str) -> frozenset[str]:
    """The kinds of documents whose URLs are no links for people, as far as the account's adapter knows it.

    All kinds, while the account's file has an error or is gone: nothing says then which marketplace it is.
    """
    usable, _ = load_accounts()
    if account not in usable:
        return frozenset(map(str, DocumentKind))
    access = find_marketplace(usable[account].settings.marketplace).document_access
    return frozenset(str(kind) for kind, needed in access.items() if needed.needs_credential)


def accounts_with_order(connection: Connection, order_id: str) -> list[str]:
    """The accounts that have an order of this id."""
    rows = connection.execute(_ACCOUNTS, [sorted({*account_names(), *accounts_with_lanes(connection)}), order_id])
    return [account for (account,) in rows]


def named_files(found: Iterable[StoredDocument]) -> list[tuple[str, StoredDocument]]:
    """The stored ones of some documents, each with its file's name: order, kind, and a number in its kind."""
    named: list[tuple[str, StoredDocument]] = []
    counts: dict[tuple[str, str], int] = {}
    for document in found:
        key = document.order_id, str(document.kind)
        counts[key] = counts.get(key, 0) + 1
        if document.content is not None:
            name = f"{file_name(document.order_id)}-{document.kind}-{counts[key]}.{document.format}"
            named.append((name, document))
    return named


def file_name(order_id: str) -> str:
    """An order's id as a part of a file's name, whatever characters it has."""
    return quote(order_id, safe="")[:MAX_NAME_LENGTH]


# By the accounts, since no index begins with the order's id.
_ACCOUNTS = """
SELECT account FROM unnest(%s::text[]) account
WHERE EXISTS (SELECT FROM orders WHERE orders.account = account.account AND order_id = %s) ORDER BY account
"""
_LISTED = """
SELECT document.order_id, kind, document_key, document.carrier, document.tracking_number, read_at, expires_at,
  cancelled_at, document.url,
  coalesce(document.url = CASE kind WHEN 'label' THEN label_url ELSE delivery_note_url END, false) AS is_offered,
  format, size, problem
FROM orders JOIN (
  SELECT account, order_id, kind, document_key, url, carrier, tracking_number, read_at, expires_at, cancelled_at,
    first_stored_at
  FROM order_documents WHERE account = %(account)s AND order_id = ANY(%(orders)s)
  UNION ALL
  -- The URLs that only the order's own record has.
  SELECT account, order_id, offered.kind, offered.kind, offered.url, NULL, NULL, stored_at, NULL, NULL, first_stored_at
  FROM orders CROSS JOIN LATERAL (VALUES ('delivery_note', delivery_note_url), ('label', label_url)) offered (kind, url)
  WHERE orders.account = %(account)s AND orders.order_id = ANY(%(orders)s)
    AND offered.url IS NOT NULL AND NOT EXISTS (
    SELECT FROM order_documents other
    WHERE other.account = orders.account AND other.order_id = orders.order_id AND other.kind = offered.kind
      AND other.url = offered.url
  )
) document USING (account, order_id)
LEFT JOIN document_fetches fetched USING (account, order_id, kind, document_key)
LEFT JOIN document_contents content
  ON content.sha256 = fetched.sha256 AND (document.expires_at IS NOT NULL OR fetched.url = document.url)
ORDER BY order_id, kind, document.first_stored_at, document_key
"""
