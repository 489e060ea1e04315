"""Events of documents, care cases and stock; and buyers' data, for subscriptions that ask for it and may have it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0038"
down_revision = "0037"
works_with = "0027"

# An event with details is none of the order's own: there may be several of one kind with each revision.
_ONCE = """
CREATE UNIQUE INDEX order_events_once_new ON order_events
  (account, order_id, item_id, kind, revision, (event_id * (details IS NOT NULL)::integer));
ALTER TABLE order_events DROP CONSTRAINT order_events_once;
ALTER INDEX order_events_once_new RENAME TO order_events_once;
"""
_ONCE_BEFORE = """
DROP INDEX order_events_once;
ALTER TABLE order_events ADD CONSTRAINT order_events_once UNIQUE (account, order_id, item_id, kind, revision);
"""
_ASKED_FOR = """
CREATE FUNCTION is_event_wanted(VARIADIC wanted text[]) RETURNS boolean LANGUAGE sql STABLE AS $$
SELECT EXISTS (SELECT FROM public.subscriptions WHERE kinds && wanted)
$$;
"""
# Stock has nothing to apply for such events. An order that is not stored has none.
_NOTE_EVENT = """
CREATE FUNCTION note_event(of_account text, of_order text, of_kind text, its_details jsonb) RETURNS void
LANGUAGE sql AS $$
INSERT INTO public.order_events
  (account, order_id, kind, revision, old_status, new_status, details, applied_at, shadow_applied_at)
SELECT stored.account, stored.order_id, of_kind, stored.revision, stored.status, stored.status, its_details, now(), now()
FROM public.orders stored WHERE stored.account = of_account AND stored.order_id = of_order
$$;
"""
# A document is known by its URL without the query, which a signature changes each time; one that expires by its key.
# The mark is what is kept of that in an event, and no consumer gets it: the URL leads to the buyer, and a key may be a
# tracking number. The URL of an order's only document may come with the order's own record, with the list of its
# documents, or with both: `has_own`: the order's own get their event as well. While the list is being stored, they are
# those of before.
_NOTE_DOCUMENTS = """
CREATE FUNCTION note_documents(of_account text, of_order text, has_own boolean, again text[] DEFAULT '{}')
RETURNS void LANGUAGE sql AS $$
WITH listed AS (
  SELECT kind, document_key, url, split_part(url, '?', 1) AS file, carrier, item_ids, cancelled_at, expires_at,
    row_number() OVER (PARTITION BY kind ORDER BY first_stored_at, document_key) AS number
  FROM public.order_documents WHERE account = of_account AND order_id = of_order),
available AS (
  SELECT kind, number, carrier, item_ids, document_key = ANY (again) AS is_back,
    md5(CASE WHEN expires_at IS NULL THEN file ELSE document_key END) AS mark
  FROM listed WHERE url IS NOT NULL AND cancelled_at IS NULL
  UNION ALL
  SELECT own.kind, 1, NULL, '[]', false, md5(split_part(own.url, '?', 1))
  FROM public.orders placed
  CROSS JOIN LATERAL (VALUES ('delivery_note', delivery_note_url), ('label', label_url)) own (kind, url)
  WHERE has_own AND placed.account = of_account AND placed.order_id = of_order AND own.url IS NOT NULL
    AND NOT EXISTS (SELECT FROM listed WHERE listed.kind = own.kind AND file = split_part(own.url, '?', 1)))
SELECT public.note_event(of_account, of_order, 'DocumentAvailable', jsonb_build_object(
  'document', jsonb_build_object('kind', kind, 'number', number, 'carrier', carrier, 'item_ids', item_ids),
  'mark', mark))
FROM available
WHERE is_back OR NOT EXISTS (
  SELECT FROM public.order_events event
  WHERE event.account = of_account AND event.order_id = of_order AND event.kind = 'DocumentAvailable'
    AND event.details->>'mark' = mark AND event.details->'document'->>'kind' = available.kind)
