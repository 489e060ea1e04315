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
# The URL of an order's only document may come with the order's own record, or with the list of its documents, or with
# both: whichever is stored first writes the event.
_NOTE_DOCUMENTS = """
CREATE FUNCTION note_document(document public.order_documents) RETURNS void LANGUAGE sql AS $$
SELECT public.note_event(document.account, document.order_id, 'DocumentAvailable', jsonb_build_object(
  'document', jsonb_build_object('kind', document.kind, 'key', document.document_key, 'carrier', document.carrier,
    'item_ids', document.item_ids)))
WHERE NOT EXISTS (
  SELECT FROM public.orders offering JOIN public.order_events event USING (account, order_id)
  WHERE offering.account = document.account AND offering.order_id = document.order_id
    AND CASE document.kind WHEN 'label' THEN label_url ELSE delivery_note_url END = document.url
    AND event.kind = 'DocumentAvailable' AND event.details->'document'->>'kind' = document.kind
    AND event.details->'document'->>'key' = document.kind)
$$;
CREATE FUNCTION note_new_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('DocumentAvailable') THEN
    PERFORM public.note_document(ROW(added.*)::public.order_documents) FROM new_documents added
    WHERE added.url IS NOT NULL AND added.cancelled_at IS NULL;
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_changed_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('DocumentAvailable') THEN
    PERFORM public.note_document(ROW(now.*)::public.order_documents) FROM new_documents now
    JOIN old_documents before USING (account, order_id, kind, document_key)
    WHERE now.url IS NOT NULL AND now.cancelled_at IS NULL AND (before.url IS NULL OR before.cancelled_at IS NOT NULL
      -- One that expires has another URL each time it is read; of another one, it was replaced.
      OR now.expires_at IS NULL AND before.expires_at IS NULL AND now.url <> before.url);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_offered_document(of_account text, of_order text, of_kind text, of_url text) RETURNS void
LANGUAGE sql AS $$
SELECT public.note_event(of_account, of_order, 'DocumentAvailable', jsonb_build_object(
  'document', jsonb_build_object('kind', of_kind, 'key', of_kind, 'carrier', NULL, 'item_ids', '[]'::jsonb)))
WHERE of_url IS NOT NULL AND NOT EXISTS (
  SELECT FROM public.order_events event LEFT JOIN public.order_documents listed
    ON listed.account = event.account AND listed.order_id = event.order_id AND listed.kind = of_kind
    AND listed.document_key = event.details->'document'->>'key'
  WHERE event.account = of_account AND event.order_id = of_order AND event.kind = 'DocumentAvailable'
    AND event.details->'document'->>'kind' = of_kind
    AND (listed.url = of_url OR event.details->'document'->>'key' = of_kind))
$$;
CREATE FUNCTION note_documents_of_new_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM new_events WHERE kind = 'OrderCreated') AND public.is_event_wanted('DocumentAvailable') THEN
    PERFORM public.note_offered_document(account, order_id, 'delivery_note', delivery_note_url),
      public.note_offered_document(account, order_id, 'label', label_url)
    FROM new_events JOIN public.orders USING (account, order_id)
    WHERE kind = 'OrderCreated' AND (delivery_note_url IS NOT NULL OR label_url IS NOT NULL);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION note_documents_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF public.is_event_wanted('DocumentAvailable') THEN
    IF old.delivery_note_url IS NULL THEN
      PERFORM public.note_offered_document(new.account, new.order_id, 'delivery_note', new.delivery_note_url);
    END IF;
    IF old.label_url IS NULL THEN
      PERFORM public.note_offered_document(new.account, new.order_id, 'label', new.label_url);
    END IF;
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
WHEN (old.delivery_note_url IS NULL AND new.delivery_note_url IS NOT NULL
  OR old.label_url IS NULL AND new.label_url IS NOT NULL)
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
  || CASE WHEN details IS NULL THEN '{}' ELSE details || '{"changed": {"order": [], "items": {}}}' END
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


def downgrade() -> None:
    op.execute("DELETE FROM order_events WHERE details IS NOT NULL")
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
        "note_linked_care", "note_changed_care", "note_new_locks", "note_changed_locks", "note_document",
        "note_offered_document", "note_lock", "care_details", "buyer_of_order", "note_event", "is_event_wanted",
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
