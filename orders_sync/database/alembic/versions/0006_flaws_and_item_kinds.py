"""Flaws of records that are stored nevertheless, and the kinds of order items"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "order_items",
        sa.Column(
            "kind",
            sa.Text,
            nullable=False,
            server_default="goods",
            comment="goods, gift_card, discount, fee, gift_wrap, shipping or service; only goods are locked in stock.",
        ),
    )
    op.create_table(
        "record_flaws",
        sa.Column(
            "account", sa.Text, primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column("kind", sa.Text, primary_key=True, comment="order or care."),
        sa.Column("record_id", sa.Text, primary_key=True, comment="The marketplace's id of the record."),
        sa.Column("field", sa.Text, primary_key=True, comment="Where in the record, e.g. `items[1].fee`."),
        sa.Column(
            "found", sa.Text, nullable=False,
            comment="What is wrong there, without buyer's data, e.g. is not a number.",
        ),
        sa.Column("stored", sa.Text, nullable=False, comment="What is stored instead, e.g. unknown."),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(),
            comment="When the flaw was first found, by our clock.",
        ),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(),
            comment="When the flaw was last found, by our clock.",
        ),
        comment="One row per flaw: a wrong value of a record that is stored nevertheless. Gone once the record is right.",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("record_flaws")
    op.drop_column("order_items", "kind")
