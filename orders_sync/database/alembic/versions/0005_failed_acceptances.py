"""Acceptances that the marketplace did not process are `failed`, not `refused`, so that they use up no tries"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Only a marketplace's refusal has an HTTP status.
    op.execute("UPDATE acceptances SET state = 'failed' WHERE state = 'refused' AND answer_status IS NULL")
    op.execute(
        "COMMENT ON COLUMN acceptances.state IS "
        "'requested (no answer yet), accepted, refused, failed (certainly not done, and sent again), lost (the "
        "answer was lost), or left (the same, and the line no longer waits).'"
    )


def downgrade() -> None:
    op.execute("UPDATE acceptances SET state = 'refused' WHERE state = 'failed'")
