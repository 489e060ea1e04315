"""Anyone may subscribe to order events: each subscription has deliveries of its own"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0036"
down_revision = "0035"
works_with = "0027"

_ACCOUNT = "Name of the seller account: the name of the folder of its account file."
_NAME = "Name of the subscription: the name of its folder in defs/subscriptions."
_PENDING = sa.text("ended_at IS NULL")


def _moment(name: str, comment: str, *, now: bool = False) -> sa.Column[object]:
    if now:
        return sa.Column(
            name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(), comment=comment
        )
    return sa.Column(name, sa.DateTime(timezone=True), comment=comment)


# An event reaches its subscriptions in its own transaction: nobody needs a cursor, which would skip what commits late.
_FAN_OUT = """
CREATE FUNCTION fan_out_order_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  woken text;
BEGIN
  IF NOT EXISTS (SELECT FROM public.subscriptions) THEN
    RETURN NULL;
  END IF;
  FOR woken IN
    WITH added AS (
      INSERT INTO public.event_deliveries (subscription, event_id, account, order_id)
      SELECT wanted.subscription, event.event_id, event.account, event.order_id
      FROM new_events event JOIN public.subscriptions wanted ON event.kind = ANY (wanted.kinds)
        AND (wanted.accounts IS NULL OR event.account = ANY (wanted.accounts))
        AND (wanted.statuses IS NULL OR event.new_status = ANY (wanted.statuses))
      RETURNING subscription)
    SELECT DISTINCT subscription FROM added
  LOOP
    PERFORM pg_notify('order_events', woken);
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER fan_out AFTER INSERT ON order_events REFERENCING NEW TABLE AS new_events
FOR EACH STATEMENT EXECUTE FUNCTION fan_out_order_events();
"""
# Stock has nothing to apply for such an event.
_NOTE_CHANGES = """
CREATE FUNCTION note_order_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.subscriptions WHERE 'OrderChanged' = ANY (kinds)) THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.order_events
    (account, order_id, kind, revision, old_status, new_status, applied_at, shadow_applied_at)
  SELECT change.account, change.order_id, 'OrderChanged', change.revision, stored.status, stored.status, now(), now()
  FROM new_changes change JOIN public.orders stored USING (account, order_id)
  WHERE (change.fields <> '{}' OR change.items <> '{}') AND NOT change.fields ? 'status'
    AND NOT EXISTS (SELECT FROM jsonb_each(change.items) AS item (item_id, fields) WHERE item.fields ? 'status')
  ORDER BY change.account, change.order_id
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER note_order_changed AFTER INSERT ON order_changes REFERENCING NEW TABLE AS new_changes
FOR EACH STATEMENT EXECUTE FUNCTION note_order_changed();
"""
_UTC = """
CREATE FUNCTION utc_text(moment timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
"""
# What later revisions changed is undone: an event is the same however late it is delivered. `undone` has the values
# before of the earliest later change of each column.
_CONTENT = """
CREATE FUNCTION order_event(wanted bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
WITH event AS (SELECT * FROM public.order_events WHERE event_id = wanted),
later AS MATERIALIZED (
  SELECT change.revision, change.fields, change.items
  FROM event JOIN public.order_changes change ON change.account = event.account
    AND change.order_id = event.order_id AND change.revision > event.revision),
of_order AS (
  SELECT to_jsonb(stored) - '{raw,fingerprint}'::text[] || coalesce((
    SELECT jsonb_object_agg(field.key, field.value->0 ORDER BY later.revision DESC)
    FROM later, jsonb_each(later.fields) field WHERE field.value <> '[]'), '{}') AS values
  FROM event JOIN public.orders stored ON stored.account = event.account AND stored.order_id = event.order_id),
known AS MATERIALIZED (
  SELECT change.revision, item.key AS item_id, item.value AS fields
  FROM event JOIN public.order_changes change ON change.account = event.account AND change.order_id = event.order_id
  CROSS JOIN LATERAL jsonb_each(change.items) item),
item_ids AS (
  SELECT item.item_id FROM event JOIN public.order_items item
    ON item.account = event.account AND item.order_id = event.order_id
  UNION
  SELECT item_id FROM known),
-- Of an item that left the order, the change has all values before; it may be one of another order now.
of_items AS (
  SELECT item_ids.item_id, undone.values IS NULL OR undone.values->'status' IS DISTINCT FROM 'null' AS is_in_order,
    to_jsonb(item) || coalesce(undone.values, '{}') AS values, item.order_id = event.order_id AS is_its_row,
    undone.values IS NOT NULL AS is_undone, to_jsonb(item) || gone.values || '{"status": "removed"}' AS gone
  FROM event CROSS JOIN item_ids JOIN public.order_items item
    ON item.account = event.account AND item.item_id = item_ids.item_id
  CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(field.key, field.value->0 ORDER BY known.revision DESC) AS values
    FROM known, jsonb_each(known.fields) field
    WHERE known.item_id = item_ids.item_id AND known.revision > event.revision AND field.value <> '[]') undone
  LEFT JOIN LATERAL (
    SELECT (SELECT jsonb_object_agg(field.key, field.value->0) FROM jsonb_each(latest.fields) field
      WHERE latest.fields->'status'->>1 = 'removed') AS values
    FROM known latest WHERE latest.item_id = item_ids.item_id AND latest.revision <= event.revision
    ORDER BY latest.revision DESC LIMIT 1) gone ON true),
changed AS (
  SELECT change.fields, change.items FROM event JOIN public.order_changes change ON change.account = event.account
    AND change.order_id = event.order_id AND change.revision = event.revision WHERE event.kind <> 'OrderCreated')
SELECT jsonb_build_object(
  'version', 1, 'id', event.event_id::text, 'kind', event.kind, 'account', event.account, 'order_id', event.order_id,
  'item_id', nullif(event.item_id, ''), 'revision', event.revision, 'old_status', event.old_status,
  'new_status', event.new_status, 'recorded_at', public.utc_text(event.recorded_at),
  'order', (SELECT jsonb_build_object(
      'status', values->>'status', 'created_at', public.utc_text((values->>'created_at')::timestamptz),
      'modified_at', public.utc_text((values->>'modified_at')::timestamptz),
      'paid_at', public.utc_text((values->>'paid_at')::timestamptz),
      'shipped_at', public.utc_text((values->>'shipped_at')::timestamptz),
      'dispatch_due_at', public.utc_text((values->>'dispatch_due_at')::timestamptz),
      'currency', values->>'currency', 'items_total', values->>'items_total',
      'shipping_total', values->>'shipping_total', 'sales_taxes', values->>'sales_taxes',
      'country_code', values->>'country_code')
    FROM of_order),
  'items', coalesce((SELECT jsonb_agg(jsonb_build_object(
      'item_id', item_id, 'sku', values->>'sku', 'kind', values->>'kind', 'quantity', (values->>'quantity')::integer,
      'status', values->>'status', 'cancelled', (values->>'cancelled')::integer,
      'shipped', (values->>'shipped')::integer, 'refunded', (values->>'refunded')::integer,
      'returned', (values->>'returned')::integer, 'currency', values->>'currency', 'price', values->>'price',
      'shipping_price', values->>'shipping_price', 'fee', values->>'fee') ORDER BY item_id)
    -- An item whose status was nothing before a later change was added by that.
    FROM (
      SELECT item_id, CASE WHEN is_in_order AND (is_undone OR is_its_row) THEN values ELSE gone END AS values
      FROM of_items) listed
    WHERE values IS NOT NULL), '[]'),
  'changed', jsonb_build_object(
    'order', coalesce((SELECT jsonb_agg(key ORDER BY key) FROM changed, jsonb_object_keys(fields) key), '[]'),
    'items', coalesce((
      SELECT jsonb_object_agg(item.key, (SELECT jsonb_agg(key ORDER BY key) FROM jsonb_object_keys(item.value) key))
      FROM changed, jsonb_each(changed.items) item), '{}')))
FROM event
$$;
"""
_MAY_CLAIM = """
CREATE FUNCTION check_subscriber(wanted text) RETURNS public.subscriptions LANGUAGE plpgsql STABLE AS $$
DECLARE
  found public.subscriptions;
BEGIN
  SELECT * INTO found FROM public.subscriptions WHERE subscription = wanted;
  IF found.subscription IS NULL THEN
    RAISE EXCEPTION 'There is no subscription %.', wanted USING ERRCODE = 'no_data_found',
      HINT = 'A subscription is a file defs/subscriptions/<name>/defs.yaml; `orders-sync subscriptions` lists them.';
  END IF;
  IF NOT has_table_privilege(session_user, 'public.event_deliveries', 'UPDATE')
    AND NOT coalesce(to_regrole(quote_ident(found.role)) IS NOT NULL
      AND pg_has_role(session_user, found.role::name, 'MEMBER'), false)
  THEN
    RAISE EXCEPTION 'The role % may not consume the subscription %.', session_user, wanted
      USING ERRCODE = 'insufficient_privilege', HINT = 'Name it, or a role that it is a member of, under `sql: {role: …}` in the subscription''s file.';
  END IF;
  RETURN found;
END $$;
"""
# The planner must walk the index in the order of due_at: its statistics say nothing about a queue. An order's event
# waits for the earlier ones.
_CLAIM = """
CREATE FUNCTION claim_events(subscription text, max_events integer DEFAULT 100, lease interval DEFAULT '5 minutes')
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
    RETURNING delivery.event_id, delivery.attempts)
  SELECT claimed.event_id, claimed.attempts, public.order_event(claimed.event_id) FROM claimed ORDER BY claimed.event_id;