ORDER BY kind, number
$$;
CREATE FUNCTION note_new_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('DocumentAvailable') THEN
    PERFORM public.note_documents(account, order_id, false)
    FROM (SELECT DISTINCT account, order_id FROM new_documents ORDER BY 1, 2) changed;
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_changed_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('DocumentAvailable') THEN
    PERFORM public.note_documents(account, order_id, false, back)
    FROM (
      SELECT account, order_id, array_agg(document_key) FILTER (WHERE before.cancelled_at IS NOT NULL) AS back
      FROM new_documents JOIN old_documents before USING (account, order_id, kind, document_key)
      GROUP BY 1, 2 ORDER BY 1, 2) changed;
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_documents_of_new_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM new_events WHERE kind = 'OrderCreated') AND public.is_event_wanted('DocumentAvailable') THEN
    PERFORM public.note_documents(account, order_id, true)
    FROM new_events JOIN public.orders USING (account, order_id)
    WHERE kind = 'OrderCreated' AND (delivery_note_url IS NOT NULL OR label_url IS NOT NULL);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_documents_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('DocumentAvailable') THEN
    PERFORM public.note_documents(new.account, new.order_id, true);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER note_new AFTER INSERT ON order_documents REFERENCING NEW TABLE AS new_documents
FOR EACH STATEMENT EXECUTE FUNCTION note_new_documents();
CREATE TRIGGER note_changed AFTER UPDATE ON order_documents
REFERENCING NEW TABLE AS new_documents OLD TABLE AS old_documents
FOR EACH STATEMENT EXECUTE FUNCTION note_changed_documents();
CREATE TRIGGER note_documents AFTER INSERT ON order_events REFERENCING NEW TABLE AS new_events
FOR EACH STATEMENT EXECUTE FUNCTION note_documents_of_new_orders();
-- At the end of the transaction: the events of the order's own change come first.
CREATE CONSTRAINT TRIGGER note_documents AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (new.delivery_note_url IS NOT NULL AND new.delivery_note_url IS DISTINCT FROM old.delivery_note_url
  OR new.label_url IS NOT NULL AND new.label_url IS DISTINCT FROM old.label_url)
EXECUTE FUNCTION note_documents_of_order();
"""
# A case belongs to the orders of its items, once these are stored.
_NOTE_CARE = """
CREATE FUNCTION care_details(of_account text, of_care text, of_order text) RETURNS jsonb LANGUAGE sql STABLE AS $$
SELECT jsonb_build_object('care', jsonb_build_object(
  'care_id', care.care_id, 'kind', care.kind, 'state', care.state, 'opened_at', public.utc_text(care.opened_at),
  'closed_at', public.utc_text(care.closed_at),
  'items', (SELECT jsonb_agg(jsonb_build_object('item_id', item_id, 'quantity', about.quantity) ORDER BY item_id)
    FROM public.care_record_items about JOIN public.order_items item USING (account, item_id)
    WHERE about.account = of_account AND about.care_id = of_care AND item.order_id = of_order)))
FROM public.care_records care WHERE care.account = of_account AND care.care_id = of_care
$$;
CREATE FUNCTION note_linked_care() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('CareOpened', 'CareClosed') THEN
    PERFORM public.note_event(account, order_id, became.kind, public.care_details(account, care_id, order_id))
    FROM (
      SELECT DISTINCT account, now.care_id, item.order_id, care.state
      FROM new_items now JOIN old_items before USING (account, care_id, item_id)
      JOIN public.order_items item USING (account, item_id)
      JOIN public.care_records care USING (account) WHERE care.care_id = now.care_id
        AND before.linked_at IS NULL AND now.linked_at IS NOT NULL) linked
    JOIN (VALUES ('CareOpened', 1), ('CareClosed', 2)) became (kind, step)
      ON became.kind = 'CareOpened' OR linked.state IN ('closed', 'cancelled')
    WHERE NOT EXISTS (
      SELECT FROM public.order_events event WHERE event.account = linked.account AND event.order_id = linked.order_id
        AND event.kind = became.kind AND event.details->'care'->>'care_id' = linked.care_id);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_changed_care() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('CareOpened', 'CareClosed') THEN
    PERFORM public.note_event(account, order_id, kind, public.care_details(account, care_id, order_id))
    FROM (
      SELECT DISTINCT account, about.care_id, item.order_id,
        CASE WHEN now.state IN ('closed', 'cancelled') THEN 'CareClosed' ELSE 'CareOpened' END AS kind
      FROM new_care now JOIN old_care before USING (account, care_id)
      JOIN public.care_record_items about USING (account, care_id) JOIN public.order_items item USING (account, item_id)
      WHERE about.linked_at IS NOT NULL
        AND (now.state IN ('closed', 'cancelled')) <> (before.state IN ('closed', 'cancelled'))) changed;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER note_linked AFTER UPDATE ON care_record_items
