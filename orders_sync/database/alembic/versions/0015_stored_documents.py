"""The content of delivery notes and labels"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

COMMENTS = {
    "orders.delivery_note_url": "URL of the delivery note to use; may need the account's credential.",
    "orders.label_url": "URL of the shipping label to use, of those in order_documents; may need the account's "
    "credential.",
    "order_documents.url": "URL of the document. Empty: the marketplace gives none.",
}


def upgrade() -> None:
    op.create_table(
        "document_contents",
        sa.Column(
            "sha256", sa.LargeBinary(), primary_key=True, autoincrement=False,
            comment="SHA-256 of the content, 32 bytes.",
        ),
        sa.Column("format", sa.Text(), nullable=False, comment="pdf, png or zpl, by the content itself."),
        sa.Column("size", sa.Integer(), nullable=False, comment="Size of the content in bytes."),
        sa.Column(
            "content", sa.LargeBinary(), nullable=False,
            comment="Buyer's data: the document itself; deleted after the retention.",
        ),
        sa.Column(
            "first_stored_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(),
            comment="When we stored the row first, by our clock.",
        ),
        comment="The contents of delivery notes and labels, each once, however many documents have it.",
    )  # fmt: skip
    # A PDF or PNG is compressed already: PostgreSQL would try in vain.
    op.execute("ALTER TABLE document_contents ALTER COLUMN content SET STORAGE EXTERNAL")
    op.create_table(
        "document_fetches",
        sa.Column(
            "account", sa.Text(), primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column("order_id", sa.Text(), primary_key=True, comment="The marketplace's id of the order."),
        sa.Column("kind", sa.Text(), primary_key=True, comment="delivery_note or label."),
        sa.Column("document_key", sa.Text(), primary_key=True, comment="The document's key in order_documents."),
        sa.Column(
            "sha256", sa.LargeBinary(),
            sa.ForeignKey("document_contents.sha256", name="document_fetches_content"),
            comment="Its content in document_contents; empty: it was not fetched yet.",
        ),
        sa.Column(
            "url", sa.Text(), comment="URL that the content was fetched from; empty: it was not fetched yet."
        ),
        sa.Column(
            "fetched_at", sa.DateTime(timezone=True),
            comment="When the content was fetched, by our clock; empty: not yet.",
        ),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, server_default="0",
            comment="How many attempts have failed since it was last fetched.",
        ),
        sa.Column(
            "failed_at", sa.DateTime(timezone=True),
            comment="When the last attempt failed, by our clock; empty: none has since it was last fetched.",
        ),
        sa.Column("problem", sa.Text(), comment="Why the last attempt failed, in one line; empty: it did not."),
        comment="One row per document of order_documents that was fetched, or could not be.",
    )  # fmt: skip
    op.create_index("document_fetches_sha256", "document_fetches", ["sha256"])
    for column, comment in COMMENTS.items():
        literal = comment.replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON COLUMN {column} IS '{literal}'")


def downgrade() -> None:
    """Leaves the comments: older code does not read them."""
    op.drop_table("document_fetches")
    op.drop_table("document_contents")
