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
    Column("order_id", Text, primary_key=True, comment="the marketplace's id of the order"),
    Column("status", Text, nullable=False, comment="our status of the order: docs/reference/states.md"),
    Column("marketplace_state", Text, comment="the marketplace's own word or number for the state"),
    _time("created_at", "when the buyer ordered, by the marketplace"),
    _time("modified_at", "last change, by the marketplace; never goes back"),
    _time("paid_at", "when it was paid, by the marketplace"),
    _time("shipped_at", "when it was shipped, by the marketplace"),
    _time("dispatch_due_at", "when the marketplace expects the dispatch"),
    Column("currency", Text, comment="ISO 4217 code of the order's amounts"),
    Column(
        "items_total",
        Numeric,
        info={"unit": "amount in `currency`"},
        comment="price of all items, tax included, without shipping",
    ),
    Column("shipping_total", Numeric, info={"unit": "amount in `currency`"}, comment="price of shipping, tax included"),
    Column(
        "sales_taxes",
        Numeric,
        info={"unit": "amount in `currency`"},
        comment="sales taxes, where the marketplace reports them",
    ),
    Column("country_code", Text, comment="the marketplace's country code, e.g. fr-fr"),
    Column("payment_method", Text, comment="the marketplace's word for the payment method, e.g. PAYPAL"),
    Column("marketplace_shipping", Boolean, comment="false: the marketplace makes no shipping label"),
    Column("marketplace_delivery_note", Boolean, comment="false: the marketplace makes no delivery note"),
    Column("carrier", Text, comment="name of the carrier"),
    Column("tracking_number", Text, comment="the carrier's number of the parcel"),
    Column("tracking_url", Text, comment="the carrier's page that tracks the parcel"),
    Column("delivery_note_url", Text, comment="URL of the delivery note; stored, never fetched"),
    Column("label_url", Text, comment="URL of the shipping label; stored, never fetched"),
    Column("buyer_email", Text, comment="buyer's data"),
    *_address("shipping"),
    *_address("billing"),
    # json, not jsonb: it keeps the record as it came, and storing it costs half (bench/README.md).
    Column("raw", JSON, nullable=False, comment="the marketplace's own record, whole, as it came"),
    Column(
        "fingerprint",
        LargeBinary,
        nullable=False,
        comment="hash of the raw record: tells unchanged records from changed ones",
    ),
    _time("buyer_data_blanked_at", "when the account's retention blanked the buyer's data"),
    Column(
        "revision",
        Integer,
        nullable=False,
        server_default="1",
        info={"unit": "count"},
        comment="counts the stored changes of the order, from 1",
    ),
    _time("first_stored_at", "when we stored it first", now=True),
    _time("stored_at", "when we stored its last change", now=True),
    comment="One row for each order of an account.",
)
Index("orders_created", orders.c.account, orders.c.created_at)

order_items = Table(
    "order_items",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("item_id", Text, primary_key=True, comment="the marketplace's id of the orderline"),
    Column("order_id", Text, nullable=False, comment="the order that the item belongs to"),
    Column("sku", Text, nullable=False, comment="the merchant's article number"),
    Column("quantity", Integer, nullable=False, info={"unit": "pieces"}, comment="how many pieces the buyer ordered"),
    Column("status", Text, nullable=False, comment="our status of the item: docs/reference/states.md"),
    Column("marketplace_state", Text, comment="the marketplace's own word or number for the state"),
    _time("created_at", "when the item was ordered, by the marketplace"),
    Column("currency", Text, comment="ISO 4217 code of the item's amounts"),
    Column(
        "price",
        Numeric,
        info={"unit": "amount in `currency`"},
        comment="price of the item for its whole quantity, tax included, without shipping",
    ),
    Column(
        "shipping_price",
        Numeric,
        info={"unit": "amount in `currency`"},
        comment="price of shipping of the item for its whole quantity, tax included",
    ),
    Column("fee", Numeric, info={"unit": "amount in `currency`"}, comment="the marketplace's commission for the item"),
    Column("product", Text, comment="title of the product"),
    Column("listing_id", Text, comment="the marketplace's id of the listing"),
    Column("imei", Text, comment="IMEI of the device that was sent"),
    Column("serial_number", Text, comment="serial number of the device that was sent"),
    Column("care_id", Text, comment="the latest care record about this item"),
    _time("first_stored_at", "when we stored it first", now=True),
    _time("stored_at", "when we stored its last change", now=True),
    comment="One row for each order item (the marketplace's orderline).",
)
Index("order_items_order", order_items.c.account, order_items.c.order_id)

