"""The content of documents: only of accounts with `store_documents`."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from orders_sync.database.tables.columns import ACCOUNT, FIRST_STORED_AT, ORDER_ID, PERSONAL_DATA, metadata, moment

document_contents = Table(
    "document_contents",
    metadata,
    Column("sha256", LargeBinary, primary_key=True, autoincrement=False, comment="SHA-256 of the content, 32 bytes."),
    Column("format", Text, nullable=False, comment="pdf, png or zpl, by the content itself."),
    Column("size", Integer, nullable=False, comment="Size of the content in bytes."),
    Column(
        "content", LargeBinary, nullable=False, info=PERSONAL_DATA,
        comment="Buyer's data: the document itself; deleted after the retention.",
    ),
    moment("first_stored_at", FIRST_STORED_AT, now=True),
    comment="The contents of delivery notes and labels, each once, however many documents have it.",
)  # fmt: skip

document_fetches = Table(
    "document_fetches",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("order_id", Text, primary_key=True, comment=ORDER_ID),
    Column("kind", Text, primary_key=True, comment="delivery_note or label."),
    Column("document_key", Text, primary_key=True, comment="The document's key in order_documents."),
    Column(
        "sha256", LargeBinary, ForeignKey("document_contents.sha256", name="document_fetches_content"),
        comment="Its content in document_contents; empty: it was not fetched yet.",
    ),
    Column("url", Text, comment="URL that the content was fetched from; empty: it was not fetched yet."),
    moment("fetched_at", "When the content was fetched, by our clock; empty: not yet."),
    Column(
        "attempts", Integer, nullable=False, server_default="0",
        comment="How many attempts have failed since it was last fetched.",
    ),
    moment("failed_at", "When the last attempt failed, by our clock; empty: none has since it was last fetched."),
    Column("problem", Text, comment="Why the last attempt failed, in one line; empty: it did not."),
    comment="One row per document of order_documents that was fetched, or could not be.",
)  # fmt: skip
Index("document_fetches_sha256", document_fetches.c.sha256)
