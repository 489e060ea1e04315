"""Rejected records can be dismissed, and a pass can be partial"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_OUTCOME = "running, succeeded, partial (some records could not be fetched, and are rejected records) or failed."


def upgrade() -> None:
    for column in (
        sa.Column(
            "fingerprint", sa.LargeBinary,
            comment="Hash of the record, which shows whether it has changed; empty: not known.",
        ),
        sa.Column(
            "dismissed_at", sa.DateTime(timezone=True),
            comment="When a person dismissed the record, by our clock: it is not tried again; empty: not dismissed.",
        ),
        sa.Column("dismissed_by", sa.Text, comment="Who dismissed the record: user@machine."),
        sa.Column("dismissed_reason", sa.Text, comment="Why the record was dismissed: the reason that the user gave."),
    ):  # fmt: skip
        op.add_column("rejected_records", column)
    op.execute(
        "COMMENT ON TABLE rejected_records IS "
        "'One row per record that failed validation or could not be fetched, whole, with the reasons.'"
    )
    op.execute(f"COMMENT ON COLUMN lanes.last_outcome IS 'Outcome of the last pass: {_OUTCOME}'")
    op.execute(f"COMMENT ON COLUMN lane_runs.outcome IS 'Outcome of the pass: {_OUTCOME}'")


def downgrade() -> None:
    for column in ("fingerprint", "dismissed_at", "dismissed_by", "dismissed_reason"):
        op.drop_column("rejected_records", column)
