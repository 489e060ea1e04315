"""Error answers of marketplaces, whole, as evidence: messages report their published codes only"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030"
down_revision = "0029"
works_with = "0027"


def upgrade() -> None:
    op.create_table(
        "error_answers",
        sa.Column(
            "error_answer_id", sa.BigInteger(), sa.Identity(), primary_key=True,
            comment="Running number of the answer.",
        ),
        sa.Column(
            "account", sa.Text(), nullable=False,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column(
            "sync_type", sa.Text(), nullable=False,
            comment="Sync type of the lane: new, modified, care or incomplete.",
        ),
        sa.Column(
            "run_id", sa.Text(), nullable=False, comment="Dagster's run id, or cli-… for the command line."
        ),
        sa.Column(
            "answered_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the answer came, by the clock of the machine that made the request.",
        ),
        sa.Column("method", sa.Text(), nullable=False, comment="HTTP method of the request."),
        sa.Column(
            "path", sa.Text(), nullable=False,
            comment="Path of the request, without its query and without credentials.",
        ),
        sa.Column(
            "status", sa.Integer(), nullable=False,
            comment="HTTP status; below 300: the answer is not of the contract.",
        ),
        sa.Column(
            "headers", JSONB(), nullable=False,
            comment="Headers that explain the answer, without credentials: values by name.",
        ),
        sa.Column(
            "body", sa.LargeBinary(), nullable=False,
            comment="The first 32 kB of the body, without credentials; may hold buyer's data.",
        ),
        sa.Column("body_bytes", sa.Integer(), nullable=False, comment="Bytes of the whole body."),
        sa.Column(
            "times", sa.Integer(), nullable=False,
            comment="How often the run got an answer of this status to this request; the newest one is kept.",
        ),
        comment="One row per error answer of a marketplace; the newest 100 of each account.",
    )  # fmt: skip
    op.create_index("error_answers_account", "error_answers", ["account", "error_answer_id"])


def downgrade() -> None:
    op.drop_table("error_answers")
