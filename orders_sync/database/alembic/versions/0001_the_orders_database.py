"""The orders database"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "acceptances",
        sa.Column("acceptance_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False, comment="empty: all waiting lines of the order"),
        sa.Column(
            "item_id", sa.Text(), server_default="", nullable=False, comment="empty: all waiting lines of the SKU"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="requested, accepted, refused, lost or left"),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="what was asked"),
        sa.Column("answer_status", sa.Integer(), nullable=True, comment="HTTP status; empty when no answer came"),
        sa.Column("answer", sa.Text(), nullable=True, comment="what was answered, in one line without buyer's data"),
        sa.Column(
            "requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""
        ),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True, comment=""),
        sa.PrimaryKeyConstraint("acceptance_id"),
        comment="The only writes to a marketplace: each request to accept waiting orderlines, with its answer.",
    )
    op.create_index("acceptances_order", "acceptances", ["account", "order_id"], unique=False)
    op.create_table(
        "care_record_items",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("care_id", sa.Text(), nullable=False),
        sa.Column(
            "item_id", sa.Text(), nullable=False, comment="the order item it is about, as the marketplace names it"
        ),
        sa.Column(
            "linked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was linked to the stored item; empty while the item isn't known yet",
        ),
        sa.PrimaryKeyConstraint("account", "care_id", "item_id"),
        comment="Which order items a care case is about.",
    )
    op.create_index("care_record_items_item", "care_record_items", ["account", "item_id"], unique=False)
    op.create_index(
        "care_record_items_unlinked",
        "care_record_items",
        ["account"],
        unique=False,
        postgresql_where=sa.text("linked_at IS NULL"),
    )
    op.create_table(
        "care_records",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("care_id", sa.Text(), nullable=False, comment="the marketplace's id of the care case"),
        sa.Column("kind", sa.Text(), nullable=False, comment="replacement, return, refund or other"),
        sa.Column("state", sa.Text(), nullable=False, comment="open, closed or unknown"),
        sa.Column("marketplace_state", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True, comment="by the marketplace"),
        sa.Column(
            "modified_at", sa.DateTime(timezone=True), nullable=True, comment="by the marketplace; never goes back"
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True, comment="by the marketplace"),
        sa.Column(
            "raw",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the marketplace's own record, whole",
        ),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column(
            "buyer_data_blanked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the account's retention blanked the buyer's data",
        ),
        sa.Column(
            "first_stored_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when we stored it first",
        ),
        sa.Column(
            "stored_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when we stored its last change",
        ),
        sa.PrimaryKeyConstraint("account", "care_id"),
        comment="One row a care case: replacement, return, refund or other.",
    )
    op.create_table(
        "daily_summary",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="the UTC day on which the orders were created"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False, comment="pieces, without cancelled and removed ones"),
        sa.Column(
            "revenue", sa.Numeric(), nullable=False, comment="price of items that were not cancelled or refunded"
        ),
        sa.Column("cancelled_items", sa.Integer(), nullable=False),
        sa.Column(
            "incomplete_papers", sa.Integer(), nullable=False, comment="orders that lack a paper they should have"
        ),
        sa.PrimaryKeyConstraint("account", "day", "currency"),
        comment="The daily report, one row an account, day and currency.",
    )
    op.create_table(
        "lane_runs",
        sa.Column("lane_run_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sync_type", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment=""),
        sa.Column("outcome", sa.Text(), nullable=False, comment="running, succeeded or failed"),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column(
            "summary", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("lane_run_id"),
        comment="Every pass of every lane, whoever launched it.",
    )
    op.create_index("lane_runs_lane", "lane_runs", ["account", "sync_type", "started_at"], unique=False)
    op.create_table(
        "lanes",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sync_type", sa.Text(), nullable=False),
        sa.Column(
            "watermark",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="up to when this lane has seen everything, by the marketplace's clock",
        ),
        sa.Column("last_run_id", sa.Text(), nullable=True, comment="Dagster's run id, or cli-…"),
        sa.Column("last_started_at", sa.DateTime(timezone=True), nullable=True, comment=""),
        sa.Column("last_finished_at", sa.DateTime(timezone=True), nullable=True, comment=""),
        sa.Column("last_succeeded_at", sa.DateTime(timezone=True), nullable=True, comment=""),
        sa.Column("last_outcome", sa.Text(), nullable=True, comment="running, succeeded or failed"),
        sa.Column("last_problem", sa.Text(), nullable=True, comment="one line an operator understands"),
        sa.Column(
            "last_summary",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("account", "sync_type"),
        comment="One row a lane (account and sync type).",
    )
    op.create_table(
        "order_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column(
            "item_id", sa.Text(), server_default="", nullable=False, comment="empty: the event is about the order"
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="OrderCreated or OrderStatusChanged"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="the order's revision that this event belongs to"),
        sa.Column("old_status", sa.Text(), nullable=True),
        sa.Column("new_status", sa.Text(), nullable=False),
        sa.Column(
            "items",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="OrderCreated: the status of each item at creation",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the change was stored",
        ),
        sa.Column(
            "applied_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the stock job applied it; empty while pending",
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text(), nullable=True, comment="why it could not be applied"),
        sa.PrimaryKeyConstraint("event_id"),
        sa.UniqueConstraint("account", "order_id", "item_id", "kind", "revision", name="order_events_once"),
        comment="The outbox: written in the transaction that changed the order.",
    )
    op.create_index(
        "order_events_pending",
        "order_events",
        ["event_id"],
        unique=False,
        postgresql_where=sa.text("applied_at IS NULL"),
    )
    op.create_table(
        "order_items",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False, comment="the marketplace's id of the orderline"),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="our vocabulary, see sync/statuses.py"),
        sa.Column("marketplace_state", sa.Text(), nullable=True, comment="the marketplace's own word for the state"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True, comment="by the marketplace"),
        sa.Column("currency", sa.Text(), nullable=True, comment="ISO 4217 code of the item's amounts"),
        sa.Column(
            "price",
            sa.Numeric(),
            nullable=True,
            comment="price of the item for its whole quantity, tax included, without shipping",
        ),
        sa.Column("shipping_price", sa.Numeric(), nullable=True),
        sa.Column("fee", sa.Numeric(), nullable=True, comment="the marketplace's commission"),
        sa.Column("product", sa.Text(), nullable=True, comment="title of the product"),
        sa.Column("listing_id", sa.Text(), nullable=True, comment="the marketplace's id of the listing"),
        sa.Column("imei", sa.Text(), nullable=True),
        sa.Column("serial_number", sa.Text(), nullable=True),
        sa.Column("care_id", sa.Text(), nullable=True, comment="the latest care record of this item"),
        sa.Column(
            "first_stored_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when we stored it first",
        ),
        sa.Column(
            "stored_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when we stored its last change",
        ),
        sa.PrimaryKeyConstraint("account", "item_id"),
        comment="One row an order item (the marketplace's orderline).",
    )
    op.create_index("order_items_order", "order_items", ["account", "order_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("account", sa.Text(), nullable=False, comment="the seller account, by the name of its folder"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the marketplace's own id"),
        sa.Column("status", sa.Text(), nullable=False, comment="our vocabulary, see sync/statuses.py"),
        sa.Column("marketplace_state", sa.Text(), nullable=True, comment="the marketplace's own word for the state"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the buyer ordered, by the marketplace",
        ),
        sa.Column(
            "modified_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="last change, by the marketplace; never goes back",
        ),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True, comment="when it was paid, by the marketplace"),
        sa.Column(
            "shipped_at", sa.DateTime(timezone=True), nullable=True, comment="when it was shipped, by the marketplace"
        ),
        sa.Column(
            "dispatch_due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the marketplace expects the dispatch",
        ),
        sa.Column("currency", sa.Text(), nullable=True, comment="ISO 4217 code of the order's amounts"),
        sa.Column(
            "items_total", sa.Numeric(), nullable=True, comment="price of all items, tax included, without shipping"
        ),
        sa.Column("shipping_total", sa.Numeric(), nullable=True, comment="price of shipping, tax included"),
        sa.Column("sales_taxes", sa.Numeric(), nullable=True, comment="sales taxes where the marketplace tells them"),
        sa.Column("country_code", sa.Text(), nullable=True, comment="the marketplace's country code, e.g. fr-fr"),
        sa.Column("payment_method", sa.Text(), nullable=True, comment="the marketplace's word, e.g. PAYPAL"),
        sa.Column(
            "marketplace_shipping",
            sa.Boolean(),
            nullable=True,
            comment="false: the marketplace makes no shipping label",
        ),
        sa.Column(
            "marketplace_delivery_note",
            sa.Boolean(),
            nullable=True,
            comment="false: the marketplace makes no delivery note",
        ),
        sa.Column("carrier", sa.Text(), nullable=True, comment="name of the shipper"),
        sa.Column("tracking_number", sa.Text(), nullable=True),
        sa.Column("tracking_url", sa.Text(), nullable=True),
        sa.Column("delivery_note_url", sa.Text(), nullable=True, comment="the delivery note; stored, never fetched"),
        sa.Column("label_url", sa.Text(), nullable=True, comment="the shipping label; stored, never fetched"),
        sa.Column("buyer_email", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_first_name", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_last_name", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_company", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_street", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_street2", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_postal_code", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_city", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_state", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_country", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("shipping_phone", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_first_name", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_last_name", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_company", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_street", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_street2", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_postal_code", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_city", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_state", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_country", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("billing_phone", sa.Text(), nullable=True, comment="buyer's data"),
        sa.Column("raw", sa.JSON(), nullable=False, comment="the marketplace's own record, whole, as it came"),
        sa.Column(
            "fingerprint", sa.LargeBinary(), nullable=False, comment="hash of the raw record, to tell unchanged ones"
        ),
        sa.Column(
            "buyer_data_blanked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the account's retention blanked the buyer's data",
        ),
        sa.Column(
            "revision", sa.Integer(), server_default="1", nullable=False, comment="counts the stored changes, from 1"
        ),
        sa.Column(
            "first_stored_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when we stored it first",
        ),
        sa.Column(
            "stored_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when we stored its last change",
        ),
        sa.PrimaryKeyConstraint("account", "order_id"),
        comment="One row an order of an account.",
    )
    op.create_index("orders_created", "orders", ["account", "created_at"], unique=False)
    op.create_index(
        "orders_lacking_papers",
        "orders",
        ["account", "created_at"],
        unique=False,
        postgresql_where=sa.text("delivery_note_url IS NULL OR label_url IS NULL"),
    )
    op.create_table(
        "rate_limits",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("next_slot", sa.DateTime(timezone=True), nullable=False, comment="when the next call may start"),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True, comment="told by the marketplace (429)"),
        sa.Column("day", sa.Date(), nullable=True, comment="the UTC day that day_calls counts"),
        sa.Column("day_calls", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("account", "bucket"),
        comment="The pace of calls, shared by all lanes of an account on all machines.",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "rejected_records",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="order or care"),
        sa.Column(
            "record_id", sa.Text(), nullable=False, comment="the marketplace's id, or the hash of an unusable one"
        ),
        sa.Column("raw", sa.LargeBinary(), nullable=False, comment="the record as it came, byte for byte"),
        sa.Column(
            "reasons",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="a list of {where, what, allowed}",
        ),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""
        ),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""
        ),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "resolved_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when a later version of it passed; empty while rejected",
        ),
        sa.PrimaryKeyConstraint("account", "kind", "record_id"),
        comment="Records that failed validation, whole, with the reasons, until they pass.",
    )
    op.create_table(
        "schedule_ticks",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sync_type", sa.Text(), nullable=False),
        sa.Column("tick_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""),
        sa.PrimaryKeyConstraint("account", "sync_type", "tick_at"),
        comment="Which schedule ticks were taken, so that of several daemons only one acts on a tick.",
    )
    op.create_table(
        "stock_levels",
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column(
            "on_hand",
            sa.Integer(),
            nullable=True,
            comment="pieces in the warehouse; empty for a SKU that no import knows",
        ),
        sa.Column("reserved", sa.Integer(), server_default="0", nullable=False, comment="pieces under an active lock"),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=True, comment="when on_hand was last imported"),
        sa.CheckConstraint("reserved >= 0", name="stock_levels_reserved_not_negative"),
        sa.PrimaryKeyConstraint("sku"),
        comment="Stock by SKU. Available is on_hand - reserved.",
    )
    op.create_table(
        "stock_lock_history",
        sa.Column("entry_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column(
            "event_id", sa.BigInteger(), nullable=True, comment="the event that caused it; empty: a stock import did"
        ),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""),
        sa.PrimaryKeyConstraint("entry_id"),
        comment="Every step of every lock, with its cause.",
    )
    op.create_index("stock_lock_history_item", "stock_lock_history", ["account", "item_id"], unique=False)
    op.create_index("stock_lock_history_sku", "stock_lock_history", ["sku"], unique=False)
    op.create_table(
        "stock_locks",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="locked, released, consumed or short"),
        sa.Column("problem", sa.Text(), nullable=True, comment="why it is short"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="the order's revision it was last decided by"),
        sa.Column(
            "since",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it came into this state",
        ),
        sa.CheckConstraint("state IN ('locked','released','consumed','short')", name="stock_locks_state"),
        sa.PrimaryKeyConstraint("account", "item_id"),
        comment="One row an order item: the reservation of its quantity.",
    )
    op.create_index("stock_locks_sku", "stock_locks", ["sku", "state"], unique=False)
