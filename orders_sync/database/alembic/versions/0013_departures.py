"""What has left the stock: each departure with its time and parts, whether or not the SKU is in the stock list"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"

SCHEMAS = ("public", "shadow")
MOVEMENTS = "One row for pieces of a SKU that left, came, or were counted. The sum of on_hand_change is on_hand."


def upgrade() -> None:
    op.add_column(
        "order_items",
        sa.Column(
            "shipments", JSONB(),
            comment="When the item's pieces left, by the marketplace's clock: for each parcel, its `pieces` and `at`; "
            "empty: the marketplace says it of the order alone, or not at all.",
        ),
    )  # fmt: skip
    op.create_table(
        "stock_over_reports",
        sa.Column(
            "account", sa.Text(), primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column(
            "item_id", sa.Text(), primary_key=True, comment="The marketplace's id of the order item (orderline)."
        ),
        sa.Column(
            "pieces", sa.Integer(), nullable=False,
            comment="Pieces of the item that the marketplace reports as shipped and that did not leave.",
        ),
        sa.Column(
            "reported", sa.Integer(), nullable=False,
            comment="Pieces that it reported as shipped when the stock job last looked. Where it reports fewer later, it "
            "has corrected so many of `pieces`.",
        ),
        sa.CheckConstraint("pieces > 0", name="stock_over_reports_pieces"),
        comment="Undone shipments that the marketplace has not corrected yet, one row per item.",
    )  # fmt: skip
    op.add_column(
        "stock_settings",
        sa.Column(
            "unknown_shipping_time", sa.Text(), nullable=False, server_default="as_seen",
            comment="When pieces left of which the marketplace gives no time: as_seen (when that was stored), or "
            "before_count (right after the last `modified` pass before, so before each count since then).",
        ),
    )  # fmt: skip
    op.create_check_constraint(
        "stock_settings_unknown_shipping_time", "stock_settings",
        "unknown_shipping_time IN ('as_seen','before_count')",
    )  # fmt: skip
    op.alter_column(
        "stock_decisions", "decision",
        comment="lock, release, shipped (counts as shipped) or not_shipped (a shipment was undone).",
    )  # fmt: skip
    op.execute(UNDONE)
    op.drop_index("stock_movements_returned", "stock_movements")
    for schema in SCHEMAS:
        op.add_column(
            "stock_levels",
            sa.Column(
                "missing", sa.Integer(), nullable=False, server_default="0",
                comment="Pieces that left since the shelf was counted, and that the count did not have.",
            ),
            schema=schema,
        )  # fmt: skip
        op.add_column(
            "stock_locks",
            sa.Column(
                "item_pieces", sa.Integer(), nullable=False, server_default="0",
                comment="Pieces of the item that have left, each counted at one of the item's locks.",
            ),
            schema=schema,
        )  # fmt: skip
        op.execute(f"ALTER TABLE {schema}.stock_locks DROP CONSTRAINT stock_locks_pieces_not_negative")
        op.create_check_constraint(
            "stock_locks_pieces_not_negative", "stock_locks", "least(locked, short, consumed, item_pieces) >= 0",
            schema=schema,
        )  # fmt: skip
        op.add_column(
            "stock_movements",
            sa.Column(
                "on_hand_change", sa.Integer(),
                comment="By how many pieces on_hand changed. 0 for pieces that left, or came, before the shelf was "
                "counted.",
            ),
            schema=schema,
        )  # fmt: skip
        op.add_column(
            "stock_movements",
            sa.Column(
                "item_pieces", sa.Integer(), nullable=False, server_default="0",
                comment="Pieces of the item that left or came. Those of a bundle are at the first of its movements.",
            ),
            schema=schema,
        )  # fmt: skip
        op.execute(ALL.replace("{schema}", schema))
        op.alter_column("stock_movements", "on_hand_change", nullable=False, schema=schema)
        op.alter_column(
            "stock_movements", "on_hand", nullable=True, schema=schema,
            comment="Pieces in the warehouse afterwards; empty: the SKU is not in the stock list.",
        )  # fmt: skip
        op.alter_column("stock_movements", "pieces", comment="Pieces that came, or left (negative).", schema=schema)
        op.create_table_comment("stock_movements", MOVEMENTS, schema=schema)
        for statement in (LOCKS, MISSING, RETURNS, PIECES):
            op.execute(statement.replace("{parts}", PARTS).replace("{schema}", schema))
    # The index of the shadow has a name that PostgreSQL gave it.
    op.execute("CREATE INDEX stock_movements_item ON stock_movements (account, item_id) WHERE item_id <> ''")
    op.execute("CREATE INDEX stock_movements_item ON shadow.stock_movements (account, item_id) WHERE item_id <> ''")


def downgrade() -> None:
    op.drop_index("stock_movements_item", "stock_movements")
    op.create_index(
        "stock_movements_returned", "stock_movements", ["account", "item_id"],
        postgresql_where=sa.text("kind = 'returned'"),
    )  # fmt: skip
    for schema in SCHEMAS:
        for statement in (NOT_ON_HAND, ONLY_ON_HAND):
            op.execute(statement.replace("{schema}", schema))
        op.alter_column("stock_movements", "on_hand", nullable=False, schema=schema)
        op.drop_column("stock_movements", "item_pieces", schema=schema)
        op.drop_column("stock_movements", "on_hand_change", schema=schema)
        op.execute(f"ALTER TABLE {schema}.stock_locks DROP CONSTRAINT stock_locks_pieces_not_negative")
        op.create_check_constraint(
            "stock_locks_pieces_not_negative", "stock_locks", "least(locked, short, consumed) >= 0", schema=schema
        )
        op.drop_column("stock_locks", "item_pieces", schema=schema)
        op.drop_column("stock_levels", "missing", schema=schema)
    op.drop_column("stock_settings", "unknown_shipping_time")
    op.drop_table("stock_over_reports")
    op.drop_column("order_items", "shipments")


ALL = "UPDATE {schema}.stock_movements SET on_hand_change = pieces"
NOT_ON_HAND = "DELETE FROM {schema}.stock_movements WHERE on_hand IS NULL OR on_hand_change = 0 AND pieces <> 0"
ONLY_ON_HAND = "UPDATE {schema}.stock_movements SET pieces = on_hand_change"
# Until now, a shipment was undone as a whole.
UNDONE = """
INSERT INTO stock_over_reports (account, item_id, pieces, reported)
SELECT account, item_id, reported.pieces, reported.pieces
FROM stock_decisions decided JOIN (
  SELECT account, item_id, status, CASE
    WHEN shipped IS NULL AND status IN ('shipped', 'refunded_after_shipping', 'returned')
    THEN quantity - coalesce(cancelled, 0) ELSE coalesce(shipped, 0) END AS pieces FROM order_items
) reported USING (account, item_id)
WHERE decided.decision = 'not_shipped' AND decided.item_status = reported.status AND reported.pieces > 0
"""
# The consumed locks with the pieces of the SKU in one piece of the item, by the aliases and bundles of today. Of the
# SKUs of a bundle, the first counts the pieces of the item.
PARTS = """
SELECT lock.account, lock.item_id, lock.sku, lock.order_id, lock.consumed, lock.since,
  coalesce(alias.pieces, 1) AS per_piece,
  CASE WHEN alias.pieces IS NULL THEN true
    ELSE lock.sku = min(lock.sku) FILTER (WHERE alias.pieces IS NOT NULL) OVER (PARTITION BY lock.account, lock.item_id)
    END AS is_first
