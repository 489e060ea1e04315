"""How many pieces of an item V1 has consumed, and when"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column(
        "stock_decisions",
        sa.Column("pieces", sa.Integer(), comment="Of shipped: the item's pieces that have left; empty: all."),
    )
    op.add_column(
        "stock_decisions",
        sa.Column(
            "left_at",
            sa.DateTime(timezone=True),
            comment="Of shipped: the moment by which they had left, as V1 says; empty: made_at.",
        ),
    )


def downgrade() -> None:
    op.drop_column("stock_decisions", "left_at")
    op.drop_column("stock_decisions", "pieces")
