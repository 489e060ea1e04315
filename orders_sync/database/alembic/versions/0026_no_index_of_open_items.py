"""No index of the open items: only rare scans of all items read it, and each new item paid for it"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.drop_index("order_items_open", "order_items")


def downgrade() -> None:
    op.create_index(
        "order_items_open", "order_items", ["account", "item_id"],
        postgresql_where=sa.text("status IN ('pending', 'accepted', 'unknown')"),
    )  # fmt: skip