REFERENCING NEW TABLE AS new_items OLD TABLE AS old_items
FOR EACH STATEMENT EXECUTE FUNCTION note_linked_care();
CREATE TRIGGER note_changed AFTER UPDATE ON care_records REFERENCING NEW TABLE AS new_care OLD TABLE AS old_care
FOR EACH STATEMENT EXECUTE FUNCTION note_changed_care();
"""
# Of the tables in `public`, which hold the locks that count. When the move from V1 replaces them as a whole, nothing is
# locked anew.
_NOTE_LOCKS = """
CREATE FUNCTION note_lock(lock public.stock_locks, of_kind text) RETURNS void LANGUAGE sql AS $$
SELECT public.note_event(lock.account, lock.order_id, of_kind, jsonb_build_object('lock', jsonb_build_object(
  'item_id', lock.item_id, 'sku', lock.sku, 'quantity', lock.quantity, 'locked', lock.locked, 'short', lock.short)))
$$;
CREATE FUNCTION note_new_locks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('StockLocked', 'StockShort')
    AND current_setting('orders_sync.replaces_stock', true) IS DISTINCT FROM 'on'
  THEN
    PERFORM public.note_lock(ROW(added.*)::public.stock_locks, 'StockLocked') FROM new_locks added WHERE locked > 0;
    PERFORM public.note_lock(ROW(added.*)::public.stock_locks, 'StockShort') FROM new_locks added WHERE short > 0;
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_changed_locks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('StockLocked', 'StockShort') THEN
    PERFORM public.note_lock(ROW(now.*)::public.stock_locks, 'StockLocked') FROM new_locks now JOIN old_locks before USING (account, item_id, sku)
    WHERE now.locked > before.locked;
    PERFORM public.note_lock(ROW(now.*)::public.stock_locks, 'StockShort') FROM new_locks now JOIN old_locks before USING (account, item_id, sku)
    WHERE now.short > before.short;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER note_new AFTER INSERT ON public.stock_locks REFERENCING NEW TABLE AS new_locks
FOR EACH STATEMENT EXECUTE FUNCTION note_new_locks();
CREATE TRIGGER note_changed AFTER UPDATE ON public.stock_locks
REFERENCING NEW TABLE AS new_locks OLD TABLE AS old_locks
FOR EACH STATEMENT EXECUTE FUNCTION note_changed_locks();
"""
# The values of today: no history of a buyer is kept. Nothing of one whose data was blanked.
_BUYER = """
CREATE FUNCTION buyer_of_order(of_account text, of_order text) RETURNS jsonb LANGUAGE sql STABLE AS $$
SELECT jsonb_build_object(
  'email', buyer_email,
  'shipping_address', jsonb_build_object(
    'first_name', shipping_first_name, 'last_name', shipping_last_name, 'company', shipping_company,
    'street', shipping_street, 'street2', shipping_street2, 'postal_code', shipping_postal_code, 'city', shipping_city,
    'state', shipping_state, 'country', shipping_country, 'phone', shipping_phone),
  'billing_address', jsonb_build_object(
    'first_name', billing_first_name, 'last_name', billing_last_name, 'company', billing_company,
    'street', billing_street, 'street2', billing_street2, 'postal_code', billing_postal_code, 'city', billing_city,
    'state', billing_state, 'country', billing_country, 'phone', billing_phone),
  'tracking_number', tracking_number, 'tracking_url', tracking_url,
  'delivery_note_url', delivery_note_url, 'label_url', label_url)
