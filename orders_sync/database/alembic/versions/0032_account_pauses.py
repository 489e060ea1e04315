"""An account can be paused by a person"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
works_with = "0027"


def upgrade() -> None:
    op.create_table(
        "account_pauses",
        sa.Column(
            "account", sa.Text(), primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column(
            "paused_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When a person paused the account, by our clock.",
        ),
        sa.Column(
            "paused_by", sa.Text(), nullable=False, comment="Who did it: user@machine, or the user in Dagster."
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why."),
        comment="One row per account that a person has paused: no run of it is requested until somebody resumes it.",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("account_pauses")