FROM {schema}.stock_locks lock
JOIN public.order_items item USING (account, item_id)
LEFT JOIN LATERAL (
  SELECT pieces FROM public.stock_skus WHERE stock_skus.stock_sku = lock.sku AND stock_skus.sku = item.sku
    AND stock_skus.account IN (item.account, '') ORDER BY stock_skus.account DESC LIMIT 1
) alias ON true
"""
LOCKS = """
UPDATE {schema}.stock_locks lock SET item_pieces = part.consumed / part.per_piece
FROM ({parts}) part
WHERE part.is_first AND part.consumed > 0
  AND (part.account, part.item_id, part.sku) = (lock.account, lock.item_id, lock.sku)
"""
# What left and was not subtracted had no movement: the SKU was not in the list, or was counted after it had left.
MISSING = """
INSERT INTO {schema}.stock_movements
  (sku, kind, pieces, on_hand_change, on_hand, account, item_id, reason, at, moved_at)
SELECT part.sku, CASE WHEN part.consumed > coalesce(moved.pieces, 0) THEN 'shipped' ELSE 'not_shipped' END,
  coalesce(moved.pieces, 0) - part.consumed, 0, level.on_hand, part.account, part.item_id,
  'noted by schema revision 0013', part.since, least(now(), coalesce(
    placed.shipped_at, CASE placed.revision WHEN 1 THEN placed.created_at ELSE placed.modified_at END, part.since))
FROM ({parts}) part
JOIN public.orders placed ON placed.account = part.account AND placed.order_id = part.order_id
LEFT JOIN {schema}.stock_levels level ON level.sku = part.sku
LEFT JOIN LATERAL (
  SELECT -sum(pieces)::int AS pieces FROM {schema}.stock_movements movement
  WHERE movement.account = part.account AND movement.item_id = part.item_id AND movement.sku = part.sku
    AND movement.kind IN ('shipped', 'not_shipped')
) moved ON true
WHERE part.consumed <> coalesce(moved.pieces, 0)
ORDER BY part.account, part.item_id, part.sku
"""
# Returns that were on the shelf already when it was counted had no movement either.
RETURNS = """
INSERT INTO {schema}.stock_movements
  (sku, kind, pieces, on_hand_change, on_hand, account, item_id, reason, at, moved_at)
SELECT part.sku, 'returned', back.counted * part.per_piece, 0, level.on_hand, part.account, part.item_id,
  'care record ' || back.care_id || ': noted by schema revision 0013', back.handled_at, back.came_back_at
FROM public.stock_returns back
JOIN ({parts}) part USING (account, item_id)
LEFT JOIN {schema}.stock_levels level ON level.sku = part.sku
WHERE back.counted > 0 AND part.consumed > 0
ORDER BY part.account, part.item_id, back.care_id, part.sku
"""
PIECES = """
UPDATE {schema}.stock_movements movement SET item_pieces = abs(movement.pieces) / part.per_piece
FROM ({parts}) part
WHERE part.is_first AND movement.kind IN ('shipped', 'not_shipped', 'returned')
  AND (part.account, part.item_id, part.sku) = (movement.account, movement.item_id, movement.sku)
"""
