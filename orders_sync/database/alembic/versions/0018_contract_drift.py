"""What the records of each account look like, and where they differ from what their adapter knows"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"

ACCOUNT = "Name of the seller account: the name of the folder of its account file."
FIELD = "The field by its path in the record, e.g. orderlines[].state; '': the record itself."


def upgrade() -> None:
    op.create_table(
        "contract_fields",
        sa.Column("account", sa.Text(), primary_key=True, comment=ACCOUNT),
        sa.Column("kind", sa.Text(), primary_key=True, comment="order or care."),
        sa.Column("field", sa.Text(), primary_key=True, comment=FIELD),
        sa.Column("marketplace", sa.Text(), nullable=False, comment="Name of the marketplace's adapter."),
        sa.Column(
            "types", JSONB(), nullable=False,
            comment="The types of its values so far, without null: a list of text, number, boolean, list, object.",
        ),
        sa.Column("is_read", sa.Boolean(), nullable=False, comment="Whether the adapter reads it."),
        sa.Column("records", sa.Integer(), nullable=False, comment="Number of sampled records that had it."),
        sa.Column(
            "missing", sa.Integer(), nullable=False,
            comment="Number of sampled records in a row, until now, that could have had it and did not.",
        ),
        sa.Column(
            "is_optional", sa.Boolean(), nullable=False,
            comment="Whether a record did not have it and a later one did: it does not count as vanished.",
        ),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was first seen, by our clock.",
        ),
        sa.Column(
            "last_sampled_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When records that could have it were last sampled, by our clock.",
        ),
        comment="The fields of the records of each account, from samples: names and types, no values.",
    )  # fmt: skip
    op.create_table(
        "contract_drift",
        sa.Column("account", sa.Text(), primary_key=True, comment=ACCOUNT),
        sa.Column("kind", sa.Text(), primary_key=True, comment="order or care."),
        sa.Column("field", sa.Text(), primary_key=True, comment=FIELD),
        sa.Column("what", sa.Text(), primary_key=True, comment="new field, vanished field, new type or new value."),
        sa.Column(
            "detail", sa.Text(), primary_key=True,
            comment="The type; of a new value the value, a state of the marketplace; '': a vanished field.",
        ),
        sa.Column("marketplace", sa.Text(), nullable=False, comment="Name of the marketplace's adapter."),
        sa.Column("record_id", sa.Text(), nullable=False, comment="The marketplace's id of a record that shows it."),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was found, by our clock.",
        ),
        sa.Column(
            "noted_at", sa.DateTime(timezone=True),
            comment="When a person noted it as seen, by our clock; empty: not yet.",
        ),
        sa.Column("noted_by", sa.Text(), comment="Who noted it as seen: user@machine."),
        comment="Where an account's records differ from what their adapter knows; each difference is reported once.",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("contract_drift")
    op.drop_table("contract_fields")
