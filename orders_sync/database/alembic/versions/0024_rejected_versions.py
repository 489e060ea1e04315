"""When a rejected version was modified: a cached copy of an older one does not end its rejection"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column(
        "rejected_records",
        sa.Column(
            "modified_at", sa.DateTime(timezone=True),
            comment="When the record was modified, by the marketplace's clock; empty: not known.",
        ),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_column("rejected_records", "modified_at")
