"""The tables of the orders database. The comments are the data dictionary: what each table and column means.

The comments reach the database by the alembic revisions, and tools show them (psql's `\\d+`, the Dagster UI). Keys
are always (account, the marketplace's own id), since two marketplaces may use equal ids. Times are `timestamptz`:
moments, whatever time zone shows them. `our clock` is that of the database server. Amounts are `numeric` in the
currency of their row. The alembic revisions build these tables; a test holds the two together.
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

PERSONAL_DATA = {"personal_data": True}
"""The `info` of columns that hold the buyer's personal data."""

ADDRESS_PARTS = (
    "first_name", "last_name", "company", "street", "street2",
    "postal_code", "city", "state", "country", "phone",
)  # fmt: skip

ACCOUNT = "Name of the seller account: the name of the folder of its account file."
ORDER_ID = "The marketplace's id of the order."
ITEM_ID = "The marketplace's id of the order item (orderline)."
SYNC_TYPE = "Sync type of the lane: new, modified, care or incomplete."
STATUS = "Status in the project's vocabulary (orders_sync/model/statuses.py), e.g. pending or shipped."
MARKETPLACE_STATE = "State as the marketplace names it."
SKU = "Stock keeping unit: the seller's own id of the product."
OUTCOME = "running, succeeded, partial (some records could not be fetched, and are rejected records) or failed."
BLANKED_AT = "When the account's retention blanked the buyer's data, by our clock; empty: not blanked."
FIRST_STORED_AT = "When we stored the row first, by our clock."
STORED_AT = "When we stored its latest change, by our clock."


def _time(name: str, comment: str, *, now: bool = False) -> Column[object]:
    """A moment; with `now`, required, and the time of the insert by default."""
    if now:
        return Column(name, DateTime(timezone=True), nullable=False, server_default=NOW, comment=comment)
    return Column(name, DateTime(timezone=True), comment=comment)


def _address(kind: str) -> list[Column[str]]:
    """The ten columns of a buyer's address."""
    return [
        Column(
            f"{kind}_{part}",
            Text,
            info=PERSONAL_DATA,
            comment=f"Buyer's data: {part.replace('street2', 'second line of the street').replace('_', ' ')} "
            f"of the {kind} address.",
        )
        for part in ADDRESS_PARTS
    ]


orders = Table(
    "orders",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("order_id", Text, primary_key=True, comment=ORDER_ID),
    Column("status", Text, nullable=False, comment=STATUS),
    Column("marketplace_state", Text, comment=MARKETPLACE_STATE),
    _time("created_at", "When the buyer ordered, by the marketplace's clock."),
    _time("modified_at", "When the order last changed, by the marketplace's clock; never goes back."),
    _time("paid_at", "When the order was paid, by the marketplace's clock."),
    _time("shipped_at", "When the order was shipped, by the marketplace's clock."),
    _time("dispatch_due_at", "When the marketplace expects the dispatch at the latest."),
    Column("currency", Text, comment="ISO 4217 code of the currency of the order's amounts, e.g. EUR."),
    Column("items_total", Numeric, comment="Price of all items in `currency`, tax included, shipping not included."),
    Column("shipping_total", Numeric, comment="Price of the shipping in `currency`, tax included."),
    Column("sales_taxes", Numeric, comment="Sales taxes in `currency`; empty: the marketplace does not report them."),
    Column("country_code", Text, comment="Country code as the marketplace writes it, e.g. fr-fr."),
    Column("payment_method", Text, comment="Payment method as the marketplace names it, e.g. PAYPAL."),
    Column(
        "marketplace_shipping", Boolean,
        comment="Whether the marketplace provides the shipping label; empty: the marketplace does not say.",
    ),
    Column(
        "marketplace_delivery_note", Boolean,
        comment="Whether the marketplace provides the delivery note; empty: the marketplace does not say.",
    ),
    Column("carrier", Text, comment="Name of the carrier that ships the order."),
    Column("tracking_number", Text, comment="The carrier's tracking number."),
    Column("tracking_url", Text, comment="URL of the carrier's tracking page; stored, never fetched."),
    Column("delivery_note_url", Text, comment="URL of the delivery note to use; stored, never fetched."),
    Column("label_url", Text, comment="URL of the shipping label to use, of those in order_documents; never fetched."),
    Column("buyer_email", Text, info=PERSONAL_DATA, comment="Buyer's data: e-mail address."),
    *_address("shipping"),
    *_address("billing"),
    # json, not jsonb: it keeps the record as received, and storing it costs half (bench/README.md).
    Column("raw", JSON, nullable=False, comment="The marketplace's record of the order, whole, as received."),
    Column(
        "fingerprint", LargeBinary, nullable=False,
        comment="16-byte hash of the raw record; a record with the same hash is unchanged.",
    ),
    _time("buyer_data_blanked_at", BLANKED_AT),
    Column(
        "revision", Integer, nullable=False, server_default="1", comment="Number of the order's stored version, from 1."
    ),
    _time("first_stored_at", FIRST_STORED_AT, now=True),
    _time("stored_at", STORED_AT, now=True),
    _time(
        "fetched_by_id_at",
        "When the order was last fetched by its id because no list contained it any more, by our clock.",
    ),
    comment="One row per order of an account.",
)  # fmt: skip
Index("orders_created", orders.c.account, orders.c.created_at)
Index("orders_pending", orders.c.account, orders.c.order_id, postgresql_where=text("status = 'pending'"))

