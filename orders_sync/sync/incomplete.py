"""`incomplete`: orders that lack a paper they should have by now; fills in what has appeared, and nothing else.

It writes only the two URLs: no status, no event. A status that it saw in passing and stored would be a change that
no event tells.
"""

from datetime import UTC, datetime, timedelta

from orders_sync.marketplaces.base import Lacking, Refused
from orders_sync.sync import lanes
from orders_sync.sync.context import Pass
from orders_sync.sync.statuses import DELIVERY_NOTE_DUE, LABEL_DUE

_LACKING = """
SELECT order_id, note, label FROM (
  SELECT order_id, created_at,
    delivery_note_url IS NULL AND marketplace_delivery_note IS NOT FALSE AND status = ANY(%(note_due)s) AS note,
    label_url IS NULL AND marketplace_shipping IS NOT FALSE AND status = ANY(%(label_due)s) AS label
  FROM orders WHERE account = %(account)s AND created_at >= %(since)s
    AND (delivery_note_url IS NULL OR label_url IS NULL)
) lacking
WHERE note OR label ORDER BY created_at, order_id
"""
_FILL_IN = """
UPDATE orders SET delivery_note_url = coalesce(%s, delivery_note_url), label_url = coalesce(%s, label_url)
WHERE account = %s AND order_id = %s
"""


def sync(work: Pass) -> None:
    """One pass over the orders of the last days that lack papers."""
    settings = work.request.account.settings
    days = work.request.days_back or settings.days_back
    now = work.adapter.now()
    since = now - timedelta(days=days)
    work.summary.range_start, work.summary.range_end = since, now
    lacking = work.connection.execute(
        _LACKING,
        {
            "account": work.lane.account,
            "since": since,
            "note_due": [str(status) for status in DELIVERY_NOTE_DUE],
            "label_due": [str(status) for status in LABEL_DUE],
        },
    ).fetchall()
    for order_id, papers in work.adapter.papers([Lacking(*row) for row in lacking]):
        work.summary.fetched += 1
        if isinstance(papers, Refused):
            work.summary.problems.append(f"order {order_id}: {papers}")
            continue
        found = (papers.delivery_note_url is not None) + (papers.label_url is not None)
        if found:
            work.connection.execute(_FILL_IN, [papers.delivery_note_url, papers.label_url, work.lane.account, order_id])
            work.summary.papers_found += found
            work.summary.changed += 1
        else:
            work.summary.unchanged += 1
        work.note_progress()
    # The marketplace's clock is known once it has answered; where nothing was asked, ours has to do.
    began = work.adapter.now() - (datetime.now(UTC) - work.began)
    work.summary.range_end = work.summary.watermark = began
    with work.connection.transaction():
        lanes.advance_watermark(work.connection, work.lane, began)
