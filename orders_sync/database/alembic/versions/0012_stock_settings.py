"""The settings of stock: whether upper and lower case make a difference between SKUs"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "stock_settings",
        sa.Column("settings_id", sa.Integer(), primary_key=True, autoincrement=False, comment="Always 1."),
        sa.Column(
            "sku_case", sa.Text(), nullable=False, server_default="exact",
            comment="exact (SKUs that differ in case are different), or ignore (they are one, stored in upper case).",
        ),
        sa.Column("changed_by", sa.Text(), nullable=False, comment="Who changed them last: user@machine."),
        sa.Column(
            "changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When they were last changed, by our clock.",
        ),
        sa.CheckConstraint("settings_id = 1", name="stock_settings_one_row"),
        sa.CheckConstraint("sku_case IN ('exact','ignore')", name="stock_settings_sku_case"),
        comment="The settings of stock, one row; none: the defaults. `orders-sync stock settings` changes them.",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("stock_settings")