order_items = Table(
    "order_items",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("item_id", Text, primary_key=True, comment=ITEM_ID),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column("sku", Text, nullable=False, comment=SKU),
    Column("quantity", Integer, nullable=False, comment="Ordered quantity, in pieces."),
    Column("status", Text, nullable=False, comment=STATUS),
    Column("marketplace_state", Text, comment=MARKETPLACE_STATE),
    _time("created_at", "When the item was ordered, by the marketplace's clock."),
    Column("currency", Text, comment="ISO 4217 code of the currency of the item's amounts, e.g. EUR."),
    Column(
        "price", Numeric,
        comment="Price of the whole quantity in `currency`, tax included, shipping not included.",
    ),
    Column("shipping_price", Numeric, comment="Price of the item's shipping in `currency`, tax included."),
    Column("fee", Numeric, comment="The marketplace's commission in `currency`."),
    Column("product", Text, comment="Title of the product."),
    Column("listing_id", Text, comment="The marketplace's id of the listing."),
    Column("imei", Text, comment="IMEI of the device, when the marketplace reports it."),
    Column("serial_number", Text, comment="Serial number of the device, when the marketplace reports it."),
    Column(
        "kind", Text, nullable=False, server_default="goods",
        comment="goods, gift_card, discount, fee, gift_wrap, shipping or service; only goods are locked in stock.",
    ),
    Column(
        "cancelled", Integer,
        comment="Pieces of `quantity` that will not ship; empty: the marketplace does not say.",
    ),
    Column("shipped", Integer, comment="Pieces of `quantity` that have left; empty: the marketplace does not say."),
    Column("refunded", Integer, comment="Refunded pieces; empty: the marketplace does not say."),
    Column("returned", Integer, comment="Pieces that came back; empty: the marketplace does not say."),
    Column(
        "care_id", Text,
        comment="The marketplace's id of the latest care record about this item, cancelled ones last; empty: none.",
    ),
    _time("first_stored_at", FIRST_STORED_AT, now=True),
    _time("stored_at", STORED_AT, now=True),
    comment="One row per order item (the marketplace's orderline).",
)  # fmt: skip
Index("order_items_order", order_items.c.account, order_items.c.order_id)
Index(
    "order_items_open", order_items.c.account, order_items.c.item_id,
    postgresql_where=text("status IN ('pending', 'accepted', 'unknown')"),
)  # fmt: skip

