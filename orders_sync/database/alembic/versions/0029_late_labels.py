"""Whether a label that was made before a cancellation was looked for: noted for each order, once its answer came"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
works_with = "0027"


def upgrade() -> None:
    op.add_column(
        "orders",
        sa.Column(
            "late_label_revision", sa.Integer,
            comment="The order's revision when a label made before a cancellation was last looked for; empty: never.",
        ),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_column("orders", "late_label_revision")
