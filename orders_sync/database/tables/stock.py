"""The stock: levels, locks and movements, what a person decided, and what is available to sell."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from orders_sync.database.tables.columns import ACCOUNT, ITEM_ID, ORDER_ID, SKU, metadata, moment

stock_levels = Table(
    "stock_levels",
    metadata,
    Column("sku", Text, primary_key=True, comment="The SKU of the stock list."),
    Column("on_hand", Integer, comment="Pieces in the warehouse; empty: the stock list does not have the SKU."),
    Column(
        "reserved", Integer, nullable=False, server_default="0",
        comment="Pieces that locks have: locked and held ones.",
    ),
    moment("imported_at", "When a stock list with the SKU was last imported, by our clock; empty: never."),
    moment("counted_at", "When the shelf was last counted, as the stock list says; empty: never."),
    Column(
        "missing", Integer, nullable=False, server_default="0",
        comment="Pieces that left since the shelf was counted, and that the count did not have.",
    ),
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
    Column("locked", Integer, nullable=False, comment="Pieces that the lock has for the item."),
    Column("short", Integer, nullable=False, comment="Pieces that the lock waits for."),
    Column("consumed", Integer, nullable=False, comment="Pieces that have left the warehouse."),
    Column(
        "item_pieces", Integer, nullable=False, server_default="0",
        comment="Pieces of the item that have left, each counted at one of the item's locks.",
    ),
    Column(
        "state", Text, nullable=False,
        comment="short (it waits for pieces), locked (it has all), held (cancelled pieces may have left), consumed "
        "(they have left) or released.",
    ),
    Column("problem", Text, comment="Why the lock is short, or what was wrong when pieces left; empty: nothing."),
    moment("ordered_at", "When the buyer ordered, by the marketplace's clock: older orders get their pieces first."),
    moment("since", "When the lock came into this state, by our clock.", now=True),
    Column(
        "held", Integer, nullable=False, server_default="0",
        comment="Pieces that the item does not need any more and that may have left. They are reserved, as `locked` "
        "is.",
    ),
    CheckConstraint(
        "state = CASE WHEN short > 0 THEN 'short' WHEN locked > 0 THEN 'locked' WHEN held > 0 THEN 'held' "
        "WHEN consumed > 0 THEN 'consumed' ELSE 'released' END",
        name="stock_locks_state",
    ),
    CheckConstraint("least(locked, short, consumed, item_pieces, held) >= 0", name="stock_locks_pieces_not_negative"),
    comment="The stock locks: the pieces of a SKU that an order item holds, waits for, or has taken. An item has one "
    "lock; it has one for each SKU where its SKU is a bundle, or has changed.",
)  # fmt: skip
Index(
    "stock_locks_active", stock_locks.c.sku, stock_locks.c.state, stock_locks.c.ordered_at,
    postgresql_where=text("state IN ('locked', 'short', 'held')"),
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
    Column("to_state", Text, nullable=False, comment="State after: locked, released, consumed, short or held."),
    Column("quantity", Integer, nullable=False, comment="Pieces of the SKU that the item needs, or last needed."),
    Column("locked", Integer, comment="Pieces that the lock holds afterwards; empty in entries before 0010."),
    Column("short", Integer, comment="Pieces that the lock waits for afterwards; empty in entries before 0010."),
    Column("consumed", Integer, comment="Pieces that have left; empty in entries before 0010."),
    moment("at", "When the lock changed, by our clock.", now=True),
    Column("held", Integer, nullable=False, server_default="0", comment="Pieces that are held afterwards."),
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
        comment="counted (an import), adjusted (by hand), shipped, not_shipped (a shipment undone), returned, received "
        "(into quarantine), shelved or scrapped (out of quarantine).",
    ),
    Column("pieces", Integer, nullable=False, comment="Pieces that came, or left (negative)."),
    Column(
        "on_hand_change", Integer, nullable=False,
        comment="By how many pieces on_hand changed. 0 for pieces that left, or came, before the shelf was counted.",
    ),
    Column("on_hand", Integer, comment="Pieces in the warehouse afterwards; empty: the SKU is not in the stock list."),
    Column("account", Text, nullable=False, server_default="", comment="Account of the item; '': no item's movement."),
    Column("item_id", Text, nullable=False, server_default="", comment="The order item; '': no item's movement."),
    Column("reason", Text, nullable=False, comment="The cause in one line, or the reason that the user gave."),
    Column("made_by", Text, nullable=False, server_default="", comment="user@machine; '': the stock job."),
    moment("at", "When on_hand changed, by our clock.", now=True),
    moment("moved_at", "When the pieces had left, by the marketplace's clock; empty: at."),
    Column(
        "item_pieces", Integer, nullable=False, server_default="0",
        comment="Pieces of the item that left or came. Those of a bundle are at the first of its movements.",
    ),
    CheckConstraint(
        "kind IN ('counted','adjusted','shipped','not_shipped','returned','received','shelved','scrapped')",
        name="stock_movements_kind",
    ),
    comment="One row for pieces of a SKU that left, came, or were counted. The sum of on_hand_change is on_hand.",
)  # fmt: skip
Index("stock_movements_sku", stock_movements.c.sku)
Index(
    "stock_movements_item", stock_movements.c.account, stock_movements.c.item_id,
    postgresql_where=text("item_id <> ''"),
)  # fmt: skip

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

stock_settings = Table(
    "stock_settings",
    metadata,
    Column("settings_id", Integer, primary_key=True, autoincrement=False, comment="Always 1."),
    Column(
        "sku_case", Text, nullable=False, server_default="exact",
        comment="exact (SKUs that differ in case are different), or ignore (they are one, stored in upper case).",
    ),
    Column(
        "unknown_shipping_time", Text, nullable=False, server_default="as_seen",
        comment="When pieces left of which the marketplace gives no time: as_seen (when that was stored), or "
        "before_count (right after the last `modified` pass before, so before each count since then).",
    ),
    Column("changed_by", Text, nullable=False, comment="Who changed them last: user@machine."),
    moment("changed_at", "When they were last changed, by our clock.", now=True),
    CheckConstraint(
        "unknown_shipping_time IN ('as_seen','before_count')", name="stock_settings_unknown_shipping_time"
    ),
    CheckConstraint("settings_id = 1", name="stock_settings_one_row"),
    CheckConstraint("sku_case IN ('exact','ignore')", name="stock_settings_sku_case"),
    comment="The settings of stock, one row; none: the defaults. `orders-sync stock settings` changes them.",
)  # fmt: skip

stock_decisions = Table(
    "stock_decisions",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("item_id", Text, primary_key=True, comment=ITEM_ID),
    Column(
        "decision", Text, nullable=False,
        comment="lock, release, shipped (counts as shipped); or an act that is only on record here: not_shipped (a "
        "shipment was undone), still_here or has_left (held pieces).",
    ),
    Column("item_status", Text, nullable=False, comment="The item's status at that time. A new status ends this."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    Column("made_by", Text, nullable=False, comment="user@machine."),
    moment("made_at", "When it was decided, by our clock.", now=True),
    Column(
        "decision_id", BigInteger, Identity(), primary_key=True,
        comment="Running number of the decision: the item's newest one counts.",
    ),
    Column("pieces", Integer, comment="Of shipped: the item's pieces that have left; empty: all."),
    moment("left_at", "Of shipped: the moment by which they had left, as V1 says; empty: made_at."),
    CheckConstraint(
        "decision IN ('lock','release','shipped','not_shipped','still_here','has_left')",
        name="stock_decisions_decision",
    ),
    comment="What was decided by hand, or by the cutover, about items' locks, one row per decision. An item's newest "
    "one of lock, release and shipped holds until the item's status changes; the others are history.",
)  # fmt: skip

stock_over_reports = Table(
    "stock_over_reports",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("item_id", Text, primary_key=True, comment=ITEM_ID),
    Column(
        "pieces", Integer, nullable=False,
        comment="Pieces of the item that the marketplace reports as shipped and that did not leave.",
    ),
    Column(
        "reported", Integer, nullable=False,
        comment="Pieces that it reported as shipped when the stock job last looked. Where it reports fewer later, it "
        "has corrected so many of `pieces`.",
    ),
    CheckConstraint("pieces > 0", name="stock_over_reports_pieces"),
    comment="Undone shipments that the marketplace has not corrected yet, one row per item.",
)  # fmt: skip

stock_unreported = Table(
    "stock_unreported",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("item_id", Text, primary_key=True, comment=ITEM_ID),
    Column("pieces", Integer, nullable=False, comment="Cancelled pieces of the item that left all the same."),
    Column(
        "expected", Integer, nullable=False,
        comment="Pieces that the marketplace was to report as shipped without those. What it reports beyond that is "
        "some of `pieces`.",
    ),
    CheckConstraint("pieces > 0", name="stock_unreported_pieces"),
    comment="Held pieces that have left, as a person says, and that the marketplace did not report; one row per item.",
)  # fmt: skip

stock_rechecks = Table(
    "stock_rechecks",
    metadata,
    Column("recheck_id", BigInteger, Identity(), primary_key=True, comment="Running number of the row."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("item_id", Text, nullable=False, comment=ITEM_ID),
    moment("recorded_at", "When the change was stored, by our clock.", now=True),
    comment="Items that changed without a change of status, e.g. in quantity or SKU. The stock job brings their locks "
    "in line, and deletes the row.",
)

stock_returns = Table(
    "stock_returns",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("care_id", Text, primary_key=True, comment="The marketplace's id of the care case."),
    Column("item_id", Text, primary_key=True, comment=ITEM_ID),
    Column(
        "pieces", Integer,
        comment="Pieces of the item that come back, as the care record said; empty: it does not say.",
    ),
    moment("came_back_at", "When they came back, by the marketplace's clock; empty: at."),
    moment("at", "When it was known to be due, or a person booked it, by our clock.", now=True),
    moment("handled_at", "When the stock job, or a person, dealt with it, by our clock; empty: pending."),
    Column(
        "booked", Integer, nullable=False, server_default="0",
        comment="Pieces that came back by it: on hand again, or received, see stock_received.",
    ),
    Column(
        "booked_before", Integer, nullable=False, server_default="0",
        comment="Pieces that a person had booked before without naming the care record.",
    ),
    Column(
        "counted", Integer, nullable=False, server_default="0",
        comment="Pieces that were on the shelf already when it was counted.",
    ),
    Column("note", Text, comment="Why fewer pieces were booked than the care record says; empty: all were."),
    comment="The returns of care records to stock, one row per care case and item: each is booked once.",
)  # fmt: skip
Index("stock_returns_pending", stock_returns.c.at, postgresql_where=text("handled_at IS NULL"))
Index("stock_returns_item", stock_returns.c.account, stock_returns.c.item_id)

stock_received = Table(
    "stock_received",
    metadata,
    Column("received_id", BigInteger, Identity(), primary_key=True, comment="Running number of the receipt."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("care_id", Text, nullable=False, comment="The marketplace's id of the care case."),
    Column("item_id", Text, nullable=False, comment=ITEM_ID),
    Column("sku", Text, nullable=False, comment="The SKU of the stock list with which the pieces had left."),
    Column("pieces", Integer, nullable=False, comment="Pieces of the SKU that came back into quarantine."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    Column("made_by", Text, nullable=False, comment="user@machine, or the Dagster run."),
    moment("received_at", "When they were received, by our clock.", now=True),
    CheckConstraint("pieces > 0", name="stock_received_pieces"),
    comment="Pieces that came back by care records into quarantine, one row per receipt and SKU. They are not on hand; "
    "stock_put_away says what became of them.",
)
Index("stock_received_item", stock_received.c.account, stock_received.c.item_id)
Index("stock_received_sku", stock_received.c.sku)

stock_put_away = Table(
    "stock_put_away",
    metadata,
    Column("put_away_id", BigInteger, Identity(), primary_key=True, comment="Running number of the act."),
    Column(
        "received_id", BigInteger, ForeignKey("stock_received.received_id", name="stock_put_away_received"),
        nullable=False, comment="The receipt of the pieces in stock_received.",
    ),
    Column("kind", Text, nullable=False, comment="shelved (on hand again) or scrapped (not sold any more)."),
    Column("sku", Text, comment="The SKU of the stock list under which they are on hand; empty: scrapped."),
    Column("pieces", Integer, nullable=False, comment="Pieces that left the quarantine."),
    Column("reason", Text, nullable=False, comment="The reason that the user gave."),
    Column("made_by", Text, nullable=False, comment="user@machine, or the Dagster run."),
    moment("at", "When they were put away, by our clock.", now=True),
    CheckConstraint("pieces > 0", name="stock_put_away_pieces"),
    CheckConstraint("(kind = 'shelved') = (sku IS NOT NULL)", name="stock_put_away_sku"),
    CheckConstraint("kind IN ('shelved','scrapped')", name="stock_put_away_kind"),
    comment="What became of received pieces, one row per act. A receipt's pieces without a row are in quarantine.",
)  # fmt: skip
Index("stock_put_away_received", stock_put_away.c.received_id)

restocking_accounts = Table(
    "restocking_accounts",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    moment("since", "Returns that closed before are not booked: when `restock_returns` was first seen.", now=True),
    moment("passed_at", "When the first complete `care` pass since then ended, by our clock; empty: none has."),
    comment="The accounts whose returns are booked when they close as received (`restock_returns`).",
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
    moment("changed_at", "When the number last changed, by our clock.", now=True),
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
    moment("at", "When the number changed, by our clock.", now=True),
    comment="One row per change of stock_available.",
)
Index("stock_available_history_sku", stock_available_history.c.account, stock_available_history.c.sku)

stock_available_position = Table(
    "stock_available_position",
    metadata,
    Column("position_id", Integer, primary_key=True, autoincrement=False, comment="Always 1."),
    Column("schema_name", Text, comment="public; empty: all numbers are computed anew."),
    Column("entry_id", BigInteger, nullable=False, server_default="0", comment="Last row of stock_lock_history."),
    Column("movement_id", BigInteger, nullable=False, server_default="0", comment="Last row of stock_movements."),
    Column("accounts", ARRAY(Text), nullable=False, server_default="{}", comment="The accounts that have numbers."),
    CheckConstraint("position_id = 1", name="stock_available_position_one_row"),
    comment="The last changes of stock that stock_available follows, one row at most.",
)  # fmt: skip