order_documents = Table(
    "order_documents",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("order_id", Text, primary_key=True, comment=ORDER_ID),
    Column("kind", Text, primary_key=True, comment="delivery_note or label."),
    Column(
        "document_key", Text, primary_key=True,
        comment="The marketplace's id of the document, unique among those of the order and kind.",
    ),
    Column("url", Text, comment="URL of the document; stored, never fetched. Empty: the marketplace gives none."),
    Column("carrier", Text, comment="Name of the carrier of the parcel; empty: the marketplace does not say."),
    Column("tracking_number", Text, comment="The carrier's tracking number of the parcel."),
    Column(
        "item_ids", JSONB, nullable=False, server_default=text("'[]'::jsonb"),
        comment="The marketplace's ids of the order items it is for, a list; []: the marketplace does not say.",
    ),
    _time("read_at", "When we last read it at the marketplace, by our clock.", now=True),
    _time("expires_at", "When the URL stops working, by the marketplace's clock; empty: it does not."),
    _time("cancelled_at", "When it was cancelled, or the marketplace listed others instead; empty: it was not."),
    _time("first_stored_at", FIRST_STORED_AT, now=True),
    comment="The delivery notes and labels of orders, one row per document: one label for each parcel.",
)  # fmt: skip
Index(
    "order_documents_expiring", order_documents.c.account, order_documents.c.expires_at,
    postgresql_where=text("expires_at IS NOT NULL AND cancelled_at IS NULL"),
)  # fmt: skip

care_records = Table(
    "care_records",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("care_id", Text, primary_key=True, comment="The marketplace's id of the care case."),
    Column("kind", Text, nullable=False, comment="replacement, return, refund or other."),
    Column("state", Text, nullable=False, comment="open, closed, cancelled (nothing comes of it) or unknown."),
    Column("marketplace_state", Text, comment=MARKETPLACE_STATE),
    _time("opened_at", "When the case was opened, by the marketplace's clock."),
    _time("modified_at", "When the case last changed, by the marketplace's clock; never goes back."),
    _time("closed_at", "When the case was closed, by the marketplace's clock."),
    Column("raw", JSONB, nullable=False, comment="The marketplace's record of the care case, whole."),
    Column(
        "fingerprint", LargeBinary, nullable=False,
        comment="16-byte hash of the raw record; a record with the same hash is unchanged.",
    ),
    _time("buyer_data_blanked_at", BLANKED_AT),
    _time("first_stored_at", FIRST_STORED_AT, now=True),
    _time("stored_at", STORED_AT, now=True),
    comment="One row per care case: a replacement, return, refund or other.",
)  # fmt: skip
care_record_items = Table(
    "care_record_items",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("care_id", Text, primary_key=True, comment="The marketplace's id of the care case."),
    Column("item_id", Text, primary_key=True, comment="The marketplace's id of the order item that the case is about."),
    Column(
        "quantity", Integer,
        comment="Pieces of the item that come back, or that the case is about; empty: the marketplace does not say.",
    ),
    _time("linked_at", "When the case was linked to the stored item, by our clock; empty: the item is not stored yet."),
    comment="The order items of each care case, one row per case and item.",
)  # fmt: skip
Index("care_record_items_item", care_record_items.c.account, care_record_items.c.item_id)
Index("care_record_items_unlinked", care_record_items.c.account, postgresql_where=text("linked_at IS NULL"))

