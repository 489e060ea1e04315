"""Locks that count pieces, movements of stock, SKUs of the stock list, and decisions by hand"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ACCOUNT = "Name of the seller account: the name of the folder of its account file."
ITEM_ID = "The marketplace's id of the order item (orderline)."
SKU = "Stock keeping unit: the seller's own id of the product."
STOCK_SKU = "The SKU of the stock list."
MOVEMENTS = "One row per change of a SKU's pieces on hand: their sum is on_hand."
STATE_OF_PIECES = (
    "state = CASE WHEN short > 0 THEN 'short' WHEN locked > 0 THEN 'locked' WHEN consumed > 0 THEN 'consumed' "
    "ELSE 'released' END"
)
ITEM_PIECES = {
    "cancelled": "Pieces of `quantity` that will not ship; empty: the marketplace does not say.",
    "shipped": "Pieces of `quantity` that have left; empty: the marketplace does not say.",
    "refunded": "Refunded pieces; empty: the marketplace does not say.",
    "returned": "Pieces that came back; empty: the marketplace does not say.",
}
LOCK_PIECES = {
    "locked": "Pieces that the lock holds.",
    "short": "Pieces that the lock waits for.",
    "consumed": "Pieces that have left the warehouse.",
}
HISTORY_PIECES = {
    "locked": "Pieces that the lock holds afterwards; empty in entries before 0010.",
    "short": "Pieces that the lock waits for afterwards; empty in entries before 0010.",
    "consumed": "Pieces that have left; empty in entries before 0010.",
}
COMMENTS = {
    "COLUMN stock_levels.sku": STOCK_SKU,
    "COLUMN stock_levels.reserved": "Pieces that locks hold.",
    "COLUMN stock_levels.imported_at": "When a stock list with the SKU was last imported, by our clock; empty: never.",
    "TABLE stock_locks": "The stock locks: the pieces of a SKU that an order item holds, waits for, or has taken. An "
    "item has one lock; it has one for each SKU where its SKU is a bundle, or has changed.",
    "COLUMN stock_locks.sku": STOCK_SKU,
    "COLUMN stock_locks.quantity": "Pieces of the SKU that the item needs, or last needed.",
    "COLUMN stock_locks.state": "short (it waits for pieces), locked (it holds all), consumed (they have left) or "
    "released.",
    "COLUMN stock_locks.problem": "Why the lock is short, or what was wrong when pieces left; empty: nothing.",
    "COLUMN stock_lock_history.sku": STOCK_SKU,
    "COLUMN stock_lock_history.quantity": "Pieces of the SKU that the item needs, or last needed.",
}


def upgrade() -> None:
    for name, comment in ITEM_PIECES.items():
        op.add_column("order_items", sa.Column(name, sa.Integer(), comment=comment))
    op.create_index(
        "order_items_open", "order_items", ["account", "item_id"],
        postgresql_where=sa.text("status IN ('pending', 'accepted', 'unknown')"),
    )  # fmt: skip
    op.create_table(
        "stock_movements",
        sa.Column(
            "movement_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the movement."
        ),
        sa.Column("sku", sa.Text(), nullable=False, comment=STOCK_SKU),
        sa.Column(
            "kind", sa.Text(), nullable=False,
            comment="counted (an import), adjusted (by hand), shipped, not_shipped (a shipment undone) or returned.",
        ),
        sa.Column("pieces", sa.Integer(), nullable=False, comment="By how many pieces on_hand changed."),
        sa.Column("on_hand", sa.Integer(), nullable=False, comment="Pieces in the warehouse afterwards."),
        sa.Column(
            "account", sa.Text(), nullable=False, server_default="",
            comment="Account of the item; '': no item's movement.",
        ),
        sa.Column(
            "item_id", sa.Text(), nullable=False, server_default="",
            comment="The order item; '': no item's movement.",
        ),
        sa.Column(
            "reason", sa.Text(), nullable=False, comment="The cause in one line, or the reason that the user gave."
        ),
        sa.Column(
            "made_by", sa.Text(), nullable=False, server_default="", comment="user@machine; '': the stock job."
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When on_hand changed, by our clock.",
        ),
        sa.Column(
            "moved_at", sa.DateTime(timezone=True),
            comment="When the pieces had left, by the marketplace's clock; empty: at.",
        ),
        sa.CheckConstraint(
            "kind IN ('counted','adjusted','shipped','not_shipped','returned')", name="stock_movements_kind"
        ),
        comment=MOVEMENTS,
    )  # fmt: skip
    op.create_index("stock_movements_sku", "stock_movements", ["sku"])
    op.execute("CREATE TABLE shadow.stock_movements (LIKE public.stock_movements INCLUDING ALL)")
    op.create_table_comment("stock_movements", MOVEMENTS, schema="shadow")
    op.create_table(
        "stock_skus",
        sa.Column("account", sa.Text(), primary_key=True, comment="Account whose SKU it is; '': every account."),
        sa.Column("sku", sa.Text(), primary_key=True, comment=SKU),
        sa.Column(
            "stock_sku", sa.Text(), primary_key=True, comment="The SKU of the stock list that it stands for."
        ),
        sa.Column(
            "pieces", sa.Integer(), nullable=False, server_default="1",
            comment="Pieces of stock_sku in one piece of the SKU. A bundle has a row for each of its SKUs.",
        ),
        sa.CheckConstraint("pieces > 0", name="stock_skus_pieces"),
        comment="What the SKUs of marketplaces are in the stock list: aliases and bundles. Others mean themselves.",
    )  # fmt: skip
    op.create_table(
        "stock_decisions",
        sa.Column("account", sa.Text(), primary_key=True, comment=ACCOUNT),
        sa.Column("item_id", sa.Text(), primary_key=True, comment=ITEM_ID),
        sa.Column(
            "decision", sa.Text(), nullable=False,
            comment="lock, release, shipped (counts as shipped) or not_shipped (does not count as shipped).",
        ),
        sa.Column(
            "item_status", sa.Text(), nullable=False,
            comment="The item's status at that time. A new status ends this.",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="The reason that the user gave."),
        sa.Column("made_by", sa.Text(), nullable=False, comment="user@machine."),
        sa.Column(
            "made_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was decided, by our clock.",
        ),
        sa.CheckConstraint(
            "decision IN ('lock','release','shipped','not_shipped')", name="stock_decisions_decision"
        ),
        comment="What a person decided about an item's lock. It holds as long as the item's status stays as it was.",
    )  # fmt: skip
    _create_rechecks()
    _create_available()
    for schema in ("public", "shadow"):
        _count_pieces(schema)
        for what, comment in COMMENTS.items():
            kind, name = what.split(" ")
            op.execute(f"COMMENT ON {kind} {schema}.{name} IS '{comment}'")


def _create_rechecks() -> None:
    op.create_table(
        "stock_rechecks",
        sa.Column("recheck_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the row."),
        sa.Column("account", sa.Text(), nullable=False, comment=ACCOUNT),
        sa.Column("item_id", sa.Text(), nullable=False, comment=ITEM_ID),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the change was stored, by our clock.",
        ),
        comment="Items that changed without a change of status, e.g. in quantity or SKU. The stock job brings their "
        "locks in line, and deletes the row.",
    )  # fmt: skip


def _create_available() -> None:
    op.create_table(
        "stock_buffers",
        sa.Column("account", sa.Text(), primary_key=True, comment="Account; '': every account."),
        sa.Column("sku", sa.Text(), primary_key=True, comment="The SKU of the stock list; '': every SKU."),
        sa.Column("pieces", sa.Integer(), nullable=False, server_default="0", comment="Pieces that are not offered."),
        sa.Column(
            "percent", sa.Integer(), nullable=False, server_default="0",
            comment="Per cent of the available pieces that are not offered, rounded up to pieces.",
        ),
        sa.CheckConstraint("pieces >= 0 AND percent BETWEEN 0 AND 100", name="stock_buffers_values"),
        comment="Pieces that are kept back from sale. The row of account and SKU counts, else the SKU's, the "
        "account's, or that of all.",
    )  # fmt: skip
    op.create_table(
        "stock_available",
        sa.Column("account", sa.Text(), primary_key=True, comment=ACCOUNT),
        sa.Column("sku", sa.Text(), primary_key=True, comment=SKU),
        sa.Column("available", sa.Integer(), nullable=False, comment="Pieces that the account can offer."),
        sa.Column(
            "changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the number last changed, by our clock.",
        ),
        comment="Available to sell, one row per account and SKU: on hand, less what locks hold and wait for, less the "
        "buffer. Of a bundle, what its scarcest SKU allows.",
    )  # fmt: skip
    op.create_table(
        "stock_available_history",
        sa.Column(
            "entry_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the change."
        ),
        sa.Column("account", sa.Text(), nullable=False, comment=ACCOUNT),
        sa.Column("sku", sa.Text(), nullable=False, comment=SKU),
        sa.Column(
            "available", sa.Integer(), nullable=False, comment="Pieces that the account could offer from then on."
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the number changed, by our clock.",
        ),
        comment="One row per change of stock_available.",
    )  # fmt: skip
    op.create_index("stock_available_history_sku", "stock_available_history", ["account", "sku"])


def _count_pieces(schema: str) -> None:
    """Locks hold, wait for and consume pieces; what was a lock of one state is all its pieces in that state."""
    for name, comment in LOCK_PIECES.items():
        column = sa.Column(name, sa.Integer(), nullable=False, server_default="0", comment=comment)
        op.add_column("stock_locks", column, schema=schema)
        op.alter_column("stock_locks", name, server_default=None, schema=schema)
    for name, comment in HISTORY_PIECES.items():
        op.add_column("stock_lock_history", sa.Column(name, sa.Integer(), comment=comment), schema=schema)
    ordered_at = "When the buyer ordered, by the marketplace's clock: older orders get their pieces first."
    op.add_column("stock_locks", sa.Column("ordered_at", sa.DateTime(timezone=True), comment=ordered_at), schema=schema)
    counted_at = "When the shelf was last counted, as the stock list says; empty: never."
    op.add_column(
        "stock_levels", sa.Column("counted_at", sa.DateTime(timezone=True), comment=counted_at), schema=schema
    )
    op.execute(f"SET LOCAL search_path = {schema}, public")
    op.execute(
        "UPDATE stock_locks SET locked = CASE state WHEN 'locked' THEN quantity ELSE 0 END, "
        "short = CASE state WHEN 'short' THEN quantity ELSE 0 END, "
        "consumed = CASE state WHEN 'consumed' THEN quantity ELSE 0 END, "
        "state = CASE quantity WHEN 0 THEN 'released' ELSE state END"
    )
    op.execute(
        "UPDATE stock_locks lock SET ordered_at = placed.created_at FROM orders placed "
        "WHERE (placed.account, placed.order_id) = (lock.account, lock.order_id)"
    )
    op.execute("UPDATE stock_levels SET counted_at = imported_at")
    op.execute(
        "INSERT INTO stock_movements (sku, kind, pieces, on_hand, reason) "
        "SELECT sku, 'counted', on_hand, on_hand, 'on hand when movements were introduced' FROM stock_levels "
        "WHERE on_hand IS NOT NULL"
    )
    op.execute("SET LOCAL search_path = public")
    op.drop_index(
        "stock_lock_history_sku" if schema == "public" else "stock_lock_history_sku_idx", "stock_lock_history",
        schema=schema,
    )  # fmt: skip
    op.drop_column("stock_locks", "revision", schema=schema)
    op.drop_constraint("stock_locks_pkey", "stock_locks", schema=schema)
    op.create_primary_key("stock_locks_pkey", "stock_locks", ["account", "item_id", "sku"], schema=schema)
    op.drop_constraint("stock_locks_state", "stock_locks", schema=schema)
    op.create_check_constraint("stock_locks_state", "stock_locks", STATE_OF_PIECES, schema=schema)
    op.create_check_constraint(
        "stock_locks_pieces_not_negative", "stock_locks", "least(locked, short, consumed) >= 0", schema=schema
    )
    op.drop_index(
        "stock_locks_sku" if schema == "public" else "stock_locks_sku_state_idx", "stock_locks", schema=schema
    )
    op.create_index(
        "stock_locks_active", "stock_locks", ["sku", "state", "ordered_at"], schema=schema,
        postgresql_where=sa.text("state IN ('locked', 'short')"),
    )  # fmt: skip


def downgrade() -> None:
    """Not possible: revision 0009 has one lock per item, and no place for the pieces of bundles and partial locks."""
    raise RuntimeError("Revision 0010 can't be taken back: restore a backup from before the upgrade.")