care_records = Table(
    "care_records",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("care_id", Text, primary_key=True, comment="the marketplace's id of the care record"),
    Column("kind", Text, nullable=False, comment="replacement, return, refund or other"),
    Column("state", Text, nullable=False, comment="open, closed or unknown"),
    Column("marketplace_state", Text, comment="the marketplace's own word for the state"),
    _time("opened_at", "when the case was opened, by the marketplace"),
    _time("modified_at", "last change, by the marketplace; never goes back"),
    _time("closed_at", "when the case was closed, by the marketplace; empty while open"),
    Column("raw", JSONB, nullable=False, comment="the marketplace's own record, whole"),
    Column(
        "fingerprint",
        LargeBinary,
        nullable=False,
        comment="hash of the raw record: tells unchanged records from changed ones",
    ),
    _time("buyer_data_blanked_at", "when the account's retention blanked the buyer's data"),
    _time("first_stored_at", "when we stored it first", now=True),
    _time("stored_at", "when we stored its last change", now=True),
    comment="One row for each care record: replacement, return, refund or other.",
)
care_record_items = Table(
    "care_record_items",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("care_id", Text, primary_key=True, comment="the care record"),
    Column(
        "item_id",
        Text,
        primary_key=True,
        comment="the order item that the care record is about, as the marketplace names it",
    ),
    _time("linked_at", "when it was linked to the stored item; empty while the item is not stored yet"),
    comment="Which order items a care record is about.",
)
Index("care_record_items_item", care_record_items.c.account, care_record_items.c.item_id)
Index("care_record_items_unlinked", care_record_items.c.account, postgresql_where=text("linked_at IS NULL"))

order_events = Table(
    "order_events",
    metadata,
    Column(
        "event_id",
        BigInteger,
        Identity(),
        primary_key=True,
        info={"unit": "number"},
        comment="number of the event; numbers are not in the order of commits",
    ),
    Column("account", Text, nullable=False, comment="the seller account"),
    Column("order_id", Text, nullable=False, comment="the order that the event is about"),
    Column(
        "item_id",
        Text,
        nullable=False,
        server_default="",
        comment="the item that the event is about; empty: the event is about the order",
    ),
    Column("kind", Text, nullable=False, comment="OrderCreated or OrderStatusChanged"),
    Column(
        "revision",
        Integer,
        nullable=False,
        info={"unit": "count"},
        comment="the order's revision that this event belongs to",
    ),
    Column("old_status", Text, comment="OrderStatusChanged: the status before the change"),
    Column("new_status", Text, nullable=False, comment="the status after the change"),
    Column("items", JSONB, comment="OrderCreated: the status of each item at creation, by item id"),
    _time("recorded_at", "when the change was stored", now=True),
    _time("applied_at", "when the stock job applied it; empty while pending"),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default="0",
        info={"unit": "count"},
        comment="how often the stock job tried to apply it",
    ),
    Column("problem", Text, comment="why it could not be applied; empty while it could"),
    _time("shadow_applied_at", "when it was applied in shadow, while V1 owned the stock locks"),
    Column(
        "shadow_attempts",
        Integer,
        nullable=False,
        server_default="0",
        info={"unit": "count"},
        comment="how often it was tried in shadow",
    ),
    Column("shadow_problem", Text, comment="why it could not be applied in shadow; empty while it could"),
    UniqueConstraint("account", "order_id", "item_id", "kind", "revision", name="order_events_once"),
    comment="The outbox: written in the transaction that changed the order.",
)
Index("order_events_pending", order_events.c.event_id, postgresql_where=text("applied_at IS NULL"))