order_events = Table(
    "order_events",
    metadata,
    Column("event_id", BigInteger, Identity(), primary_key=True, comment="Running number of the event."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column(
        "item_id", Text, nullable=False, server_default="",
        comment="The marketplace's id of the order item; '': the event is about the order.",
    ),
    Column("kind", Text, nullable=False, comment="OrderCreated or OrderStatusChanged."),
    Column("revision", Integer, nullable=False, comment="The order's revision that the event belongs to."),
    Column("old_status", Text, comment="Status before the change; empty: OrderCreated, or a new item."),
    Column("new_status", Text, nullable=False, comment="Status after the change."),
    Column("items", JSONB, comment="OrderCreated: the status of each item at creation, by item id. Else empty."),
    _time("recorded_at", "When the change was stored, by our clock.", now=True),
    _time("applied_at", "When the stock job applied the event, by our clock; empty: pending."),
    Column("attempts", Integer, nullable=False, server_default="0", comment="Number of attempts to apply the event."),
    Column("problem", Text, comment="Why the last attempt failed; empty: it did not."),
    _time("shadow_applied_at", "When the event was applied to the shadow stock (V1 has the authority), by our clock."),
    Column(
        "shadow_attempts", Integer, nullable=False, server_default="0",
        comment="Number of attempts to apply the event to the shadow stock.",
    ),
    Column("shadow_problem", Text, comment="Why the last attempt on the shadow stock failed; empty: it did not."),
    UniqueConstraint("account", "order_id", "item_id", "kind", "revision", name="order_events_once"),
    comment="The outbox, one row per event, written in the transaction that changed the order.",
)  # fmt: skip
Index("order_events_pending", order_events.c.event_id, postgresql_where=text("applied_at IS NULL"))

lanes = Table(
    "lanes",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("sync_type", Text, primary_key=True, comment=SYNC_TYPE),
    _time("watermark", "Up to when the lane has seen everything, by the marketplace's clock; empty: not yet."),
    Column("last_run_id", Text, comment="Id of the last run: Dagster's run id, or cli-… for the command line."),
    _time("last_started_at", "When the last pass started, by our clock."),
    _time("last_finished_at", "When a pass last finished, by our clock."),
    _time("last_succeeded_at", "When a pass last succeeded, by our clock."),
    Column("last_outcome", Text, comment="Outcome of the last pass: " + OUTCOME),
    Column("last_problem", Text, comment="Why the last pass failed, in one line; empty: it did not."),
    Column(
        "last_summary", JSONB, nullable=False, server_default=EMPTY_JSON,
        comment="Counts of the last finished pass, as in lane_runs.summary.",
    ),
    comment="One row per lane (account and sync type).",
)  # fmt: skip

watermark_rewinds = Table(
    "watermark_rewinds",
    metadata,
    Column("rewind_id", BigInteger, Identity(), primary_key=True, comment="Running number of the rewind."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("sync_type", Text, nullable=False, comment=SYNC_TYPE),
    Column("from_watermark", DateTime(timezone=True), nullable=False, comment="Watermark of the lane before."),
    Column("to_watermark", DateTime(timezone=True), nullable=False, comment="Watermark of the lane after."),
    _time("rewound_at", "When the watermark was set back, by our clock.", now=True),
    Column("rewound_by", Text, nullable=False, comment="Who set it back: user@machine."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    comment="One row per watermark that was set back by hand.",
)

lane_runs = Table(
    "lane_runs",
    metadata,
    Column("lane_run_id", BigInteger, Identity(), primary_key=True, comment="Running number of the pass."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("sync_type", Text, nullable=False, comment=SYNC_TYPE),
    Column("run_id", Text, nullable=False, comment="Dagster's run id, or cli-… for the command line."),
    _time("started_at", "When the pass started, by our clock.", now=True),
    _time("finished_at", "When the pass finished, by our clock; empty: it has not."),
    Column("outcome", Text, nullable=False, comment="Outcome of the pass: " + OUTCOME),
    Column("problem", Text, comment="Why the pass failed, in one line; empty: it did not."),
    Column(
        "summary", JSONB, nullable=False, server_default=EMPTY_JSON,
        comment="Counts of the pass by name (orders_sync/model/pass_summary.py); durations in seconds.",
    ),
    comment="One row per pass of a lane, from Dagster and from the command line.",
)  # fmt: skip
Index("lane_runs_lane", lane_runs.c.account, lane_runs.c.sync_type, lane_runs.c.started_at)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("kind", Text, primary_key=True, comment="order or care."),
    Column(
        "record_id", Text, primary_key=True,
        comment="The marketplace's id of the record; 'hash:…' of its bytes when it has no usable id.",
    ),
    Column("raw", LargeBinary, nullable=False, comment="The record byte for byte as received; may hold buyer's data."),
    Column(
        "reasons", JSONB, nullable=False,
        comment="Every reason for the rejection: a list of {where, what, allowed}, without buyer's data.",
    ),
    _time("first_seen_at", "When the record was first rejected, by our clock.", now=True),
    _time("last_seen_at", "When the record was last rejected, by our clock.", now=True),
    Column(
        "attempts", Integer, nullable=False, server_default="1", comment="Number of times that the record was rejected."
    ),
    _time("resolved_at", "When a later version of the record passed, by our clock; empty: still rejected."),
    Column(
        "fingerprint", LargeBinary, comment="Hash of the record, which shows whether it has changed; empty: not known."
    ),
    _time(
        "dismissed_at",
        "When a person dismissed the record, by our clock: it is not tried again; empty: not dismissed.",
    ),
    Column("dismissed_by", Text, comment="Who dismissed the record: user@machine."),
    Column("dismissed_reason", Text, comment="Why the record was dismissed: the reason that the user gave."),
    comment="One row per record that failed validation or could not be fetched, whole, with the reasons.",
)  # fmt: skip

record_flaws = Table(
    "record_flaws",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("kind", Text, primary_key=True, comment="order or care."),
    Column("record_id", Text, primary_key=True, comment="The marketplace's id of the record."),
    Column("field", Text, primary_key=True, comment="Where in the record, e.g. `items[1].fee`."),
    Column("found", Text, nullable=False, comment="What is wrong there, without buyer's data, e.g. is not a number."),
    Column("stored", Text, nullable=False, comment="What is stored instead, e.g. unknown."),
    _time("first_seen_at", "When the flaw was first found, by our clock.", now=True),
    _time("last_seen_at", "When the flaw was last found, by our clock.", now=True),
    comment="One row per flaw: a wrong value of a record that is stored nevertheless. Gone once the record is right.",
)  # fmt: skip

acceptances = Table(
    "acceptances",
    metadata,
    Column("acceptance_id", BigInteger, Identity(), primary_key=True, comment="Running number of the request."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column("sku", Text, nullable=False, comment="SKU of the accepted orderlines; '': all waiting lines of the order."),
    Column(
        "item_id", Text, nullable=False, server_default="",
        comment="The marketplace's id of the accepted orderline; '': all waiting lines of the SKU.",
    ),
    Column(
        "state", Text, nullable=False,
        comment="requested (no answer yet), accepted, refused, failed (certainly not done, and sent again), lost (the "
        "answer was lost), or left (the same, and the line no longer waits).",
    ),
    Column("request", JSONB, nullable=False, comment="The content of the request."),
    Column("answer_status", Integer, comment="HTTP status of the answer; empty: no answer."),
    Column("answer", Text, comment="The answer, or why there is none, in one line without buyer's data."),
    _time("requested_at", "When the request was recorded, just before it was sent, by our clock.", now=True),
    _time("answered_at", "When the answer, or its loss, was recorded, by our clock; empty: not yet."),
    comment="One row per request to accept waiting orderlines: the only writes to a marketplace.",
)  # fmt: skip
Index("acceptances_order", acceptances.c.account, acceptances.c.order_id)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("bucket", Text, primary_key=True, comment="Name of the published limit that these calls count against."),
    Column(
        "next_slot", DateTime(timezone=True), nullable=False,
        comment="When the next call may start, by our clock.",
    ),
    _time("blocked_until", "No call before this moment, by our clock: the marketplace requested a pause (429 or 503)."),
    Column("day", Date, comment="The UTC day that day_calls counts."),
    Column("day_calls", Integer, nullable=False, server_default="0", comment="Number of API calls on that day."),
    prefixes=["UNLOGGED"],
    comment="The rate limiter: one row per account and published limit, shared by all lanes on all machines.",
)  # fmt: skip

stock_levels = Table(
    "stock_levels",
    metadata,
    Column("sku", Text, primary_key=True, comment="The SKU of the stock list."),
    Column("on_hand", Integer, comment="Pieces in the warehouse; empty: the stock list does not have the SKU."),
    Column("reserved", Integer, nullable=False, server_default="0", comment="Pieces that locks hold."),
    _time("imported_at", "When a stock list with the SKU was last imported, by our clock; empty: never."),
    _time("counted_at", "When the shelf was last counted, as the stock list says; empty: never."),
    CheckConstraint("reserved >= 0", name="stock_levels_reserved_not_negative"),
    comment="Stock, one row per SKU. Available pieces are on_hand - reserved.",
)  # fmt: skip

stock_locks = Table(
    "stock_locks",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("item_id", Text, primary_key=True, comment=ITEM_ID),
    Column("sku", Text, primary_key=True, comment="The SKU of the stock list."),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column("quantity", Integer, nullable=False, comment="Pieces of the SKU that the item needs, or last needed."),
    Column("locked", Integer, nullable=False, comment="Pieces that the lock holds."),
    Column("short", Integer, nullable=False, comment="Pieces that the lock waits for."),
    Column("consumed", Integer, nullable=False, comment="Pieces that have left the warehouse."),
    Column(
        "state", Text, nullable=False,
        comment="short (it waits for pieces), locked (it holds all), consumed (they have left) or released.",
    ),
    Column("problem", Text, comment="Why the lock is short, or what was wrong when pieces left; empty: nothing."),
    _time("ordered_at", "When the buyer ordered, by the marketplace's clock: older orders get their pieces first."),
    _time("since", "When the lock came into this state, by our clock.", now=True),
    CheckConstraint(
        "state = CASE WHEN short > 0 THEN 'short' WHEN locked > 0 THEN 'locked' WHEN consumed > 0 THEN 'consumed' "
        "ELSE 'released' END",
        name="stock_locks_state",
    ),
    CheckConstraint("least(locked, short, consumed) >= 0", name="stock_locks_pieces_not_negative"),
    comment="The stock locks: the pieces of a SKU that an order item holds, waits for, or has taken. An item has one "
    "lock; it has one for each SKU where its SKU is a bundle, or has changed.",
)  # fmt: skip
Index(
    "stock_locks_active", stock_locks.c.sku, stock_locks.c.state, stock_locks.c.ordered_at,
    postgresql_where=text("state IN ('locked', 'short')"),
)  # fmt: skip

stock_lock_history = Table(
    "stock_lock_history",
    metadata,
    Column("entry_id", BigInteger, Identity(), primary_key=True, comment="Running number of the change."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("item_id", Text, nullable=False, comment=ITEM_ID),
    Column("sku", Text, nullable=False, comment="The SKU of the stock list."),
    Column("event_id", BigInteger, comment="The event that caused the change; empty: something else did, see cause."),
    Column("cause", Text, nullable=False, comment="Cause of the change in one line, e.g. OrderCreated accepted."),
    Column("from_state", Text, comment="State before; empty: there was no lock."),
    Column("to_state", Text, nullable=False, comment="State after: locked, released, consumed or short."),
    Column("quantity", Integer, nullable=False, comment="Pieces of the SKU that the item needs, or last needed."),
    Column("locked", Integer, comment="Pieces that the lock holds afterwards; empty in entries before 0010."),
    Column("short", Integer, comment="Pieces that the lock waits for afterwards; empty in entries before 0010."),
    Column("consumed", Integer, comment="Pieces that have left; empty in entries before 0010."),
    _time("at", "When the lock changed, by our clock.", now=True),
    comment="One row per change of a stock lock, with its cause.",
)
Index("stock_lock_history_item", stock_lock_history.c.account, stock_lock_history.c.item_id)

stock_movements = Table(
    "stock_movements",
    metadata,
    Column("movement_id", BigInteger, Identity(), primary_key=True, comment="Running number of the movement."),
    Column("sku", Text, nullable=False, comment="The SKU of the stock list."),
    Column(
        "kind", Text, nullable=False,
        comment="counted (an import), adjusted (by hand), shipped, not_shipped (a shipment undone) or returned.",
    ),
    Column("pieces", Integer, nullable=False, comment="By how many pieces on_hand changed."),
    Column("on_hand", Integer, nullable=False, comment="Pieces in the warehouse afterwards."),
    Column("account", Text, nullable=False, server_default="", comment="Account of the item; '': no item's movement."),
    Column("item_id", Text, nullable=False, server_default="", comment="The order item; '': no item's movement."),
    Column("reason", Text, nullable=False, comment="The cause in one line, or the reason that the user gave."),
    Column("made_by", Text, nullable=False, server_default="", comment="user@machine; '': the stock job."),
    _time("at", "When on_hand changed, by our clock.", now=True),
    _time("moved_at", "When the pieces had left, by the marketplace's clock; empty: at."),
    CheckConstraint(
        "kind IN ('counted','adjusted','shipped','not_shipped','returned')", name="stock_movements_kind"
    ),
    comment="One row per change of a SKU's pieces on hand: their sum is on_hand.",
)  # fmt: skip
Index("stock_movements_sku", stock_movements.c.sku)

stock_skus = Table(
    "stock_skus",
    metadata,
    Column("account", Text, primary_key=True, comment="Account whose SKU it is; '': every account."),
    Column("sku", Text, primary_key=True, comment=SKU),
    Column("stock_sku", Text, primary_key=True, comment="The SKU of the stock list that it stands for."),
    Column(
        "pieces", Integer, nullable=False, server_default="1",
        comment="Pieces of stock_sku in one piece of the SKU. A bundle has a row for each of its SKUs.",
    ),
    CheckConstraint("pieces > 0", name="stock_skus_pieces"),
    comment="What the SKUs of marketplaces are in the stock list: aliases and bundles. Others mean themselves.",
)  # fmt: skip

stock_decisions = Table(
    "stock_decisions",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("item_id", Text, primary_key=True, comment=ITEM_ID),
    Column(
        "decision", Text, nullable=False,
        comment="lock, release, shipped (counts as shipped) or not_shipped (does not count as shipped).",
    ),
    Column("item_status", Text, nullable=False, comment="The item's status at that time. A new status ends this."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    Column("made_by", Text, nullable=False, comment="user@machine."),
    _time("made_at", "When it was decided, by our clock.", now=True),
    CheckConstraint("decision IN ('lock','release','shipped','not_shipped')", name="stock_decisions_decision"),
    comment="What a person decided about an item's lock. It holds as long as the item's status stays as it was.",
)  # fmt: skip

stock_rechecks = Table(
    "stock_rechecks",
    metadata,
    Column("recheck_id", BigInteger, Identity(), primary_key=True, comment="Running number of the row."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("item_id", Text, nullable=False, comment=ITEM_ID),
    _time("recorded_at", "When the change was stored, by our clock.", now=True),
    comment="Items that changed without a change of status, e.g. in quantity or SKU. The stock job brings their locks "
    "in line, and deletes the row.",
)

stock_buffers = Table(
    "stock_buffers",
    metadata,
    Column("account", Text, primary_key=True, comment="Account; '': every account."),
    Column("sku", Text, primary_key=True, comment="The SKU of the stock list; '': every SKU."),
    Column("pieces", Integer, nullable=False, server_default="0", comment="Pieces that are not offered."),
    Column(
        "percent", Integer, nullable=False, server_default="0",
        comment="Per cent of the available pieces that are not offered, rounded up to pieces.",
    ),
    CheckConstraint("pieces >= 0 AND percent BETWEEN 0 AND 100", name="stock_buffers_values"),
    comment="Pieces that are kept back from sale. The row of account and SKU counts, else the SKU's, the account's, or "
    "that of all.",
)  # fmt: skip

stock_available = Table(
    "stock_available",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("sku", Text, primary_key=True, comment=SKU),
    Column("available", Integer, nullable=False, comment="Pieces that the account can offer."),
    _time("changed_at", "When the number last changed, by our clock.", now=True),
    comment="Available to sell, one row per account and SKU: on hand, less what locks hold and wait for, less the "
    "buffer. Of a bundle, what its scarcest SKU allows.",
)

stock_available_history = Table(
    "stock_available_history",
    metadata,
    Column("entry_id", BigInteger, Identity(), primary_key=True, comment="Running number of the change."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("sku", Text, nullable=False, comment=SKU),
    Column("available", Integer, nullable=False, comment="Pieces that the account could offer from then on."),
    _time("at", "When the number changed, by our clock.", now=True),
    comment="One row per change of stock_available.",
)
Index("stock_available_history_sku", stock_available_history.c.account, stock_available_history.c.sku)

schedule_ticks = Table(
    "schedule_ticks",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("sync_type", Text, primary_key=True, comment=SYNC_TYPE),
    Column("tick_at", DateTime(timezone=True), primary_key=True, comment="The scheduled moment of the tick."),
    _time("taken_at", "When a daemon took the tick, by our clock.", now=True),
    comment="One row per schedule tick that a daemon took, so that only one of several daemons acts on it.",
)

daily_summary = Table(
    "daily_summary",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("day", Date, primary_key=True, comment="The UTC day on which the orders were created."),
    Column("currency", Text, primary_key=True, comment="ISO 4217 code of the currency of `revenue`; ?: unknown."),
    Column("orders", Integer, nullable=False, comment="Number of orders."),
    Column("items", Integer, nullable=False, comment="Sold pieces: without those in cancelled_items."),
    Column("revenue", Numeric, nullable=False, comment="Price of the sold items in `currency`, tax included."),
    Column(
        "cancelled_items", Integer, nullable=False,
        comment="Pieces that were cancelled, removed, not paid, or refunded before shipping.",
    ),
    Column(
        "incomplete_papers", Integer, key="incomplete_documents", nullable=False,
        comment="Number of orders that lack a document (delivery note or label) that is due in their status.",
    ),
    comment="The daily report, one row per account, day and currency.",
)  # fmt: skip

migration_moves = Table(
    "migration_moves",
    metadata,
    Column("move_id", BigInteger, Identity(), primary_key=True, comment="Running number of the move."),
    Column("from_phase", Text, nullable=False, comment="Phase before the move: parallel, monitor or live."),
    Column("to_phase", Text, nullable=False, comment="Phase after the move: parallel, monitor or live."),
    _time("moved_at", "When the cutover moved, by our clock.", now=True),
    Column("moved_by", Text, nullable=False, comment="Who moved it: user@machine."),
    Column("forced", Boolean, nullable=False, comment="Whether it moved although checks did not pass."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    Column(
        "checks", JSONB, nullable=False, comment="The checks at the time of the move: a list of {name, passed, what}."
    ),
    comment="One row per move between phases of the cutover from V1 to V2.",
)

migration_comparisons = Table(
    "migration_comparisons",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("day", Date, primary_key=True, comment="The UTC day on which the orders were created."),
    _time("compared_at", "When V1 and V2 were compared, by our clock.", now=True),
    Column("orders_v1", Integer, nullable=False, comment="Number of orders in V1."),
    Column("orders_v2", Integer, nullable=False, comment="Number of orders in V2."),
    Column("only_in_v1", Integer, nullable=False, comment="Number of orders that are missing in V2."),
    Column("only_in_v2", Integer, nullable=False, comment="Number of orders that are missing in V1."),
    Column("differing", Integer, nullable=False, comment="Number of orders that are in both and differ."),
    Column(
        "in_flight", Integer, nullable=False,
        comment="Number of differences that do not count, since one side could not have the other's data yet.",
    ),
    Column("agreement", Numeric, nullable=False, comment="Per cent of the day's orders that agree, 0 to 100."),
    Column("locks_v1", Integer, nullable=False, comment="Number of V1's stock locks that are not released."),
    Column("locks_v2", Integer, nullable=False, comment="Number of V2's stock locks that are not released."),
    Column("locks_differing", Integer, nullable=False, comment="Number of stock locks that differ."),
    Column("first_in_v1", Integer, nullable=False, comment="Number of orders that V1 stored first."),
    Column("first_in_v2", Integer, nullable=False, comment="Number of orders that V2 stored first."),
    Column(
        "v2_later_seconds", Numeric,
        comment="Median of the seconds by which V2 stored an order later than V1; below 0: earlier. Empty: no orders.",
    ),
    Column("calls_v1", Integer, comment="V1's API calls of the day; empty when V1 does not count them."),
    Column("calls_v2", Integer, nullable=False, comment="V2's API calls of the day."),
    Column("too_many_requests_v2", Integer, nullable=False, comment="Number of 429 answers to V2 on the day."),
    Column("verdict", Text, nullable=False, comment="The result in one line."),
    comment="V1 and V2 compared, one row per account and day.",
)  # fmt: skip

migration_differences = Table(
    "migration_differences",
    metadata,
    Column("difference_id", BigInteger, Identity(), primary_key=True, comment="Running number of the difference."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("day", Date, nullable=False, comment="The UTC day on which the order was created."),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    Column(
        "item_id", Text, nullable=False, server_default="",
        comment="The marketplace's id of the order item; '': the difference is about the order.",
    ),
    Column(
        "kind", Text, nullable=False,
        comment="only in V1, only in V2, differs, lock only in V1, lock only in V2, or lock differs.",
    ),
    Column("field", Text, nullable=False, server_default="", comment="The field that differs; '': the whole row."),
    Column("v1", Text, comment="V1's value; empty: none."),
    Column("v2", Text, comment="V2's value; empty: none."),
    Column(
        "in_flight", Boolean, nullable=False,
        comment="Whether the difference does not count, since one side could not have the other's data yet.",
    ),
    comment="What differs between V1 and V2, one row per field.",
)  # fmt: skip
Index("migration_differences_day", migration_differences.c.account, migration_differences.c.day)
