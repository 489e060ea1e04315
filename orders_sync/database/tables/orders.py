"""What the syncs store: orders with their items and documents, care records, and the events of orders."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from orders_sync.database.tables.columns import (
    ACCOUNT,
    BLANKED_AT,
    FIRST_STORED_AT,
    ITEM_ID,
    MARKETPLACE_STATE,
    ORDER_ID,
    PERSONAL_DATA,
    SKU,
    STATUS,
    STORED_AT,
    UNUSED,
    address_columns,
    metadata,
    moment,
)

orders = Table(
    "orders",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("order_id", Text, primary_key=True, comment=ORDER_ID),
    Column("status", Text, nullable=False, comment=STATUS),
    Column("marketplace_state", Text, comment=MARKETPLACE_STATE),
    moment("created_at", "When the buyer ordered, by the marketplace's clock."),
    moment("modified_at", "When the order last changed, by the marketplace's clock; never goes back."),
    moment("paid_at", "When the order was paid, by the marketplace's clock."),
    moment("shipped_at", "When the order was shipped, by the marketplace's clock."),
    moment("dispatch_due_at", "When the marketplace expects the dispatch at the latest."),
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
    Column("tracking_number", Text, info=PERSONAL_DATA, comment="The carrier's tracking number."),
    Column(
        "tracking_url", Text, info=PERSONAL_DATA, comment="URL of the carrier's tracking page; stored, never fetched."
    ),
    Column(
        "delivery_note_url", Text, info=PERSONAL_DATA,
        comment="URL of the delivery note to use; may need the account's credential.",
    ),
    Column(
        "label_url", Text, info=PERSONAL_DATA,
        comment="URL of the shipping label to use, of those in order_documents; may need the account's credential.",
    ),
    Column("buyer_email", Text, info=PERSONAL_DATA, comment="Buyer's data: e-mail address."),
    *address_columns("shipping"),
    *address_columns("billing"),
    # json, not jsonb: it keeps the record as received, and storing it costs half (bench/README.md).
    Column("raw", JSON, nullable=False, comment="The marketplace's record of the order, whole, as received."),
    Column(
        "fingerprint", LargeBinary, nullable=False,
        comment="16-byte hash of the raw record; a record with the same hash is unchanged.",
    ),
    moment("buyer_data_blanked_at", BLANKED_AT),
    Column(
        "revision", Integer, nullable=False, server_default="1", comment="Number of the order's stored version, from 1."
    ),
    moment("first_stored_at", FIRST_STORED_AT, now=True),
    moment("stored_at", STORED_AT, now=True),
    moment(
        "fetched_by_id_at",
        "When the order was last fetched by its id because no list contained it any more, by our clock.",
    ),
    Column(
        "late_label_revision", Integer,
        comment="The order's revision when a label made before a cancellation was last looked for; empty: never.",
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
    moment("created_at", "When the item was ordered, by the marketplace's clock."),
    Column("currency", Text, comment="ISO 4217 code of the currency of the item's amounts, e.g. EUR."),
    Column(
        "price", Numeric,
        comment="Price of the whole quantity in `currency`, tax included, shipping not included.",
    ),
    Column("shipping_price", Numeric, comment="Price of the item's shipping in `currency`, tax included."),
    Column("fee", Numeric, comment="The marketplace's commission in `currency`."),
    Column("product", Text, comment="Title of the product."),
    Column("listing_id", Text, comment="The marketplace's id of the listing."),
    Column(
        "imeis", ARRAY(Text), info=PERSONAL_DATA,
        comment="Buyer's data: the IMEIs of the item's pieces, of which a device with two SIMs has two; empty: the "
        "marketplace names none.",
    ),
    Column(
        "serial_numbers", ARRAY(Text), info=PERSONAL_DATA,
        comment="Buyer's data: the serial numbers of the item's pieces; empty: the marketplace names none.",
    ),
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
        "shipments", JSONB,
        comment="When the item's pieces left, by the marketplace's clock: for each parcel, its `pieces` and `at`; "
        "empty: the marketplace says it of the order alone, or not at all.",
    ),
    Column(
        "care_id", Text,
        comment="The marketplace's id of the latest care record about this item, cancelled ones last; empty: none.",
    ),
    moment("first_stored_at", FIRST_STORED_AT, now=True),
    moment("stored_at", STORED_AT, now=True),
    comment="One row per order item (the marketplace's orderline).",
)  # fmt: skip
Index("order_items_order", order_items.c.account, order_items.c.order_id)
Index("order_items_pending", order_items.c.account, postgresql_where=text("status = 'pending'"))

order_changes = Table(
    "order_changes",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("order_id", Text, primary_key=True, comment=ORDER_ID),
    Column(
        "revision", Integer, primary_key=True, autoincrement=False,
        comment="The order's revision that the change made, from 2.",
    ),
    Column(
        "written_by", Text, nullable=False,
        comment="What stored it: the sync type of the pass, order (`sync --order`) or redecode.",
    ),
    Column("run_id", Text, nullable=False, comment="Dagster's run id, or cli-… for the command line."),
    moment("recorded_at", "When the change was stored, by our clock.", now=True),
    Column(
        "fields", JSONB, nullable=False,
        comment="The columns of the order that changed, each with [before, after]; [] where the value is not kept: "
        "buyer's data and URLs of documents.",
    ),
    Column(
        "items", JSONB, nullable=False,
        comment="By the item's id, its columns that changed, each with [before, after].",
    ),
    comment="One row per stored change of an order. If nothing is named, only the raw record changed.",
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
    Column(
        "url", Text, info=PERSONAL_DATA,
        comment="URL of the document. Empty: the marketplace gives none, or the buyer's data was blanked.",
    ),
    Column("carrier", Text, comment="Name of the carrier of the parcel; empty: the marketplace does not say."),
    Column("tracking_number", Text, info=PERSONAL_DATA, comment="The carrier's tracking number of the parcel."),
    Column(
        "item_ids", JSONB, nullable=False, server_default=text("'[]'::jsonb"),
        comment="The marketplace's ids of the order items it is for, a list; []: the marketplace does not say.",
    ),
    moment("read_at", "When we last read it at the marketplace, by our clock.", now=True),
    moment("expires_at", "When the URL stops working, by the marketplace's clock; empty: it does not."),
    moment("cancelled_at", "When it was cancelled, or the marketplace listed others instead; empty: it was not."),
    moment(
        "shipped_at",
        "When the parcel of the label left, by the marketplace's clock; empty: it has not, or the marketplace does not "
        "say it of the parcel.",
    ),
    moment("first_stored_at", FIRST_STORED_AT, now=True),
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
    moment("opened_at", "When the case was opened, by the marketplace's clock."),
    moment("modified_at", "When the case last changed, by the marketplace's clock; never goes back."),
    moment("closed_at", "When the case was closed, by the marketplace's clock."),
    Column(
        "received", Boolean,
        comment="Whether the seller has received the pieces, as the marketplace last said; empty: it never has.",
    ),
    Column("raw", JSONB, nullable=False, comment="The marketplace's record of the care case, whole."),
    Column(
        "fingerprint", LargeBinary, nullable=False,
        comment="16-byte hash of the raw record; a record with the same hash is unchanged.",
    ),
    moment("buyer_data_blanked_at", BLANKED_AT),
    moment("first_stored_at", FIRST_STORED_AT, now=True),
    moment("stored_at", STORED_AT, now=True),
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
    moment(
        "linked_at",
        "When the case was linked to the stored item, by our clock; empty: the item is not stored yet.",
    ),
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
    Column("kind", Text, nullable=False, comment="The kind of the event, e.g. OrderCreated."),
    Column("revision", Integer, nullable=False, comment="The order's revision that the event belongs to."),
    Column("old_status", Text, comment="Status before the change; empty: OrderCreated, or a new item."),
    Column("new_status", Text, nullable=False, comment="Status after the change."),
    Column("items", JSONB, comment="OrderCreated: the status of each item at creation, by item id. Else empty."),
    Column(
        "previous", JSONB,
        comment="OrderStatusChanged: by column, the values before of what else changed; without buyer's data.",
    ),
    moment("recorded_at", "When the change was stored, by our clock.", now=True),
    moment(
        "applied_at",
        "When the stock job applied the event, by our clock; empty: pending. Of kinds that stock has nothing to apply "
        "for: when it was stored.",
    ),
    Column("attempts", Integer, nullable=False, server_default="0", comment="Number of attempts to apply the event."),
    Column("problem", Text, comment="Why the last attempt failed; empty: it did not."),
    moment("shadow_applied_at", UNUSED),
    Column("shadow_attempts", Integer, nullable=False, server_default="0", comment=UNUSED),
    Column("shadow_problem", Text, comment=UNUSED),
    Column(
        "details", JSONB,
        comment="The document, the care case or the lock that the event is about; empty: it is about the order's own "
        "values.",
    ),
    comment="The outbox, one row per event, written in the transaction that changed the order.",
)  # fmt: skip
# An event with details is none of the order's own: there may be several of one kind with each revision.
Index(
    "order_events_once",
    order_events.c.account, order_events.c.order_id, order_events.c.item_id, order_events.c.kind,
    order_events.c.revision, text("(event_id * (details IS NOT NULL)::integer)"), unique=True,
)  # fmt: skip
Index("order_events_pending", order_events.c.event_id, postgresql_where=text("applied_at IS NULL"))
