"""When the parcel of a label was shipped: it is for pieces that have left, and holds no others"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column(
        "order_documents",
        sa.Column(
            "shipped_at", sa.DateTime(timezone=True),
            comment="When the parcel of the label left, by the marketplace's clock; empty: it has not, or the "
            "marketplace does not say it of the parcel.",
        ),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_column("order_documents", "shipped_at")
