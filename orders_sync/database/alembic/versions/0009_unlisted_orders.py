"""Watermarks that were set back, and orders that are fetched by their ids since no list contains them"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ACCOUNT = "Name of the seller account: the name of the folder of its account file."
SYNC_TYPE = "Sync type of the lane: new, modified, care or incomplete."


def upgrade() -> None:
    op.create_table(
        "watermark_rewinds",
        sa.Column(
            "rewind_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the rewind."
        ),
        sa.Column("account", sa.Text(), nullable=False, comment=ACCOUNT),
        sa.Column("sync_type", sa.Text(), nullable=False, comment=SYNC_TYPE),
        sa.Column(
            "from_watermark", sa.DateTime(timezone=True), nullable=False, comment="Watermark of the lane before."
        ),
        sa.Column("to_watermark", sa.DateTime(timezone=True), nullable=False, comment="Watermark of the lane after."),
        sa.Column(
            "rewound_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the watermark was set back, by our clock.",
        ),
        sa.Column("rewound_by", sa.Text(), nullable=False, comment="Who set it back: user@machine."),
        sa.Column("reason", sa.Text(), nullable=False, comment="The reason that the user gave."),
        comment="One row per watermark that was set back by hand.",
    )
    op.add_column(
        "orders",
        sa.Column(
            "fetched_by_id_at",
            sa.DateTime(timezone=True),
            comment="When the order was last fetched by its id because no list contained it any more, by our clock.",
        ),
    )
    op.create_index("orders_pending", "orders", ["account", "order_id"], postgresql_where=sa.text("status = 'pending'"))
    op.execute(
        "COMMENT ON COLUMN rate_limits.blocked_until IS "
        "'No call before this moment, by our clock: the marketplace requested a pause (429 or 503).'"
    )


def downgrade() -> None:
    op.drop_index("orders_pending", "orders")
    op.drop_column("orders", "fetched_by_id_at")
    op.drop_table("watermark_rewinds")
