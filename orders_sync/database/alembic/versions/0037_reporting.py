"""Views for analysts: the schema reporting, without buyers' data"""

from typing import NamedTuple

from alembic import op

revision = "0037"
down_revision = "0036"
works_with = "0027"

_ACCOUNT = "Name of the seller account."
_ORDER = "The marketplace's id of the order."
_ITEM = "The marketplace's id of the order item."
_STATUS = "Status in the project's vocabulary, e.g. accepted or shipped."
_CURRENCY = "ISO 4217 code of the amounts of the row."


class View(NamedTuple):
    """A view: what it shows, its query, and what each of its columns means, in their order."""

    comment: str
    query: str
    columns: dict[str, str]


VIEWS = {
    "orders": View(
        "One row per order.",
        """
SELECT placed.account, placed.order_id, placed.status, placed.created_at, placed.modified_at, placed.paid_at,
  placed.shipped_at, placed.dispatch_due_at, placed.currency, placed.items_total, placed.shipping_total,
  placed.sales_taxes, placed.country_code, placed.payment_method, placed.carrier, items.lines, items.pieces,
  placed.delivery_note_url IS NOT NULL AS has_delivery_note, placed.label_url IS NOT NULL AS has_label,
  round(extract(epoch FROM placed.shipped_at - placed.created_at) / 3600, 2) AS hours_to_ship,
  placed.revision, placed.first_stored_at, placed.stored_at
FROM public.orders placed CROSS JOIN LATERAL (
  SELECT count(*)::integer AS lines, coalesce(sum(quantity), 0)::integer AS pieces FROM public.order_items item
  WHERE item.account = placed.account AND item.order_id = placed.order_id AND item.status <> 'removed') items
""",
        {
            "account": _ACCOUNT, "order_id": _ORDER, "status": _STATUS,
            "created_at": "When the buyer ordered, by the marketplace's clock.",
            "modified_at": "When the order last changed, by the marketplace's clock.",
            "paid_at": "When the order was paid, by the marketplace's clock.",
            "shipped_at": "When the order was shipped, by the marketplace's clock.",
            "dispatch_due_at": "When the marketplace expects the dispatch at the latest.",
            "currency": _CURRENCY, "items_total": "Price of all items, tax included, shipping not included.",
            "shipping_total": "Price of the shipping, tax included.",
            "sales_taxes": "Sales taxes; empty: the marketplace does not report them.",
            "country_code": "The country as the marketplace writes it.",
            "payment_method": "Payment method as the marketplace names it.", "carrier": "Name of the carrier.",
            "lines": "Number of items, without removed ones.", "pieces": "Ordered pieces, without removed items.",
            "has_delivery_note": "Whether a delivery note is known.", "has_label": "Whether a shipping label is known.",
            "hours_to_ship": "Hours from the order to its shipment; empty: not shipped, or not known.",
            "revision": "Number of the order's stored version, from 1.",
            "first_stored_at": "When it was first stored, by our clock.",
            "stored_at": "When its latest change was stored, by our clock.",
        },
    ),
    "order_items": View(
        "One row per order item, with its lock.",
        """
SELECT item.account, item.order_id, item.item_id, item.sku, item.kind, item.status, item.quantity, item.cancelled,
  item.shipped, item.refunded, item.returned, item.currency, item.price, item.shipping_price, item.fee, item.product,
  item.listing_id, item.care_id, item.created_at, locks.locked, locks.short, item.first_stored_at, item.stored_at
FROM public.order_items item LEFT JOIN LATERAL (
  SELECT sum(lock.locked)::integer AS locked, sum(lock.short)::integer AS short FROM public.stock_locks lock
  WHERE lock.account = item.account AND lock.item_id = item.item_id) locks ON true
""",
        {
            "account": _ACCOUNT, "order_id": _ORDER, "item_id": _ITEM, "sku": "The SKU as the marketplace names it.",
            "kind": "goods, gift_card, discount, fee, gift_wrap, shipping or service.", "status": _STATUS,
            "quantity": "Ordered pieces.", "cancelled": "Pieces that will not ship; empty: not said.",
            "shipped": "Pieces that have left; empty: not said.", "refunded": "Refunded pieces; empty: not said.",
            "returned": "Pieces that came back; empty: not said.", "currency": _CURRENCY,
            "price": "Price of the whole quantity, tax included, shipping not included.",
            "shipping_price": "Price of the item's shipping, tax included.", "fee": "The marketplace's commission.",
            "product": "Title of the product.", "listing_id": "The marketplace's id of the listing.",
            "care_id": "The marketplace's id of the latest care record; empty: none.",
            "created_at": "When the item was ordered, by the marketplace's clock.",
            "locked": "Pieces of stock that are locked for it; empty: it has no lock.",
            "short": "Pieces of stock that it waits for; empty: it has no lock.",
            "first_stored_at": "When it was first stored, by our clock.",
            "stored_at": "When its latest change was stored, by our clock.",
        },
    ),
    "status_changes": View(
        "One row per stored change of the status of an order or item, and one per new order.",
        """
SELECT event.event_id, event.account, event.order_id, nullif(event.item_id, '') AS item_id, event.old_status,
  event.new_status, event.recorded_at
FROM public.order_events event WHERE event.kind IN ('OrderCreated', 'OrderStatusChanged')
""",
        {
            "event_id": "Number of the event.", "account": _ACCOUNT, "order_id": _ORDER,
            "item_id": "The item whose status has changed; empty: the order's has.",
            "old_status": "Status before; empty: the order or item is new.", "new_status": "Status after.",
            "recorded_at": "When the change was stored, by our clock.",
        },
    ),
    "care_records": View(
        "One row per care case: a replacement, return, refund or other.",
        """
SELECT care.account, care.care_id, care.kind, care.state, care.opened_at, care.modified_at, care.closed_at,
  care.received, about.items, about.pieces, about.order_ids,
  round(extract(epoch FROM care.closed_at - care.opened_at) / 3600, 2) AS hours_open
FROM public.care_records care CROSS JOIN LATERAL (
  SELECT count(*)::integer AS items, sum(part.quantity)::integer AS pieces,
    array_agg(DISTINCT item.order_id ORDER BY item.order_id) FILTER (WHERE item.order_id IS NOT NULL) AS order_ids
  FROM public.care_record_items part LEFT JOIN public.order_items item USING (account, item_id)
  WHERE part.account = care.account AND part.care_id = care.care_id) about
""",
        {
            "account": _ACCOUNT, "care_id": "The marketplace's id of the case.",
            "kind": "replacement, return, refund or other.", "state": "open, closed, cancelled or unknown.",
            "opened_at": "When it was opened, by the marketplace's clock.",
            "modified_at": "When it last changed, by the marketplace's clock.",
            "closed_at": "When it was closed, by the marketplace's clock.",
            "received": "Whether the seller has received the pieces; empty: the marketplace has not said.",
            "items": "Number of items that it is about.", "pieces": "Pieces that it is about; empty: not said.",
            "order_ids": "The orders of these items; empty: none is stored yet.",
            "hours_open": "Hours from its opening to its end; empty: it is open, or not known.",
        },
    ),
    "stock": View(
        "One row per SKU of the stock list.",
        """
SELECT level.sku, level.on_hand, level.reserved, level.on_hand - level.reserved AS available,
  coalesce(locks.short, 0)::integer AS short, coalesce(locks.held, 0)::integer AS held, level.counted_at
FROM public.stock_levels level LEFT JOIN LATERAL (
  SELECT sum(lock.short) AS short, sum(lock.held) AS held FROM public.stock_locks lock
  WHERE lock.sku = level.sku AND lock.state IN ('locked', 'short', 'held')) locks ON true
""",
        {
            "sku": "The SKU of the stock list.",
            "on_hand": "Pieces in the warehouse; empty: the stock list does not have it.",
            "reserved": "Pieces that locks have.", "available": "Pieces on hand that no lock has.",
            "short": "Pieces that locks wait for.", "held": "Pieces of cancelled items that may have left.",
            "counted_at": "When the shelf was last counted; empty: never.",
        },
    ),
    "stock_locks": View(
        "One row per lock: the pieces of a SKU that an order item has, waits for, or has taken.",
        """
SELECT lock.account, lock.order_id, lock.item_id, lock.sku, lock.state, lock.quantity, lock.locked, lock.short,
  lock.held, lock.consumed, lock.ordered_at, lock.since,
  round(extract(epoch FROM now() - lock.since) / 3600, 2) AS hours_in_state
FROM public.stock_locks lock
""",
        {
            "account": _ACCOUNT, "order_id": _ORDER, "item_id": _ITEM, "sku": "The SKU of the stock list.",
            "state": "short, locked, held, consumed or released.", "quantity": "Pieces that the item needs.",
            "locked": "Pieces that it has.", "short": "Pieces that it waits for.",
            "held": "Pieces that it no longer needs and that may have left.",
            "consumed": "Pieces that have left.", "ordered_at": "When the buyer ordered, by the marketplace's clock.",
            "since": "Since when it is in this state, by our clock.", "hours_in_state": "Hours since then.",
        },
    ),
    "late_orders": View(
        "One row per order that is not shipped though the marketplace expects that by now.",
        """
SELECT placed.account, placed.order_id, placed.status, placed.created_at, placed.dispatch_due_at,
  round(extract(epoch FROM now() - placed.dispatch_due_at) / 3600, 2) AS hours_late
FROM public.orders placed
WHERE placed.status IN ('pending', 'accepted') AND placed.dispatch_due_at < now()
  AND placed.created_at >= now() - interval '92 days'
""",
        {
            "account": _ACCOUNT, "order_id": _ORDER, "status": _STATUS,
            "created_at": "When the buyer ordered, by the marketplace's clock.",
            "dispatch_due_at": "When the marketplace expected the dispatch at the latest.",
            "hours_late": "Hours since then.",
        },
    ),
    "flaws": View(
        "One row per wrong value of a record that is stored nevertheless.",
        "SELECT account, kind, record_id, field, found, stored, first_seen_at, last_seen_at FROM public.record_flaws",
        {
            "account": _ACCOUNT, "kind": "order or care.", "record_id": "The marketplace's id of the record.",
            "field": "Where in the record, e.g. `items[1].fee`.", "found": "What is wrong there.",
            "stored": "What is stored instead.", "first_seen_at": "When it was first found, by our clock.",
            "last_seen_at": "When it was last found, by our clock.",
        },
    ),
    "rejected_records": View(
        "One row per record that could not be stored, with its state.",
        """
SELECT account, kind, record_id, jsonb_array_length(reasons) AS reasons, attempts, first_seen_at, last_seen_at,
  CASE WHEN resolved_at IS NOT NULL THEN 'resolved' WHEN dismissed_at IS NOT NULL THEN 'dismissed' ELSE 'open' END
    AS state
FROM public.rejected_records
""",
        {
            "account": _ACCOUNT, "kind": "order or care.", "record_id": "The marketplace's id of the record.",
            "reasons": "Number of reasons.", "attempts": "How often it was rejected.",
            "first_seen_at": "When it was first rejected, by our clock.",
            "last_seen_at": "When it was last rejected, by our clock.",
            "state": "open, resolved (a later version passed) or dismissed (by a person).",
        },
    ),
    "lanes": View(
        "One row per lane: how far each sync of each account is.",
        """
SELECT account, sync_type, watermark, round(extract(epoch FROM now() - watermark), 1) AS lag_seconds,
  last_started_at, last_finished_at, last_succeeded_at, last_outcome
FROM public.lanes
""",
        {
            "account": _ACCOUNT, "sync_type": "new, modified, care or incomplete.",
            "watermark": "Up to when it has seen everything, by the marketplace's clock.",
            "lag_seconds": "Seconds since then.", "last_started_at": "When the last pass began, by our clock.",
            "last_finished_at": "When a pass last ended, by our clock.",
            "last_succeeded_at": "When a pass last succeeded, by our clock.",
            "last_outcome": "running, succeeded, partial or failed.",
        },
    ),
    "lane_runs": View(
        "One row per pass of a lane, with its figures.",
        """
SELECT account, sync_type, run_id, started_at, finished_at, outcome,
  (summary->>'fetched')::integer AS fetched, (summary->>'created')::integer AS created,
  (summary->>'changed')::integer AS changed, (summary->>'unchanged')::integer AS unchanged,
  (summary->>'rejected')::integer AS rejected, (summary->>'flawed')::integer AS flawed,
  (summary->>'api_calls')::integer AS api_calls, (summary->>'too_many_requests')::integer AS too_many_requests,
  (summary->>'throttled_seconds')::numeric AS throttled_seconds, (summary->>'seconds')::numeric AS seconds
FROM public.lane_runs
""",
        {
            "account": _ACCOUNT, "sync_type": "new, modified, care or incomplete.",
            "run_id": "Dagster's run id, or cli-… for the command line.", "started_at": "When it began, by our clock.",
            "finished_at": "When it ended, by our clock; empty: it has not.",
            "outcome": "running, succeeded, partial or failed.", "fetched": "Records that were fetched.",
            "created": "Records that were new.", "changed": "Records that had changed.",
            "unchanged": "Records that brought nothing new.", "rejected": "Records that could not be stored.",
            "flawed": "Records that were stored with a wrong value.", "api_calls": "Calls of the marketplace.",
            "too_many_requests": "Answers of 429.", "throttled_seconds": "Seconds of waiting for rate limits.",
            "seconds": "Seconds of the whole pass.",
        },
    ),
    "days": View(
        "One row per account, UTC day and currency: the orders that were placed on the day, as they are now.",
        """
SELECT placed.account, (placed.created_at AT TIME ZONE 'UTC')::date AS day, coalesce(placed.currency, '?') AS currency,
  count(*)::integer AS orders, sum(placed.items_total) AS items_total, sum(placed.shipping_total) AS shipping_total,
  count(*) FILTER (WHERE placed.status = 'shipped')::integer AS shipped,
  count(*) FILTER (WHERE placed.status IN ('cancelled', 'refunded_before_shipping', 'unpaid'))::integer AS cancelled,
  count(*) FILTER (WHERE placed.status IN ('returned', 'refunded_after_shipping'))::integer AS returned
FROM public.orders placed WHERE placed.created_at IS NOT NULL
GROUP BY 1, 2, 3
""",
        {
            "account": _ACCOUNT, "day": "The UTC day on which the orders were placed.",
            "currency": "ISO 4217 code of the amounts; ?: unknown.", "orders": "Number of orders.",
            "items_total": "Price of their items, tax included, cancelled orders included.",
            "shipping_total": "Price of their shipping, tax included.", "shipped": "Orders that are shipped.",
            "cancelled": "Orders that were cancelled, not paid, or refunded before shipping.",
            "returned": "Orders that were returned, or refunded after shipping.",
        },
    ),
    "subscriptions": View(
        "One row per subscription to order events: how far it is.",
        """
SELECT known.subscription, known.kinds, known.paused_at IS NOT NULL AS is_paused, pending.waiting,
  pending.waiting_since, pending.failing
FROM public.subscriptions known CROSS JOIN LATERAL (
  SELECT count(*)::integer AS waiting, min(delivery.waiting_since) AS waiting_since,
    count(delivery.problem)::integer AS failing
  FROM public.event_deliveries delivery
  WHERE delivery.subscription = known.subscription AND delivery.ended_at IS NULL) pending
""",
        {
            "subscription": "Its name.", "kinds": "The kinds of events that it gets.",
            "is_paused": "Whether a person has paused it.", "waiting": "Events that are not delivered yet.",
            "waiting_since": "Since when the oldest of them waits, by our clock; empty: none waits.",
            "failing": "Those of them whose last attempt failed.",
        },
    ),
}  # fmt: skip


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS reporting")
    op.execute("COMMENT ON SCHEMA reporting IS 'Views for analysts, without buyers'' data: docs/data.md.'")
    for name, view in VIEWS.items():
        op.execute(f"CREATE VIEW reporting.{name} AS {view.query.replace(':', chr(92) + ':')}")
        op.execute(f"COMMENT ON VIEW reporting.{name} IS '{_quoted(view.comment)}'")
        for column, text in view.columns.items():
            op.execute(f"COMMENT ON COLUMN reporting.{name}.{column} IS '{_quoted(text)}'")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW reporting.{name}")


def _quoted(text: str) -> str:
    return text.replace("'", "''").replace(":", "\\:")
