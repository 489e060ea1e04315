"""What was wrong, and who was told"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
works_with = "0027"


def upgrade() -> None:
    op.create_table(
        "troubles",
        sa.Column(
            "trouble_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the trouble."
        ),
        sa.Column(
            "examination", sa.Text(), nullable=False, comment="The examination that found it (orders_sync/health)."
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="What kind of trouble it is, e.g. failed."),
        sa.Column(
            "about", sa.Text(), nullable=False, comment="The lane or account that it is about; '' for none."
        ),
        sa.Column("level", sa.Text(), nullable=False, comment="error or warning."),
        sa.Column("what", sa.Text(), nullable=False, comment="What is wrong, as it was last found."),
        sa.Column("remedy", sa.Text(), nullable=False, comment="What to do about it."),
        sa.Column(
            "page", sa.Text(), nullable=False, comment="Path of the page of the UI that shows more; '' for none."
        ),
        sa.Column(
            "began_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was first found, by our clock.",
        ),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was last found, by our clock.",
        ),
        sa.Column(
            "ended_at", sa.DateTime(timezone=True), comment="When it was over, by our clock; empty: it is not."
        ),
        comment="One row per trouble: from its first finding until it is over.",
    )  # fmt: skip
    op.create_index(
        "troubles_present", "troubles", ["examination", "kind", "about"], unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )  # fmt: skip
    op.create_index("troubles_ended", "troubles", ["ended_at"])
    op.create_table(
        "alerts",
        sa.Column("trouble_id", sa.BigInteger(), primary_key=True, comment="Number of the trouble."),
        sa.Column(
            "channel", sa.Text(), primary_key=True, comment="Name of the channel in defs/alerts/defs.yaml."
        ),
        sa.Column(
            "sent_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the channel was told of it, by our clock.",
        ),
        sa.Column(
            "recovery_sent_at", sa.DateTime(timezone=True),
            comment="When the channel was told that it is over, by our clock; empty: it was not.",
        ),
        comment="One row per trouble and channel that was told of it.",
    )  # fmt: skip
    op.create_table(
        "alert_channels",
        sa.Column(
            "channel", sa.Text(), primary_key=True,
            comment="Name of the channel in defs/alerts/defs.yaml; '' stands for the examinations and the heartbeat.",
        ),
        sa.Column(
            "called_at", sa.DateTime(timezone=True), comment="When it was last called with success, by our clock."
        ),
        sa.Column("digest_at", sa.DateTime(timezone=True), comment="When its last digest was due, by our clock."),
        sa.Column(
            "failed_at", sa.DateTime(timezone=True),
            comment="When its last call failed, by our clock; empty: it did not.",
        ),
        sa.Column("problem", sa.Text(), comment="Why its last call failed, in one line; empty: it did not."),
        comment="One row per channel: when it was last called, and whether that worked.",
    )  # fmt: skip


def downgrade() -> None:
    for table in ("alert_channels", "alerts", "troubles"):
        op.drop_table(table)
