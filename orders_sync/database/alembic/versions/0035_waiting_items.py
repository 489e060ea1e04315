"""The items that wait for the merchant are found without reading all items"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
works_with = "0027"


def upgrade() -> None:
    op.create_index("order_items_pending", "order_items", ["account"], postgresql_where=sa.text("status = 'pending'"))


def downgrade() -> None:
    op.drop_index("order_items_pending", "order_items")
