"""Whose data was erased, so that it does not come back."""

from sqlalchemy import Column, Table, Text

from orders_sync.database.tables.columns import ACCOUNT, metadata, moment

erased_records = Table(
    "erased_records",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("kind", Text, primary_key=True, comment="order or care."),
    Column("record_id", Text, primary_key=True, comment="The marketplace's id of the order or care case."),
    moment("erased_at", "When the buyer's data was erased, by our clock.", now=True),
    comment="One row per record whose buyer's data was erased by `buyer erase`. Later copies are stored without it, "
    "also after the order itself was deleted.",
)  # fmt: skip
