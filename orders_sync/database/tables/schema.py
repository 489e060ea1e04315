"""What the schema says of itself."""

from sqlalchemy import Boolean, CheckConstraint, Column, Table, Text

from orders_sync.database.tables.columns import metadata

schema_compatibility = Table(
    "schema_compatibility",
    metadata,
    Column(
        "only_row", Boolean, CheckConstraint("only_row"), primary_key=True, server_default="true",
        comment="Always true: the table has one row.",
    ),
    Column(
        "oldest_revision", Text, nullable=False,
        comment="The oldest schema revision whose code works with this schema; older code refuses to start.",
    ),
    comment="Which versions of the code work with the schema.",
)  # fmt: skip
