"""The documents of an order, and how many pieces of an item a care record is about"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

COMMENTS = {
    "orders.delivery_note_url": "URL of the delivery note to use; stored, never fetched.",
    "orders.label_url": "URL of the shipping label to use, of those in order_documents; never fetched.",
    "order_items.care_id": "The marketplace's id of the latest care record about this item, cancelled ones last; "
    "empty: none.",
    "care_records.state": "open, closed, cancelled (nothing comes of it) or unknown.",
}


def upgrade() -> None:
    op.create_table(
        "order_documents",
        sa.Column(
            "account", sa.Text, primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column("order_id", sa.Text, primary_key=True, comment="The marketplace's id of the order."),
        sa.Column("kind", sa.Text, primary_key=True, comment="delivery_note or label."),
        sa.Column(
            "document_key", sa.Text, primary_key=True,
            comment="The marketplace's id of the document, unique among those of the order and kind.",
        ),
        sa.Column(
            "url", sa.Text, comment="URL of the document; stored, never fetched. Empty: the marketplace gives none."
        ),
        sa.Column(
            "carrier", sa.Text, comment="Name of the carrier of the parcel; empty: the marketplace does not say."
        ),
        sa.Column("tracking_number", sa.Text, comment="The carrier's tracking number of the parcel."),
        sa.Column(
            "item_ids", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb"),
            comment="The marketplace's ids of the order items it is for, a list; []: the marketplace does not say.",
        ),
        sa.Column(
            "read_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(),
            comment="When we last read it at the marketplace, by our clock.",
        ),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True),
            comment="When the URL stops working, by the marketplace's clock; empty: it does not.",
        ),
        sa.Column(
            "cancelled_at", sa.DateTime(timezone=True),
            comment="When it was cancelled, or the marketplace listed others instead; empty: it was not.",
        ),
        sa.Column(
            "first_stored_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(),
            comment="When we stored the row first, by our clock.",
        ),
        comment="The delivery notes and labels of orders, one row per document: one label for each parcel.",
    )  # fmt: skip
    op.create_index(
        "order_documents_expiring",
        "order_documents",
        ["account", "expires_at"],
        postgresql_where=sa.text("expires_at IS NOT NULL AND cancelled_at IS NULL"),
    )
    op.add_column(
        "care_record_items",
        sa.Column(
            "quantity",
            sa.Integer,
            comment="Pieces of the item that come back, or that the case is about; empty: the marketplace does not "
            "say.",
        ),
    )
    for column, comment in COMMENTS.items():
        _comment(column, comment)


def downgrade() -> None:
    """Leaves the comments: older code does not read them."""
    op.drop_column("care_record_items", "quantity")
    op.drop_table("order_documents")


def _comment(column: str, comment: str) -> None:
    literal = comment.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON COLUMN {column} IS '{literal}'")
