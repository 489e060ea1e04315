"""`incomplete`: fetches the documents that orders should have by now and that are missing, and stores what it finds.

It writes only the two URLs of documents, no status and no event: a status stored here would be a change without an
event. `modified` stores the status, with its event.
"""

from datetime import UTC, datetime, timedelta

from orders_sync.database.rows import rows_as
from orders_sync.lanes.watermark import advance_watermark
from orders_sync.marketplaces.kit.adapter import Documents, MissingDocuments
from orders_sync.marketplaces.kit.errors import RequestRefusedError
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE
from orders_sync.sync.running_pass import RunningPass

_MISSING = """
SELECT order_id, note AS delivery_note, label FROM (
  SELECT order_id, created_at,
    delivery_note_url IS NULL AND marketplace_delivery_note IS NOT FALSE AND status = ANY(%(note_due)s) AS note,
    label_url IS NULL AND marketplace_shipping IS NOT FALSE AND status = ANY(%(label_due)s) AS label
  FROM orders WHERE account = %(account)s AND created_at >= %(since)s
    AND (delivery_note_url IS NULL OR label_url IS NULL)
) missing
WHERE note OR label ORDER BY created_at, order_id
"""
_FILL_IN = """
UPDATE orders SET delivery_note_url = coalesce(%s, delivery_note_url), label_url = coalesce(%s, label_url)
WHERE account = %s AND order_id = %s
"""


def sync(pass_: RunningPass) -> None:
    """Runs one pass over the orders of the last `days_back` days. Raises MarketplaceError if it could not be complete.

    An order that the marketplace refuses to answer for is a problem in the summary, and stops no other.
    """
    days = pass_.request.days_back or pass_.request.account.settings.days_back
    now = pass_.adapter.now()
    since = now - timedelta(days=days)
    pass_.add(PassSummary(range_start=since, range_end=now))
    for order_id, documents in pass_.adapter.documents(_missing_documents(pass_, since)):
        if isinstance(documents, RequestRefusedError):
            pass_.add(PassSummary(fetched=1, problems=[f"order {order_id}: {documents}"]))
            continue
        pass_.add(_fill_in(pass_, order_id, documents))
        pass_.note_progress()
    # The adapter has the marketplace's clock once it has an answer; without a request, it has only ours.
    began = pass_.adapter.now() - (datetime.now(UTC) - pass_.began)
    with pass_.connection.transaction():
        reached = advance_watermark(pass_.connection, pass_.lane, began)
    pass_.add(PassSummary(range_end=began, watermark=reached))


def _fill_in(pass_: RunningPass, order_id: str, documents: Documents) -> PassSummary:
    """Stores the documents of an order that were found."""
    found = (documents.delivery_note_url is not None) + (documents.label_url is not None)
    if not found:
        return PassSummary(fetched=1, unchanged=1)
    pass_.connection.execute(_FILL_IN, [documents.delivery_note_url, documents.label_url, pass_.lane.account, order_id])
    return PassSummary(fetched=1, changed=1, documents_found=found)


def _missing_documents(pass_: RunningPass, since: datetime) -> list[MissingDocuments]:
    """The orders created at or after `since` that should have a document by now which is not stored, oldest first."""
    return rows_as(
        pass_.connection,
        MissingDocuments,
        _MISSING,
        {
            "account": pass_.lane.account,
            "since": since,
            "note_due": [str(status) for status in DELIVERY_NOTE_DUE],
            "label_due": [str(status) for status in LABEL_DUE],
        },
    )
