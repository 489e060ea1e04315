"""Which versions of the code work with the schema: an upgrade no longer stops those that run"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
works_with = "0027"  # the first one whose code looks


def upgrade() -> None:
    table = op.create_table(
        "schema_compatibility",
        sa.Column(
            "only_row", sa.Boolean(), sa.CheckConstraint("only_row"), primary_key=True, server_default=sa.true(),
            comment="Always true: the table has one row.",
        ),
        sa.Column(
            "oldest_revision", sa.Text(), nullable=False,
            comment="The oldest schema revision whose code works with this schema; older code refuses to start.",
        ),
        comment="Which versions of the code work with the schema.",
    )  # fmt: skip
    op.bulk_insert(table, [{"oldest_revision": "0027"}])


def downgrade() -> None:
    op.drop_table("schema_compatibility")
