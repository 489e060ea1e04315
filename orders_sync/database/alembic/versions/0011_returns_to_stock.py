"""Returns that are booked to stock: what care records say about their receipt, and what was booked of each"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

ACCOUNT = "Name of the seller account: the name of the folder of its account file."
ITEM_ID = "The marketplace's id of the order item (orderline)."


def upgrade() -> None:
    op.add_column(
        "care_records",
        sa.Column(
            "received", sa.Boolean(),
            comment="Whether the seller has received the pieces, as the marketplace last said; empty: it never has.",
        ),
    )  # fmt: skip
    # Mirakl's state: without this, a return that is received now would close without having been seen as received.
    op.execute("UPDATE care_records SET received = true WHERE kind = 'return' AND marketplace_state = 'RECEIVED'")
    op.create_table(
        "stock_returns",
        sa.Column("account", sa.Text(), primary_key=True, comment=ACCOUNT),
        sa.Column("care_id", sa.Text(), primary_key=True, comment="The marketplace's id of the care case."),
        sa.Column("item_id", sa.Text(), primary_key=True, comment=ITEM_ID),
        sa.Column(
            "pieces", sa.Integer(),
            comment="Pieces of the item that come back, as the care record said; empty: it does not say.",
        ),
        sa.Column(
            "came_back_at", sa.DateTime(timezone=True),
            comment="When they came back, by the marketplace's clock; empty: at.",
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was known to be due, or a person booked it, by our clock.",
        ),
        sa.Column(
            "handled_at", sa.DateTime(timezone=True),
            comment="When the stock job, or a person, dealt with it, by our clock; empty: pending.",
        ),
        sa.Column(
            "booked", sa.Integer(), nullable=False, server_default="0", comment="Pieces that are on hand again by it."
        ),
        sa.Column(
            "booked_before", sa.Integer(), nullable=False, server_default="0",
            comment="Pieces that a person had booked before without naming the care record.",
        ),
        sa.Column(
            "counted", sa.Integer(), nullable=False, server_default="0",
            comment="Pieces that were on the shelf already when it was counted.",
        ),
        sa.Column(
            "note", sa.Text(), comment="Why fewer pieces were booked than the care record says; empty: all were."
        ),
        comment="The returns of care records to stock, one row per care case and item: each is booked once.",
    )  # fmt: skip
    for schema in ("public", "shadow"):
        op.create_index(
            "stock_movements_returned", "stock_movements", ["account", "item_id"], schema=schema,
            postgresql_where=sa.text("kind = 'returned'"),
        )  # fmt: skip
    op.create_index(
        "stock_returns_pending", "stock_returns", ["at"], postgresql_where=sa.text("handled_at IS NULL")
    )  # fmt: skip
    op.create_index("stock_returns_item", "stock_returns", ["account", "item_id"])
    op.create_table(
        "restocking_accounts",
        sa.Column("account", sa.Text(), primary_key=True, comment=ACCOUNT),
        sa.Column(
            "since", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="Returns that closed before are not booked: when `restock_returns` was first seen.",
        ),
        sa.Column(
            "passed_at", sa.DateTime(timezone=True),
            comment="When the first complete `care` pass since then ended, by our clock; empty: none has.",
        ),
        comment="The accounts whose returns are booked when they close as received (`restock_returns`).",
    )  # fmt: skip


def downgrade() -> None:
    for schema in ("public", "shadow"):
        op.drop_index("stock_movements_returned", "stock_movements", schema=schema)
    op.drop_table("restocking_accounts")
    op.drop_table("stock_returns")
    op.drop_column("care_records", "received")
