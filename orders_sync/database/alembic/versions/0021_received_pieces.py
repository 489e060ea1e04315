"""Pieces that came back by care records: in quarantine, then on the shelf or scrapped"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

ACCOUNT = "Name of the seller account: the name of the folder of its account file."
ITEM_ID = "The marketplace's id of the order item (orderline)."
REASON = "The reason that the user gave."
MADE_BY = "user@machine, or the Dagster run."
SCHEMAS = ("public", "shadow")


def upgrade() -> None:
    op.create_table(
        "stock_received",
        sa.Column(
            "received_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the receipt."
        ),
        sa.Column("account", sa.Text(), nullable=False, comment=ACCOUNT),
        sa.Column("care_id", sa.Text(), nullable=False, comment="The marketplace's id of the care case."),
        sa.Column("item_id", sa.Text(), nullable=False, comment=ITEM_ID),
        sa.Column(
            "sku", sa.Text(), nullable=False, comment="The SKU of the stock list with which the pieces had left."
        ),
        sa.Column(
            "pieces", sa.Integer(), nullable=False, comment="Pieces of the SKU that came back into quarantine."
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment=REASON),
        sa.Column("made_by", sa.Text(), nullable=False, comment=MADE_BY),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When they were received, by our clock.",
        ),
        sa.CheckConstraint("pieces > 0", name="stock_received_pieces"),
        comment="Pieces that came back by care records into quarantine, one row per receipt and SKU. They are not on "
        "hand; stock_put_away says what became of them.",
    )  # fmt: skip
    op.create_index("stock_received_item", "stock_received", ["account", "item_id"])
    op.create_index("stock_received_sku", "stock_received", ["sku"])
    op.create_table(
        "stock_put_away",
        sa.Column(
            "put_away_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the act."
        ),
        sa.Column(
            "received_id", sa.BigInteger(),
            sa.ForeignKey("stock_received.received_id", name="stock_put_away_received"), nullable=False,
            comment="The receipt of the pieces in stock_received.",
        ),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="shelved (on hand again) or scrapped (not sold any more)."
        ),
        sa.Column(
            "sku", sa.Text(), comment="The SKU of the stock list under which they are on hand; empty: scrapped."
        ),
        sa.Column("pieces", sa.Integer(), nullable=False, comment="Pieces that left the quarantine."),
        sa.Column("reason", sa.Text(), nullable=False, comment=REASON),
        sa.Column("made_by", sa.Text(), nullable=False, comment=MADE_BY),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When they were put away, by our clock.",
        ),
        sa.CheckConstraint("pieces > 0", name="stock_put_away_pieces"),
        sa.CheckConstraint("(kind = 'shelved') = (sku IS NOT NULL)", name="stock_put_away_sku"),
        sa.CheckConstraint("kind IN ('shelved','scrapped')", name="stock_put_away_kind"),
        comment="What became of received pieces, one row per act. A receipt's pieces without a row are in quarantine.",
    )  # fmt: skip
    op.create_index("stock_put_away_received", "stock_put_away", ["received_id"])
    op.alter_column(
        "stock_returns", "booked",
        comment="Pieces that came back by it: on hand again, or received, see stock_received.",
    )  # fmt: skip
    _allow_kinds(
        "'counted','adjusted','shipped','not_shipped','returned','received','shelved','scrapped'",
        "counted (an import), adjusted (by hand), shipped, not_shipped (a shipment undone), returned, received "
        "(into quarantine), shelved or scrapped (out of quarantine).",
    )


def downgrade() -> None:
    # What was put away stays on hand; what is in quarantine is forgotten, and can come back once more.
    for schema in SCHEMAS:
        op.execute(FORGET_QUARANTINE.format(schema=schema))
        op.execute(KEEP_SHELVED.format(schema=schema))
    _allow_kinds(
        "'counted','adjusted','shipped','not_shipped','returned'",
        "counted (an import), adjusted (by hand), shipped, not_shipped (a shipment undone) or returned.",
    )
    op.alter_column("stock_returns", "booked", comment="Pieces that are on hand again by it.")
    op.drop_table("stock_put_away")
    op.drop_table("stock_received")


FORGET_QUARANTINE = "DELETE FROM {schema}.stock_movements WHERE kind IN ('received', 'scrapped')"
KEEP_SHELVED = "UPDATE {schema}.stock_movements SET kind = 'adjusted', item_id = '' WHERE kind = 'shelved'"


def _allow_kinds(kinds: str, comment: str) -> None:
    for schema in SCHEMAS:
        op.drop_constraint("stock_movements_kind", "stock_movements", schema=schema)
        op.create_check_constraint("stock_movements_kind", "stock_movements", f"kind IN ({kinds})", schema=schema)
        op.alter_column("stock_movements", "kind", comment=comment, schema=schema)