lanes = Table(
    "lanes",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("sync_type", Text, primary_key=True, comment="new, modified, care or incomplete"),
    _time("watermark", "up to when this lane has seen everything, by the marketplace's clock"),
    Column("last_run_id", Text, comment="the run of the latest pass: Dagster's run id, or cli-…"),
    _time("last_started_at", "when the latest pass started"),
    _time("last_finished_at", "when the latest pass finished"),
    _time("last_succeeded_at", "when the latest pass that succeeded finished"),
    Column("last_outcome", Text, comment="outcome of the latest pass: running, succeeded or failed"),
    Column("last_problem", Text, comment="why the latest pass failed, in one line for an operator"),
    Column(
        "last_summary",
        JSONB,
        nullable=False,
        server_default=EMPTY_JSON,
        comment="counts and times of the latest pass, by name",
    ),
    comment="One row for each lane (account and sync type).",
)

lane_runs = Table(
    "lane_runs",
    metadata,
    Column(
        "lane_run_id", BigInteger, Identity(), primary_key=True, info={"unit": "number"}, comment="number of the pass"
    ),
    Column("account", Text, nullable=False, comment="the seller account"),
    Column("sync_type", Text, nullable=False, comment="new, modified, care or incomplete"),
    Column("run_id", Text, nullable=False, comment="Dagster's run id, or cli-…"),
    _time("started_at", "when the pass started", now=True),
    _time("finished_at", "when the pass finished; empty while running"),
    Column("outcome", Text, nullable=False, comment="running, succeeded or failed"),
    Column("problem", Text, comment="why the pass failed, in one line for an operator"),
    Column(
        "summary", JSONB, nullable=False, server_default=EMPTY_JSON, comment="counts and times of the pass, by name"
    ),
    comment="Every pass of every lane, whoever started it.",
)
Index("lane_runs_lane", lane_runs.c.account, lane_runs.c.sync_type, lane_runs.c.started_at)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("kind", Text, primary_key=True, comment="order or care"),
    Column("record_id", Text, primary_key=True, comment="the marketplace's id, or the hash of an unusable one"),
    Column("raw", LargeBinary, nullable=False, comment="the record as it came, byte for byte"),
    Column("reasons", JSONB, nullable=False, comment="a list of {where, what, allowed}"),
    _time("first_seen_at", "when it was rejected first", now=True),
    _time("last_seen_at", "when it was rejected last", now=True),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default="1",
        info={"unit": "count"},
        comment="how often it was checked and rejected",
    ),
    _time("resolved_at", "when a later version of it passed; empty while rejected"),
    comment="Records that failed validation, whole, with the reasons, until they pass.",
)

acceptances = Table(
    "acceptances",
    metadata,
    Column(
        "acceptance_id",
        BigInteger,
        Identity(),
        primary_key=True,
        info={"unit": "number"},
        comment="number of the request",
    ),
    Column("account", Text, nullable=False, comment="the seller account"),
    Column("order_id", Text, nullable=False, comment="the order whose lines are accepted"),
    Column(
        "sku", Text, nullable=False, comment="the SKU whose lines are accepted; empty: all waiting lines of the order"
    ),
    Column(
        "item_id",
        Text,
        nullable=False,
        server_default="",
        comment="the item that is accepted; empty: all waiting lines of the SKU",
    ),
    Column("state", Text, nullable=False, comment="requested, accepted, refused, lost or left"),
    Column("request", JSONB, nullable=False, comment="what was sent to the marketplace"),
    Column(
        "answer_status",
        Integer,
        info={"unit": "HTTP status"},
        comment="HTTP status of the answer; empty when no answer came",
    ),
    Column("answer", Text, comment="the answer in one line, without buyer's data"),
    _time("requested_at", "when the request was recorded, before it was sent", now=True),
    _time("answered_at", "when the answer came"),
    comment="The only writes to a marketplace: each request to accept waiting orderlines, with its answer.",
)
Index("acceptances_order", acceptances.c.account, acceptances.c.order_id)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("bucket", Text, primary_key=True, comment="the published limit, by the name that the adapter gives it"),
    Column("next_slot", DateTime(timezone=True), nullable=False, comment="when the next call may start"),
    _time("blocked_until", "until when the marketplace refuses calls (after a 429)"),
    Column("day", Date, comment="the UTC day that day_calls counts"),
    Column(
        "day_calls", Integer, nullable=False, server_default="0", info={"unit": "calls"}, comment="calls of that day"
    ),
    prefixes=["UNLOGGED"],
    comment="The calls to a marketplace: one rate limiter for all lanes of an account on all machines.",
)