FROM public.orders WHERE account = of_account AND order_id = of_order AND buyer_data_blanked_at IS NULL
$$;
"""
_CONTENT = """
ALTER FUNCTION order_event(bigint) RENAME TO order_event_without_details;
CREATE FUNCTION order_event(wanted bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
SELECT public.order_event_without_details(wanted)
  || jsonb_build_object('document', NULL, 'care', NULL, 'lock', NULL, 'buyer', NULL)
  || CASE WHEN details IS NULL THEN '{}' ELSE details - 'mark' || '{"changed": {"order": [], "items": {}}}' END
FROM public.order_events WHERE event_id = wanted
$$;
"""
_WITH_BUYER = """
    || CASE WHEN claimed.account = ANY (subscriber.buyer_accounts)
      THEN jsonb_build_object('buyer', public.buyer_of_order(claimed.account, claimed.order_id)) ELSE '{}' END"""
_CLAIM = """
CREATE OR REPLACE FUNCTION claim_events(
  subscription text, max_events integer DEFAULT 100, lease interval DEFAULT '5 minutes')
RETURNS TABLE (event_id bigint, attempt integer, event jsonb) LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
SET enable_hashjoin TO off SET enable_mergejoin TO off SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
#variable_conflict use_column
DECLARE
  subscriber public.subscriptions := public.check_subscriber($1);
BEGIN
  IF subscriber.is_filling OR subscriber.paused_at IS NOT NULL OR subscriber.resting_until > clock_timestamp() THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH heads AS MATERIALIZED (
    SELECT delivery.event_id FROM public.event_deliveries delivery
    WHERE delivery.subscription = $1 AND delivery.ended_at IS NULL AND delivery.due_at <= clock_timestamp()
      AND NOT EXISTS (
        SELECT FROM public.event_deliveries earlier
        WHERE earlier.subscription = $1 AND earlier.account = delivery.account
          AND earlier.order_id = delivery.order_id AND earlier.event_id < delivery.event_id
          AND earlier.ended_at IS NULL)
    ORDER BY delivery.due_at, delivery.event_id LIMIT least(greatest(coalesce($2, 100), 0), 10000)
    FOR UPDATE OF delivery SKIP LOCKED),
  claimed AS (
    UPDATE public.event_deliveries delivery SET
      due_at = clock_timestamp() + least(greatest(coalesce($3, '5 minutes'), interval '0'), interval '1 day'),
      is_claimed = true, attempts = delivery.attempts + 1,
      first_tried_at = coalesce(delivery.first_tried_at, clock_timestamp())
    FROM heads WHERE delivery.subscription = $1 AND delivery.event_id = heads.event_id
    RETURNING delivery.event_id, delivery.attempts, delivery.account, delivery.order_id)
  SELECT claimed.event_id, claimed.attempts, public.order_event(claimed.event_id){with_buyer}
  FROM claimed ORDER BY claimed.event_id;
END $$;
"""
#: What the views of 0037 show otherwise now: a sum that is no integer is shown as the largest one, and an item that the
#: marketplace gives no time is as old as its order.
QUERIES = {
    "orders": """
SELECT placed.account, placed.order_id, placed.status, placed.created_at, placed.modified_at, placed.paid_at,
  placed.shipped_at, placed.dispatch_due_at, placed.currency, placed.items_total, placed.shipping_total,
  placed.sales_taxes, placed.country_code, placed.payment_method, placed.carrier, items.lines, items.pieces,
  placed.delivery_note_url IS NOT NULL AS has_delivery_note, placed.label_url IS NOT NULL AS has_label,
  round(extract(epoch FROM placed.shipped_at - placed.created_at) / 3600, 2) AS hours_to_ship,
  placed.revision, placed.first_stored_at, placed.stored_at
FROM public.orders placed CROSS JOIN LATERAL (
  SELECT count(*)::integer AS lines, least(coalesce(sum(quantity), 0), 2147483647)::integer AS pieces
  FROM public.order_items item
  WHERE item.account = placed.account AND item.order_id = placed.order_id AND item.status <> 'removed') items
""",
    "order_items": """
SELECT item.account, item.order_id, item.item_id, item.sku, item.kind, item.status, item.quantity, item.cancelled,
  item.shipped, item.refunded, item.returned, item.currency, item.price, item.shipping_price, item.fee, item.product,
  item.listing_id, item.care_id, coalesce(item.created_at, placed.created_at) AS created_at, locks.locked, locks.short,
  item.first_stored_at, item.stored_at
FROM public.order_items item LEFT JOIN public.orders placed USING (account, order_id) LEFT JOIN LATERAL (
  SELECT least(sum(lock.locked), 2147483647)::integer AS locked, least(sum(lock.short), 2147483647)::integer AS short
  FROM public.stock_locks lock WHERE lock.account = item.account AND lock.item_id = item.item_id) locks ON true
""",
    "care_records": """
SELECT care.account, care.care_id, care.kind, care.state, care.opened_at, care.modified_at, care.closed_at,
  care.received, about.items, about.pieces, about.order_ids,
  round(extract(epoch FROM care.closed_at - care.opened_at) / 3600, 2) AS hours_open
FROM public.care_records care CROSS JOIN LATERAL (
  SELECT count(*)::integer AS items, least(sum(part.quantity), 2147483647)::integer AS pieces,
    array_agg(DISTINCT item.order_id ORDER BY item.order_id) FILTER (WHERE item.order_id IS NOT NULL) AS order_ids
  FROM public.care_record_items part LEFT JOIN public.order_items item USING (account, item_id)
  WHERE part.account = care.account AND part.care_id = care.care_id) about
""",
    "stock": """
SELECT level.sku, level.on_hand, level.reserved, level.on_hand - level.reserved AS available,
  least(coalesce(locks.short, 0), 2147483647)::integer AS short,
  least(coalesce(locks.held, 0), 2147483647)::integer AS held, level.counted_at
FROM public.stock_levels level LEFT JOIN LATERAL (
  SELECT sum(lock.short) AS short, sum(lock.held) AS held FROM public.stock_locks lock
  WHERE lock.sku = level.sku AND lock.state IN ('locked', 'short', 'held')) locks ON true
""",
    "late_orders": """
SELECT placed.account, placed.order_id, placed.status, placed.created_at, placed.dispatch_due_at,
  round(extract(epoch FROM now() - placed.dispatch_due_at) / 3600, 2) AS hours_late
FROM public.orders placed
WHERE placed.status IN ('pending', 'accepted') AND placed.dispatch_due_at < now()
  AND coalesce(placed.created_at, placed.first_stored_at) >= now() - interval '92 days'
""",
}
VIEW_COMMENTS = {
    (
        "late_orders",
        "",
    ): "One row per order of the last 92 days that is not shipped though the marketplace expects that by now.",
    ("order_items", "created_at"): "When the item was ordered, by the marketplace's clock.",
}


def upgrade() -> None:
    op.add_column(
        "order_events",
        sa.Column(
            "details", JSONB,
            comment="The document, the care case or the lock that the event is about; empty: it is about the order's "
            "own values.",
        ),
    )  # fmt: skip
    op.add_column(
        "subscriptions",
        sa.Column(
            "buyer_accounts", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'"),
            comment="The accounts whose buyers' data it gets: it asks for it, and they share it.",
        ),
    )  # fmt: skip
    op.alter_column("order_events", "kind", comment="The kind of the event, e.g. OrderCreated.")
    op.alter_column(
        "order_events", "applied_at",
        comment="When the stock job applied the event, by our clock; empty: pending. Of kinds that stock has nothing "
        "to apply for: when it was stored.",
    )  # fmt: skip
    for statements in (_ONCE, _ASKED_FOR, _NOTE_EVENT, _NOTE_DOCUMENTS, _NOTE_CARE, _NOTE_LOCKS, _BUYER, _CONTENT,
                       _CLAIM.replace("{with_buyer}", _WITH_BUYER)):  # fmt: skip
        op.execute(sa.text(statements.replace(":", r"\:")))
    for name, query in QUERIES.items():
        op.execute(sa.text(f"CREATE OR REPLACE VIEW reporting.{name} AS {query}".replace(":", r"\:")))
    for (name, column), comment in VIEW_COMMENTS.items():
        what = f"COLUMN reporting.{name}.{column}" if column else f"VIEW reporting.{name}"
        op.execute(f"COMMENT ON {what} IS '{comment.replace(chr(39), chr(39) * 2)}'")


def downgrade() -> None:
    """The views stay as they are: they have the same columns."""
    op.execute(
        "DELETE FROM event_deliveries USING order_events event WHERE event.event_id = event_deliveries.event_id "
        "AND details IS NOT NULL"
    )
    op.execute("DELETE FROM order_events WHERE details IS NOT NULL")
    op.execute(
        "UPDATE subscriptions SET kinds = ARRAY(SELECT kind FROM unnest(kinds) kind WHERE kind IN "
        "('OrderCreated', 'OrderStatusChanged', 'OrderChanged'))"
    )
    for table, trigger in (
        ("order_documents", "note_new"), ("order_documents", "note_changed"), ("order_events", "note_documents"),
        ("orders", "note_documents"), ("care_record_items", "note_linked"), ("care_records", "note_changed"),
        ("public.stock_locks", "note_new"), ("public.stock_locks", "note_changed"),
    ):  # fmt: skip
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    op.execute(sa.text(_CLAIM.replace("{with_buyer}", "").replace(":", r"\:")))
    op.execute("DROP FUNCTION order_event")
    op.execute("ALTER FUNCTION order_event_without_details(bigint) RENAME TO order_event")
    for name in (
        "note_new_documents", "note_changed_documents", "note_documents_of_new_orders", "note_documents_of_order",
        "note_linked_care", "note_changed_care", "note_new_locks", "note_changed_locks", "note_documents", "note_lock", "care_details", "buyer_of_order", "note_event", "is_event_wanted",
    ):  # fmt: skip
        op.execute(f"DROP FUNCTION {name}")
    op.execute(_ONCE_BEFORE)
    op.drop_column("order_events", "details")
    op.drop_column("subscriptions", "buyer_accounts")
    op.alter_column("order_events", "kind", comment="OrderCreated, OrderStatusChanged, or OrderChanged.")
    op.alter_column(
        "order_events", "applied_at",
        comment="When the stock job applied the event, by our clock; empty: pending. OrderChanged: when it was stored.",
    )  # fmt: skip
