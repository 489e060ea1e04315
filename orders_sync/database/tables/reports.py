"""The reports."""

from sqlalchemy import Column, Date, Integer, Numeric, Table, Text

from orders_sync.database.tables.columns import ACCOUNT, metadata

daily_summary = Table(
    "daily_summary",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("day", Date, primary_key=True, comment="The UTC day on which the orders were created."),
    Column("currency", Text, primary_key=True, comment="ISO 4217 code of the currency of `revenue`; ?: unknown."),
    Column("orders", Integer, nullable=False, comment="Number of orders."),
    Column("items", Integer, nullable=False, comment="Sold pieces: without those in cancelled_items."),
    Column("revenue", Numeric, nullable=False, comment="Price of the sold items in `currency`, tax included."),
    Column(
        "cancelled_items", Integer, nullable=False,
        comment="Pieces that were cancelled, removed, not paid, or refunded before shipping.",
    ),
    Column(
        "incomplete_papers", Integer, key="incomplete_documents", nullable=False,
        comment="Number of orders that lack a document (delivery note or label) that is due in their status.",
    ),
    comment="The daily report, one row per account, day and currency.",
)  # fmt: skip
