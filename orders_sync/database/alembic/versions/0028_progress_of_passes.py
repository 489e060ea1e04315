"""When a running pass last made progress and what it waits for; which lanes pause for a refused credential"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
works_with = "0027"


def upgrade() -> None:
    op.add_column(
        "lane_runs",
        sa.Column(
            "progressed_at", sa.DateTime(timezone=True),
            comment="When the pass last made progress, to a few seconds, by our clock; empty: it did not note it.",
        ),
    )  # fmt: skip
    op.add_column(
        "lane_runs",
        sa.Column(
            "waits_for", sa.Text(),
            comment="What the running pass waits for, e.g. the answer to GET /ws/orders; empty: for nothing.",
        ),
    )  # fmt: skip
    op.add_column(
        "lane_runs",
        sa.Column(
            "waits_until", sa.DateTime(timezone=True),
            comment="When it stops waiting for that at the latest, by our clock; empty: it does not wait.",
        ),
    )  # fmt: skip
    op.create_table(
        "refused_credentials",
        sa.Column(
            "account", sa.Text(), primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column(
            "sync_type", sa.Text(), primary_key=True,
            comment="Sync type of the lane: new, modified, care or incomplete.",
        ),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the credential was refused, or found missing, by our clock."),
        sa.Column(
            "pauses_account", sa.Boolean(), nullable=False,
            comment="Whether all lanes of the account pause, and not only this one: the credential itself is wrong.",
        ),
        sa.Column("problem", sa.Text(), nullable=False, comment="Why the pass failed, in one line."),
        sa.Column("salt", sa.LargeBinary(), nullable=False, comment="Random bytes that `mark` was made with."),
        sa.Column(
            "mark", sa.LargeBinary(), nullable=False,
            comment="Two bytes of a slow hash of the account's file and credentials: the pause ends when it differs.",
        ),
        comment="One row per lane whose last pass failed since the account's credential was refused or is missing.",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("refused_credentials")
    for column in ("waits_until", "waits_for", "progressed_at"):
        op.drop_column("lane_runs", column)
