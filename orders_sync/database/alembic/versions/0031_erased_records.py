"""Whose data was erased stays known; what was blanked by a list of what goes is blanked anew by one of what stays"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
works_with = "0027"


def upgrade() -> None:
    op.create_table(
        "erased_records",
        sa.Column(
            "account", sa.Text(), primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column("kind", sa.Text(), primary_key=True, comment="order or care."),
        sa.Column(
            "record_id", sa.Text(), primary_key=True, comment="The marketplace's id of the order or care case."
        ),
        sa.Column(
            "erased_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When the buyer's data was erased, by our clock.",
        ),
        comment="One row per record whose buyer's data was erased by `buyer erase`. Later copies are stored without it, "
        "also after the order itself was deleted.",
    )  # fmt: skip
    for (table, column), comment in _COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{comment}'")
    for table in ("orders", "care_records"):
        op.execute(_BLANK_ANEW.format(table=table))


def downgrade() -> None:
    op.drop_table("erased_records")


#: As of privacy/blanking.py: a record that stays blanked, and of which more is to go. NULL would let the next copy in.
_BLANK_ANEW = "UPDATE {table} SET buyer_data_blanked_at = 'epoch' WHERE buyer_data_blanked_at IS NOT NULL"
_BLANKED_AT = (
    "When the buyer''s data was blanked, by the account''s retention or by `buyer erase`; empty: it was not. The year "
    "1970: by an older version, which left more; the next retention blanks it anew."
)
_COMMENTS = {
    ("orders", "buyer_data_blanked_at"): _BLANKED_AT,
    ("care_records", "buyer_data_blanked_at"): _BLANKED_AT,
    ("order_documents", "url"): (
        "URL of the document. Empty: the marketplace gives none, or the buyer''s data was blanked."
    ),
}