END $$;
"""
_ACK = """
CREATE FUNCTION ack_events(subscription text, event_ids bigint[]) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  done integer;
  ending bigint[];
BEGIN
  PERFORM public.check_subscriber($1);
  ending := ARRAY(
    SELECT event_id FROM public.event_deliveries
    WHERE subscription = $1 AND event_id = ANY ($2) AND ended_at IS NULL ORDER BY event_id FOR UPDATE);
  UPDATE public.event_deliveries
  SET ended_at = clock_timestamp(), outcome = 'delivered', problem = NULL, is_claimed = false
  WHERE subscription = $1 AND event_id = ANY (ending) AND ended_at IS NULL;
  GET DIAGNOSTICS done = ROW_COUNT;
  -- What had to wait for an earlier event of its order that failed is due at once.
  UPDATE public.event_deliveries following SET due_at = clock_timestamp()
  FROM public.event_deliveries ended
  WHERE ended.subscription = $1 AND ended.event_id = ANY (ending)
    AND following.subscription = $1 AND following.account = ended.account AND following.order_id = ended.order_id
    AND following.event_id > ended.event_id AND following.ended_at IS NULL AND following.due_at > clock_timestamp()
    AND NOT following.is_claimed
    AND NOT EXISTS (
      SELECT FROM public.event_deliveries earlier WHERE earlier.subscription = $1 AND earlier.account = ended.account
        AND earlier.order_id = ended.order_id AND earlier.event_id < following.event_id
        AND earlier.ended_at IS NULL);
  RETURN done;
