"""What changed with each revision of an order, and what its events say about the values before"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"

ACCOUNT = "Name of the seller account: the name of the folder of its account file."


def upgrade() -> None:
    op.create_table(
        "order_changes",
        sa.Column("account", sa.Text(), primary_key=True, comment=ACCOUNT),
        sa.Column("order_id", sa.Text(), primary_key=True, comment="The marketplace's id of the order."),
        sa.Column(
            "revision", sa.Integer(), primary_key=True, autoincrement=False,
            comment="The order's revision that the change made, from 2.",
        ),
        sa.Column(
            "written_by", sa.Text(), nullable=False,
            comment="What stored it: the sync type of the pass, order (`sync --order`) or redecode.",
        ),
        sa.Column(
            "run_id", sa.Text(), nullable=False, comment="Dagster's run id, or cli-… for the command line."
        ),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the change was stored, by our clock.",
        ),
        sa.Column(
            "fields", JSONB(), nullable=False,
            comment="The columns of the order that changed, each with [before, after]; [] where the value is not kept: "
            "buyer's data and URLs of documents.",
        ),
        sa.Column(
            "items", JSONB(), nullable=False,
            comment="By the item's id, its columns that changed, each with [before, after].",
        ),
        comment="One row per stored change of an order. If nothing is named, only the raw record changed.",
    )  # fmt: skip
    op.add_column(
        "order_events",
        sa.Column(
            "previous", JSONB(),
            comment="OrderStatusChanged: by column, the values before of what else changed; without buyer's data.",
        ),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_column("order_events", "previous")
    op.drop_table("order_changes")
