"""The documents of all orders: a row for each document that was not cancelled, and for each one that an order lacks."""

from collections.abc import Mapping
from typing import Any, LiteralString

from orders_sync.documents.listing import kinds_that_need_credential
from orders_sync.marketplaces.kit.accounts import account_names
from orders_sync.model.records import DocumentKind
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE

STATES = {
    "stored": "Its content is stored: `orders-sync documents save` writes it to a file.",
    "url": "Its content is not stored, and its URL can be opened.",
    "expired": "Its content is not stored, and its URL has expired: `orders-sync documents refresh` reads another.",
    "lacking": "The order should have one by now, and has none.",
    "not_due": "The order has none and needs none in its status; or the buyer's data of the order was blanked.",
}
"""What the column `state` says."""


def parameters_of_documents() -> Mapping[str, Any]:
    """The parameters of DOCUMENTS, but for those of the selection: accounts, statuses, since, until (None: any)."""
    links = [
        (account, str(kind))
        for account in account_names()
        for kind in DocumentKind
        if kind not in kinds_that_need_credential(account)
    ]
    return {
        "note_due": [str(status) for status in DELIVERY_NOTE_DUE],
        "label_due": [str(status) for status in LABEL_DUE],
        "link_accounts": [account for account, _ in links],
        "link_kinds": [kind for _, kind in links],
    }


DOCUMENTS: LiteralString = """
SELECT placed.account, placed.order_id, placed.status, placed.created_at, wanted.kind,
  CASE WHEN content.format IS NOT NULL THEN 'stored'
    WHEN document.url IS NOT NULL AND document.expires_at <= now() THEN 'expired'
    WHEN document.url IS NOT NULL THEN 'url'
    WHEN wanted.is_due THEN 'lacking' ELSE 'not_due' END AS state,
  document.document_key, document.carrier, document.read_at, document.expires_at, document.url,
  CASE WHEN document.url IS NOT NULL THEN (placed.account, wanted.kind) NOT IN (
    SELECT * FROM unnest(%(link_accounts)s::text[], %(link_kinds)s::text[])) END AS needs_credential,
  content.format, content.size, fetched.problem
FROM orders placed
CROSS JOIN LATERAL (VALUES
  ('delivery_note', delivery_note_url, marketplace_delivery_note IS NOT FALSE AND buyer_data_blanked_at IS NULL
    AND status = ANY(%(note_due)s::text[])),
  ('label', label_url, marketplace_shipping IS NOT FALSE AND buyer_data_blanked_at IS NULL
    AND status = ANY(%(label_due)s::text[]))
) AS wanted (kind, offered_url, is_due)
LEFT JOIN LATERAL (
  SELECT document_key, url, carrier, read_at, expires_at, own.first_stored_at FROM order_documents own
  WHERE own.account = placed.account AND own.order_id = placed.order_id AND own.kind = wanted.kind
    AND cancelled_at IS NULL
  UNION ALL
  -- The URLs that only the order's own record has.
  SELECT wanted.kind, wanted.offered_url, NULL, placed.stored_at, NULL, placed.first_stored_at
  WHERE wanted.offered_url IS NOT NULL AND NOT EXISTS (
    SELECT FROM order_documents other
    WHERE other.account = placed.account AND other.order_id = placed.order_id AND other.kind = wanted.kind
      AND other.url = wanted.offered_url)
) document ON true
LEFT JOIN document_fetches fetched ON fetched.account = placed.account AND fetched.order_id = placed.order_id
  AND fetched.kind = wanted.kind AND fetched.document_key = document.document_key
LEFT JOIN document_contents content
  ON content.sha256 = fetched.sha256 AND (document.expires_at IS NOT NULL OR fetched.url = document.url)
WHERE (%(accounts)s::text[] IS NULL OR placed.account = ANY(%(accounts)s::text[]))
  AND (%(statuses)s::text[] IS NULL OR placed.status = ANY(%(statuses)s::text[]))
  AND (%(since)s::timestamptz IS NULL OR coalesce(placed.created_at, placed.first_stored_at) >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR coalesce(placed.created_at, placed.first_stored_at) < %(until)s)
ORDER BY placed.account, placed.order_id, wanted.kind, document.first_stored_at, document.document_key
"""
"""By account, order and kind. `read_at`: when the URL was last read at the marketplace; `needs_credential`: whether it
opens with the account's credential only; `format`, `size` (bytes): of the stored content; `problem`: why the last
attempt to fetch it failed."""