stock_levels = Table(
    "stock_levels",
    metadata,
    Column("sku", Text, primary_key=True, comment="the merchant's article number"),
    Column(
        "on_hand",
        Integer,
        info={"unit": "pieces"},
        comment="pieces in the warehouse; empty for a SKU that is not in the stock list",
    ),
    Column(
        "reserved",
        Integer,
        nullable=False,
        server_default="0",
        info={"unit": "pieces"},
        comment="pieces under an active lock",
    ),
    _time("imported_at", "when on_hand was last imported"),
    CheckConstraint("reserved >= 0", name="stock_levels_reserved_not_negative"),
    comment="Stock by SKU. Available is on_hand - reserved.",
)

stock_locks = Table(
    "stock_locks",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("item_id", Text, primary_key=True, comment="the order item"),
    Column("order_id", Text, nullable=False, comment="the order of the item"),
    Column("sku", Text, nullable=False, comment="the SKU that is locked"),
    Column("quantity", Integer, nullable=False, info={"unit": "pieces"}, comment="how many pieces are locked"),
    Column("state", Text, nullable=False, comment="locked, released, consumed or short"),
    Column("problem", Text, comment="why it is short, or what was missing when it was consumed"),
    Column(
        "revision",
        Integer,
        nullable=False,
        info={"unit": "count"},
        comment="the order's revision that decided the state last",
    ),
    _time("since", "when it came into this state", now=True),
    CheckConstraint("state IN ('locked','released','consumed','short')", name="stock_locks_state"),
    comment="One row for each order item with a lock: the reservation of its quantity.",
)
Index("stock_locks_sku", stock_locks.c.sku, stock_locks.c.state)

stock_lock_history = Table(
    "stock_lock_history",
    metadata,
    Column("entry_id", BigInteger, Identity(), primary_key=True, info={"unit": "number"}, comment="number of the step"),
    Column("account", Text, nullable=False, comment="the seller account"),
    Column("item_id", Text, nullable=False, comment="the order item"),
    Column("sku", Text, nullable=False, comment="the SKU of the lock"),
    Column(
        "event_id", BigInteger, info={"unit": "number"}, comment="the event that caused it; empty: a stock import did"
    ),
    Column("cause", Text, nullable=False, comment="the event, or what else caused the step, in words"),
    Column("from_state", Text, comment="the lock's state before; empty: there was no lock"),
    Column("to_state", Text, nullable=False, comment="the lock's state after"),
    Column("quantity", Integer, nullable=False, info={"unit": "pieces"}, comment="pieces of the lock"),
    _time("at", "when the step was made", now=True),
    comment="Every step of every lock, with its cause.",
)
Index("stock_lock_history_item", stock_lock_history.c.account, stock_lock_history.c.item_id)
Index("stock_lock_history_sku", stock_lock_history.c.sku)

schedule_ticks = Table(
    "schedule_ticks",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("sync_type", Text, primary_key=True, comment="new, modified, care or incomplete"),
    Column("tick_at", DateTime(timezone=True), primary_key=True, comment="the moment of the tick, by its cron"),
    _time("taken_at", "when a daemon took it", now=True),
    comment="Which schedule ticks were taken, so that of several daemons only one acts on a tick.",
)

daily_summary = Table(
    "daily_summary",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("day", Date, primary_key=True, comment="the UTC day on which the orders were created"),
    Column("currency", Text, primary_key=True, comment="ISO 4217 code; ? where the orders name none"),
    Column("orders", Integer, nullable=False, info={"unit": "orders"}, comment="orders created on the day"),
    Column(
        "items",
        Integer,
        nullable=False,
        info={"unit": "pieces"},
        comment="pieces ordered, without cancelled and removed ones",
    ),
    Column(
        "revenue",
        Numeric,
        nullable=False,
        info={"unit": "amount in `currency`"},
        comment="price of items that were not cancelled or refunded",
    ),
    Column(
        "cancelled_items",
        Integer,
        nullable=False,
        info={"unit": "pieces"},
        comment="pieces cancelled, removed, unpaid or refunded before shipping",
    ),
    Column(
        "incomplete_papers",
        Integer,
        nullable=False,
        info={"unit": "orders"},
        comment="orders that lack a document they should have",
    ),
    comment="The daily report: one row for each account, day and currency.",
)