END $$;
"""
_NACK = """
CREATE FUNCTION nack_events(
  subscription text, event_ids bigint[], problem text DEFAULT NULL, retry_after interval DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  done integer;
  failing bigint[];
BEGIN
  PERFORM public.check_subscriber($1);
  failing := ARRAY(
    SELECT event_id FROM public.event_deliveries
    WHERE subscription = $1 AND event_id = ANY ($2) AND ended_at IS NULL ORDER BY event_id FOR UPDATE);
  -- Without a time of the consumer's: 5 s, 20 s, 80 s … after the first, second, third attempt, an hour at most.
  UPDATE public.event_deliveries
  SET problem = left(regexp_replace($3, '[[:cntrl:]]+', ' ', 'g'), 300), is_claimed = false,
    due_at = clock_timestamp() + least(greatest(coalesce(
      $4, make_interval(secs => least(3600, 5 * 4 ^ least(greatest(attempts, 1) - 1, 6)))), interval '0'),
      interval '30 days')
  WHERE subscription = $1 AND event_id = ANY (failing);
  GET DIAGNOSTICS done = ROW_COUNT;
  UPDATE public.event_deliveries following SET due_at = failed.due_at
  FROM public.event_deliveries failed
  WHERE failed.subscription = $1 AND failed.event_id = ANY (failing) AND following.subscription = $1
    AND following.account = failed.account AND following.order_id = failed.order_id
    AND following.event_id > failed.event_id AND following.ended_at IS NULL AND following.due_at < failed.due_at;
  RETURN done;
END $$;
REVOKE EXECUTE ON FUNCTION claim_events, ack_events, nack_events, check_subscriber, order_event FROM PUBLIC;
"""


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("subscription", sa.Text, primary_key=True, comment=_NAME),
        sa.Column("kinds", ARRAY(sa.Text), nullable=False, comment="The kinds of events that it gets."),
        sa.Column("accounts", ARRAY(sa.Text), comment="The accounts whose events it gets; empty: all."),
        sa.Column(
            "statuses", ARRAY(sa.Text), comment="It gets the events that lead to one of these statuses; empty: all."
        ),
        sa.Column("consumer", sa.Text, nullable=False, comment="dagster, webhook or sql: who consumes its events."),
        sa.Column(
            "role",
            sa.Text,
            comment="The role of PostgreSQL that may claim its events; empty: it has no consumer in SQL.",
        ),
        sa.Column(
            "is_filling",
            sa.Boolean,
            nullable=False,
            server_default=sa.text("false"),
            comment="Whether it still has to get the events that were stored before it: nothing is delivered until then.",
        ),
        _moment("added_at", "When its file was first read, by our clock: it gets the events from then on.", now=True),
        _moment("paused_at", "When a person paused it, by our clock; empty: it is not paused."),
        sa.Column("paused_by", sa.Text, comment="Who paused it."),
        sa.Column("pause_reason", sa.Text, comment="Why it is paused."),
        _moment(
            "resting_until",
            "Until when a receiver that fails is not called, by our clock; empty: it works.",
        ),
        sa.Column(
            "failures",
            sa.Integer,
            nullable=False,
            server_default="0",
            comment="Failed calls in a row.",
        ),
        sa.Column(
            "problem", sa.Text, comment="Why the last call of the receiver failed, in one line; empty: it did not."
        ),
        comment="One row per subscription: the consumers of order events besides the stock job.",
    )
    op.create_table(
        "event_deliveries",
        sa.Column("subscription", sa.Text, comment=_NAME),
        sa.Column("event_id", sa.BigInteger, comment="Number of the event in order_events."),
        sa.Column("account", sa.Text, nullable=False, comment=_ACCOUNT),
        sa.Column("order_id", sa.Text, nullable=False, comment="The marketplace's id of the order."),
        _moment("waiting_since", "When it was written, or last replayed, by our clock.", now=True),
        _moment("due_at", "From when it may be delivered, or delivered again, by our clock.", now=True),
        sa.Column(
            "is_claimed", sa.Boolean, nullable=False, server_default=sa.text("false"),
            comment="Whether a consumer has it until due_at; false: it waits.",
        ),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0", comment="How often it was claimed."),
        _moment("first_tried_at", "When it was claimed first, by our clock."),
        sa.Column("problem", sa.Text, comment="Why the last attempt failed, in one line; empty: it did not."),
        _moment("ended_at", "When it was delivered, skipped or given up, by our clock; empty: it is pending."),
        sa.Column("outcome", sa.Text, comment="delivered, skipped or given_up; empty: it is pending."),
        sa.Column(
            "is_replayed", sa.Boolean, nullable=False, server_default=sa.text("false"),
            comment="Whether a person had it delivered again.",
        ),
        sa.PrimaryKeyConstraint("subscription", "event_id"),
        comment="One row per event and subscription that gets it, written in the transaction of the event.",
    )  # fmt: skip
    op.create_index(
        "event_deliveries_due", "event_deliveries", ["subscription", "due_at", "event_id"], postgresql_where=_PENDING
    )
    op.create_index(
        "event_deliveries_order",
        "event_deliveries",
        ["subscription", "account", "order_id", "event_id"],
        postgresql_where=_PENDING,
    )
    op.create_index("event_deliveries_ended", "event_deliveries", ["subscription", "ended_at"])
    op.create_index(
        "event_deliveries_given_up",
        "event_deliveries",
        ["subscription"],
        postgresql_where=sa.text("outcome = 'given_up'"),
    )
    op.alter_column("order_events", "kind", comment="OrderCreated, OrderStatusChanged, or OrderChanged.")
    op.alter_column(
        "order_events",
        "applied_at",
        comment="When the stock job applied the event, by our clock; empty: pending. OrderChanged: when it was stored.",
    )
    for statements in (_FAN_OUT, _NOTE_CHANGES, _UTC, _CONTENT, _MAY_CLAIM, _CLAIM, _ACK, _NACK):
        op.execute(sa.text(statements.replace(":", r"\:")))


def downgrade() -> None:
    op.execute("DROP TRIGGER fan_out ON order_events; DROP TRIGGER note_order_changed ON order_changes")
    for name in ("claim_events", "ack_events", "nack_events", "check_subscriber", "order_event", "utc_text",
                 "fan_out_order_events", "note_order_changed"):  # fmt: skip
        op.execute(f"DROP FUNCTION {name}")
    op.drop_table("event_deliveries")
    op.drop_table("subscriptions")
    op.execute("DELETE FROM order_events WHERE kind = 'OrderChanged'")
    op.alter_column("order_events", "kind", comment="OrderCreated or OrderStatusChanged.")
    op.alter_column(
        "order_events", "applied_at", comment="When the stock job applied the event, by our clock; empty: pending."
    )
