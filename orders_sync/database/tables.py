"""The tables of the orders database, each with what its columns mean.

Keys are always (account, the marketplace's own id): ids of two marketplaces may be equal. Times are
`timestamptz`; amounts are `numeric` in the currency of their row. The alembic migrations build these tables; a
test holds the two together.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

NOW = func.now()
EMPTY_JSON = text("'{}'::jsonb")

ADDRESS_PARTS = (
    "first_name", "last_name", "company", "street", "street2",
    "postal_code", "city", "state", "country", "phone",
)  # fmt: skip


def _time(name: str, comment: str, *, now: bool = False) -> Column[object]:
    if now:
        return Column(name, DateTime(timezone=True), nullable=False, server_default=NOW, comment=comment)
    return Column(name, DateTime(timezone=True), comment=comment)


def _address(kind: str) -> list[Column[str]]:
    return [Column(f"{kind}_{part}", Text, comment="buyer's data") for part in ADDRESS_PARTS]


orders = Table(
    "orders",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account, by the name of its folder"),
    Column("order_id", Text, primary_key=True, comment="the marketplace's own id"),
    Column("status", Text, nullable=False, comment="our vocabulary, see sync/statuses.py"),
    Column("marketplace_state", Text, comment="the marketplace's own word for the state"),
    _time("created_at", "when the buyer ordered, by the marketplace"),
    _time("modified_at", "last change, by the marketplace; never goes back"),
    _time("paid_at", "when it was paid, by the marketplace"),
    _time("shipped_at", "when it was shipped, by the marketplace"),
    _time("dispatch_due_at", "when the marketplace expects the dispatch"),
    Column("currency", Text, comment="ISO 4217 code of the order's amounts"),
    Column("items_total", Numeric, comment="price of all items, tax included, without shipping"),
    Column("shipping_total", Numeric, comment="price of shipping, tax included"),
    Column("sales_taxes", Numeric, comment="sales taxes where the marketplace tells them"),
    Column("country_code", Text, comment="the marketplace's country code, e.g. fr-fr"),
    Column("payment_method", Text, comment="the marketplace's word, e.g. PAYPAL"),
    Column("marketplace_shipping", Boolean, comment="false: the marketplace makes no shipping label"),
    Column("marketplace_delivery_note", Boolean, comment="false: the marketplace makes no delivery note"),
    Column("carrier", Text, comment="name of the shipper"),
    Column("tracking_number", Text),
    Column("tracking_url", Text),
    Column("delivery_note_url", Text, comment="the delivery note; stored, never fetched"),
    Column("label_url", Text, comment="the shipping label; stored, never fetched"),
    Column("buyer_email", Text, comment="buyer's data"),
    *_address("shipping"),
    *_address("billing"),
    # json, not jsonb: it keeps the record as it came, and storing it costs half (bench/README.md).
    Column("raw", JSON, nullable=False, comment="the marketplace's own record, whole, as it came"),
    Column("fingerprint", LargeBinary, nullable=False, comment="hash of the raw record, to tell unchanged ones"),
    _time("buyer_data_blanked_at", "when the account's retention blanked the buyer's data"),
    Column("revision", Integer, nullable=False, server_default="1", comment="counts the stored changes, from 1"),
    _time("first_stored_at", "when we stored it first", now=True),
    _time("stored_at", "when we stored its last change", now=True),
    comment="One row an order of an account.",
)
Index("orders_created", orders.c.account, orders.c.created_at)

order_items = Table(
    "order_items",
    metadata,
    Column("account", Text, primary_key=True),
    Column("item_id", Text, primary_key=True, comment="the marketplace's id of the orderline"),
    Column("order_id", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("status", Text, nullable=False, comment="our vocabulary, see sync/statuses.py"),
    Column("marketplace_state", Text, comment="the marketplace's own word for the state"),
    _time("created_at", "by the marketplace"),
    Column("currency", Text, comment="ISO 4217 code of the item's amounts"),
    Column("price", Numeric, comment="price of the item for its whole quantity, tax included, without shipping"),
    Column("shipping_price", Numeric),
    Column("fee", Numeric, comment="the marketplace's commission"),
    Column("product", Text, comment="title of the product"),
    Column("listing_id", Text, comment="the marketplace's id of the listing"),
    Column("imei", Text),
    Column("serial_number", Text),
    Column("care_id", Text, comment="the latest care record of this item"),
    _time("first_stored_at", "when we stored it first", now=True),
    _time("stored_at", "when we stored its last change", now=True),
    comment="One row an order item (the marketplace's orderline).",
)
Index("order_items_order", order_items.c.account, order_items.c.order_id)

care_records = Table(
    "care_records",
    metadata,
    Column("account", Text, primary_key=True),
    Column("care_id", Text, primary_key=True, comment="the marketplace's id of the care case"),
    Column("kind", Text, nullable=False, comment="replacement, return, refund or other"),
    Column("state", Text, nullable=False, comment="open, closed or unknown"),
    Column("marketplace_state", Text),
    _time("opened_at", "by the marketplace"),
    _time("modified_at", "by the marketplace; never goes back"),
    _time("closed_at", "by the marketplace"),
    Column("raw", JSONB, nullable=False, comment="the marketplace's own record, whole"),
    Column("fingerprint", LargeBinary, nullable=False),
    _time("buyer_data_blanked_at", "when the account's retention blanked the buyer's data"),
    _time("first_stored_at", "when we stored it first", now=True),
    _time("stored_at", "when we stored its last change", now=True),
    comment="One row a care case: replacement, return, refund or other.",
)
care_record_items = Table(
    "care_record_items",
    metadata,
    Column("account", Text, primary_key=True),
    Column("care_id", Text, primary_key=True),
    Column("item_id", Text, primary_key=True, comment="the order item it is about, as the marketplace names it"),
    _time("linked_at", "when it was linked to the stored item; empty while the item isn't known yet"),
    comment="Which order items a care case is about.",
)
Index("care_record_items_item", care_record_items.c.account, care_record_items.c.item_id)
Index("care_record_items_unlinked", care_record_items.c.account, postgresql_where=text("linked_at IS NULL"))

order_events = Table(
    "order_events",
    metadata,
    Column("event_id", BigInteger, Identity(), primary_key=True),
    Column("account", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("item_id", Text, nullable=False, server_default="", comment="empty: the event is about the order"),
    Column("kind", Text, nullable=False, comment="OrderCreated or OrderStatusChanged"),
    Column("revision", Integer, nullable=False, comment="the order's revision that this event belongs to"),
    Column("old_status", Text),
    Column("new_status", Text, nullable=False),
    Column("items", JSONB, comment="OrderCreated: the status of each item at creation"),
    _time("recorded_at", "when the change was stored", now=True),
    _time("applied_at", "when the stock job applied it; empty while pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("problem", Text, comment="why it could not be applied"),
    _time("shadow_applied_at", "when it was applied in shadow, while V1 was the truth"),
    Column("shadow_attempts", Integer, nullable=False, server_default="0"),
    Column("shadow_problem", Text),
    UniqueConstraint("account", "order_id", "item_id", "kind", "revision", name="order_events_once"),
    comment="The outbox: written in the transaction that changed the order.",
)
Index("order_events_pending", order_events.c.event_id, postgresql_where=text("applied_at IS NULL"))

lanes = Table(
    "lanes",
    metadata,
    Column("account", Text, primary_key=True),
    Column("sync_type", Text, primary_key=True),
    _time("watermark", "up to when this lane has seen everything, by the marketplace's clock"),
    Column("last_run_id", Text, comment="Dagster's run id, or cli-…"),
    _time("last_started_at", ""),
    _time("last_finished_at", ""),
    _time("last_succeeded_at", ""),
    Column("last_outcome", Text, comment="running, succeeded or failed"),
    Column("last_problem", Text, comment="one line an operator understands"),
    Column("last_summary", JSONB, nullable=False, server_default=EMPTY_JSON),
    comment="One row a lane (account and sync type).",
)

lane_runs = Table(
    "lane_runs",
    metadata,
    Column("lane_run_id", BigInteger, Identity(), primary_key=True),
    Column("account", Text, nullable=False),
    Column("sync_type", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    _time("started_at", "", now=True),
    _time("finished_at", ""),
    Column("outcome", Text, nullable=False, comment="running, succeeded or failed"),
    Column("problem", Text),
    Column("summary", JSONB, nullable=False, server_default=EMPTY_JSON),
    comment="Every pass of every lane, whoever launched it.",
)
Index("lane_runs_lane", lane_runs.c.account, lane_runs.c.sync_type, lane_runs.c.started_at)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("account", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="order or care"),
    Column("record_id", Text, primary_key=True, comment="the marketplace's id, or the hash of an unusable one"),
    Column("raw", LargeBinary, nullable=False, comment="the record as it came, byte for byte"),
    Column("reasons", JSONB, nullable=False, comment="a list of {where, what, allowed}"),
    _time("first_seen_at", "", now=True),
    _time("last_seen_at", "", now=True),
    Column("attempts", Integer, nullable=False, server_default="1"),
    _time("resolved_at", "when a later version of it passed; empty while rejected"),
    comment="Records that failed validation, whole, with the reasons, until they pass.",
)

acceptances = Table(
    "acceptances",
    metadata,
    Column("acceptance_id", BigInteger, Identity(), primary_key=True),
    Column("account", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("sku", Text, nullable=False, comment="empty: all waiting lines of the order"),
    Column("item_id", Text, nullable=False, server_default="", comment="empty: all waiting lines of the SKU"),
    Column("state", Text, nullable=False, comment="requested, accepted, refused, lost or left"),
    Column("request", JSONB, nullable=False, comment="what was asked"),
    Column("answer_status", Integer, comment="HTTP status; empty when no answer came"),
    Column("answer", Text, comment="what was answered, in one line without buyer's data"),
    _time("requested_at", "", now=True),
    _time("answered_at", ""),
    comment="The only writes to a marketplace: each request to accept waiting orderlines, with its answer.",
)
Index("acceptances_order", acceptances.c.account, acceptances.c.order_id)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("account", Text, primary_key=True),
    Column("bucket", Text, primary_key=True),
    Column("next_slot", DateTime(timezone=True), nullable=False, comment="when the next call may start"),
    _time("blocked_until", "told by the marketplace (429)"),
    Column("day", Date, comment="the UTC day that day_calls counts"),
    Column("day_calls", Integer, nullable=False, server_default="0"),
    prefixes=["UNLOGGED"],
    comment="The pace of calls, shared by all lanes of an account on all machines.",
)

stock_levels = Table(
    "stock_levels",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("on_hand", Integer, comment="pieces in the warehouse; empty for a SKU that no import knows"),
    Column("reserved", Integer, nullable=False, server_default="0", comment="pieces under an active lock"),
    _time("imported_at", "when on_hand was last imported"),
    CheckConstraint("reserved >= 0", name="stock_levels_reserved_not_negative"),
    comment="Stock by SKU. Available is on_hand - reserved.",
)

stock_locks = Table(
    "stock_locks",
    metadata,
    Column("account", Text, primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("state", Text, nullable=False, comment="locked, released, consumed or short"),
    Column("problem", Text, comment="why it is short"),
    Column("revision", Integer, nullable=False, comment="the order's revision it was last decided by"),
    _time("since", "when it came into this state", now=True),
    CheckConstraint("state IN ('locked','released','consumed','short')", name="stock_locks_state"),
    comment="One row an order item: the reservation of its quantity.",
)
Index("stock_locks_sku", stock_locks.c.sku, stock_locks.c.state)

stock_lock_history = Table(
    "stock_lock_history",
    metadata,
    Column("entry_id", BigInteger, Identity(), primary_key=True),
    Column("account", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("event_id", BigInteger, comment="the event that caused it; empty: a stock import did"),
    Column("cause", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    _time("at", "", now=True),
    comment="Every step of every lock, with its cause.",
)
Index("stock_lock_history_item", stock_lock_history.c.account, stock_lock_history.c.item_id)
Index("stock_lock_history_sku", stock_lock_history.c.sku)

schedule_ticks = Table(
    "schedule_ticks",
    metadata,
    Column("account", Text, primary_key=True),
    Column("sync_type", Text, primary_key=True),
    Column("tick_at", DateTime(timezone=True), primary_key=True),
    _time("taken_at", "", now=True),
    comment="Which schedule ticks were taken, so that of several daemons only one acts on a tick.",
)

daily_summary = Table(
    "daily_summary",
    metadata,
    Column("account", Text, primary_key=True),
    Column("day", Date, primary_key=True, comment="the UTC day on which the orders were created"),
    Column("currency", Text, primary_key=True),
    Column("orders", Integer, nullable=False),
    Column("items", Integer, nullable=False, comment="pieces, without cancelled and removed ones"),
    Column("revenue", Numeric, nullable=False, comment="price of items that were not cancelled or refunded"),
    Column("cancelled_items", Integer, nullable=False),
    Column("incomplete_papers", Integer, nullable=False, comment="orders that lack a paper they should have"),
    comment="The daily report, one row an account, day and currency.",
)

migration_moves = Table(
    "migration_moves",
    metadata,
    Column("move_id", BigInteger, Identity(), primary_key=True),
    Column("from_phase", Text, nullable=False, comment="parallel, monitor or live"),
    Column("to_phase", Text, nullable=False),
    _time("moved_at", "", now=True),
    Column("moved_by", Text, nullable=False, comment="the user and machine"),
    Column("forced", Boolean, nullable=False, comment="moved although checks did not pass"),
    Column("reason", Text, nullable=False),
    Column("checks", JSONB, nullable=False, comment="the checks as they stood"),
    comment="Every move of the migration from V1 to V2.",
)

migration_comparisons = Table(
    "migration_comparisons",
    metadata,
    Column("account", Text, primary_key=True),
    Column("day", Date, primary_key=True, comment="the UTC day on which the orders were created"),
    _time("compared_at", "", now=True),
    Column("orders_v1", Integer, nullable=False),
    Column("orders_v2", Integer, nullable=False),
    Column("only_in_v1", Integer, nullable=False, comment="missing in V2"),
    Column("only_in_v2", Integer, nullable=False, comment="missing in V1"),
    Column("differing", Integer, nullable=False, comment="orders in both that differ"),
    Column("in_flight", Integer, nullable=False, comment="differences that one side could not know of yet"),
    Column("agreement", Numeric, nullable=False, comment="per cent of the day's orders"),
    Column("locks_v1", Integer, nullable=False),
    Column("locks_v2", Integer, nullable=False),
    Column("locks_differing", Integer, nullable=False),
    Column("first_in_v1", Integer, nullable=False, comment="orders that V1 stored first"),
    Column("first_in_v2", Integer, nullable=False),
    Column("v2_later_seconds", Numeric, comment="median of how much later V2 stored an order; below 0: earlier"),
    Column("calls_v1", Integer, comment="API calls of the day; empty where V1 does not tell"),
    Column("calls_v2", Integer, nullable=False),
    Column("too_many_requests_v2", Integer, nullable=False),
    Column("verdict", Text, nullable=False, comment="one line"),
    comment="V1 and V2 compared, one row an account and day.",
)

migration_differences = Table(
    "migration_differences",
    metadata,
    Column("difference_id", BigInteger, Identity(), primary_key=True),
    Column("account", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("item_id", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False, comment="only in V1, only in V2, differs, lock only in V1, …"),
    Column("field", Text, nullable=False, server_default=""),
    Column("v1", Text),
    Column("v2", Text),
    Column("in_flight", Boolean, nullable=False, comment="one side could not know of it yet"),
    comment="What differs between V1 and V2, field by field.",
)
Index("migration_differences_day", migration_differences.c.account, migration_differences.c.day)