migration_moves = Table(
    "migration_moves",
    metadata,
    Column("move_id", BigInteger, Identity(), primary_key=True, info={"unit": "number"}, comment="number of the move"),
    Column("from_phase", Text, nullable=False, comment="the phase before: parallel, monitor or live"),
    Column("to_phase", Text, nullable=False, comment="the phase after: parallel, monitor or live"),
    _time("moved_at", "when it was moved", now=True),
    Column("moved_by", Text, nullable=False, comment="the user and the machine"),
    Column("forced", Boolean, nullable=False, comment="moved although checks did not pass"),
    Column("reason", Text, nullable=False, comment="the reason that the person gave"),
    Column("checks", JSONB, nullable=False, comment="the checks and their results at that moment"),
    comment="Every move from one phase of the cutover to another.",
)

migration_comparisons = Table(
    "migration_comparisons",
    metadata,
    Column("account", Text, primary_key=True, comment="the seller account"),
    Column("day", Date, primary_key=True, comment="the UTC day on which the orders were created"),
    _time("compared_at", "when the day was compared last", now=True),
    Column("orders_v1", Integer, nullable=False, info={"unit": "orders"}, comment="orders of the day in V1"),
    Column("orders_v2", Integer, nullable=False, info={"unit": "orders"}, comment="orders of the day in V2"),
    Column("only_in_v1", Integer, nullable=False, info={"unit": "orders"}, comment="orders that are missing in V2"),
    Column("only_in_v2", Integer, nullable=False, info={"unit": "orders"}, comment="orders that are missing in V1"),
    Column("differing", Integer, nullable=False, info={"unit": "orders"}, comment="orders in both that differ"),
    Column(
        "in_flight",
        Integer,
        nullable=False,
        info={"unit": "differences"},
        comment="differences that one side could not know of yet",
    ),
    Column(
        "agreement",
        Numeric,
        nullable=False,
        info={"unit": "per cent"},
        comment="share of the day's orders that are equal in both",
    ),
    Column(
        "locks_v1", Integer, nullable=False, info={"unit": "locks"}, comment="V1's active locks of the day's orders"
    ),
    Column(
        "locks_v2", Integer, nullable=False, info={"unit": "locks"}, comment="V2's active locks of the day's orders"
    ),
    Column("locks_differing", Integer, nullable=False, info={"unit": "locks"}, comment="locks that differ"),
    Column("first_in_v1", Integer, nullable=False, info={"unit": "orders"}, comment="orders that V1 stored first"),
    Column("first_in_v2", Integer, nullable=False, info={"unit": "orders"}, comment="orders that V2 stored first"),
    Column(
        "v2_later_seconds",
        Numeric,
        info={"unit": "seconds"},
        comment="median of how much later V2 stored an order; below 0: earlier",
    ),
    Column(
        "calls_v1",
        Integer,
        info={"unit": "calls"},
        comment="V1's API calls of the day; empty where V1 does not count them",
    ),
    Column("calls_v2", Integer, nullable=False, info={"unit": "calls"}, comment="V2's API calls of the day"),
    Column(
        "too_many_requests_v2",
        Integer,
        nullable=False,
        info={"unit": "answers"},
        comment="answers of 429 that V2 got on the day",
    ),
    Column("verdict", Text, nullable=False, comment="the result of the day in one line"),
    comment="V1 and V2 compared: one row for each account and day.",
)

migration_differences = Table(
    "migration_differences",
    metadata,
    Column(
        "difference_id",
        BigInteger,
        Identity(),
        primary_key=True,
        info={"unit": "number"},
        comment="number of the difference",
    ),
    Column("account", Text, nullable=False, comment="the seller account"),
    Column("day", Date, nullable=False, comment="the UTC day on which the order was created"),
    Column("order_id", Text, nullable=False, comment="the order"),
    Column("item_id", Text, nullable=False, server_default="", comment="the item; empty: the order itself differs"),
    Column("kind", Text, nullable=False, comment="only in V1, only in V2, differs, lock only in V1, …"),
    Column("field", Text, nullable=False, server_default="", comment="the field that differs; empty: the whole record"),
    Column("v1", Text, comment="the value in V1"),
    Column("v2", Text, comment="the value in V2"),
    Column("in_flight", Boolean, nullable=False, comment="whether one side could not know of it yet"),
    comment="What differs between V1 and V2, field by field.",
)
Index("migration_differences_day", migration_differences.c.account, migration_differences.c.day)
