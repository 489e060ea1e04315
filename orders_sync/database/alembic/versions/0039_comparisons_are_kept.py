"""Each comparison of V1 and V2 is a row: a later one of the same day overwrites nothing"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0039"
down_revision = "0038"
works_with = "0027"


def upgrade() -> None:
    op.drop_constraint("migration_comparisons_pkey", "migration_comparisons", type_="primary")
    op.add_column(
        "migration_comparisons",
        sa.Column("comparison_id", sa.BigInteger, sa.Identity(), primary_key=True, comment="Running number."),
    )
    op.create_primary_key("migration_comparisons_pkey", "migration_comparisons", ["comparison_id"])
    op.create_index("migration_comparisons_day", "migration_comparisons", ["account", "day", "comparison_id"])
    for name, type_, default, comment in _FIGURES:
        op.add_column(
            "migration_comparisons",
            sa.Column(name, type_, nullable=default is None, server_default=default, comment=comment),
        )
    # What was compared before proves nothing: of an order, its first day alone was compared.
    op.execute(
        "UPDATE migration_comparisons SET missing_in_v2 = only_in_v1, correct = agreement, "
        "compared_orders = greatest(orders_v1, orders_v2), orders_in_both = orders_v1 - only_in_v1, "
        "is_whole_day = false, v1_ran = false, v2_ran = false"
    )
    op.alter_column("migration_comparisons", "day", comment=_DAY)
    op.alter_column("migration_differences", "day", comment=_DAY)
    op.alter_column(
        "migration_comparisons", "agreement", comment="Per cent of the compared orders on which both agree, 0 to 100."
    )
    op.execute(f"COMMENT ON TABLE migration_comparisons IS '{_TABLE}'")
    op.add_column(
        "migration_differences",
        sa.Column("comparison_id", sa.BigInteger, comment="The comparison that found it; empty: one before 0039."),
    )
    op.add_column(
        "migration_differences",
        sa.Column(
            "first_found_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(),
            comment="When a comparison first found the same difference, by our clock.",
        ),
    )  # fmt: skip
    op.add_column(
        "migration_differences",
        sa.Column(
            "right_side", sa.Text,
            comment="Who is right, by the marketplace's order: V1, V2 or neither; empty: not verified.",
        ),
    )  # fmt: skip
    op.add_column(
        "migration_differences",
        sa.Column(
            "verified_at", sa.DateTime(timezone=True),
            comment="When it was verified against the marketplace, by our clock; empty: never.",
        ),
    )  # fmt: skip
    op.alter_column(
        "migration_differences", "kind",
        comment="only in V1, only in V2, differs; lock only in V1, only in V2, differs, or forgotten in V1.",
    )  # fmt: skip
    op.create_index("migration_differences_order", "migration_differences", ["account", "order_id"])
    op.create_index("migration_differences_comparison", "migration_differences", ["comparison_id"])


def downgrade() -> None:
    for name in ("migration_differences_order", "migration_differences_comparison"):
        op.drop_index(name, "migration_differences")
    for name in ("comparison_id", "first_found_at", "right_side", "verified_at"):
        op.drop_column("migration_differences", name)
    op.execute(
        "DELETE FROM migration_comparisons earlier USING migration_comparisons later WHERE later.account = "
        "earlier.account AND later.day = earlier.day AND later.comparison_id > earlier.comparison_id"
    )
    op.drop_index("migration_comparisons_day", "migration_comparisons")
    for name, *_ in _FIGURES:
        op.drop_column("migration_comparisons", name)
    op.drop_column("migration_comparisons", "comparison_id")
    op.create_primary_key("migration_comparisons_pkey", "migration_comparisons", ["account", "day"])
    op.alter_column("migration_comparisons", "day", comment="The UTC day on which the orders were created.")
    op.alter_column("migration_differences", "day", comment="The UTC day on which the order was created.")
    op.alter_column("migration_comparisons", "agreement", comment="Per cent of the day's orders that agree, 0 to 100.")
    op.execute("COMMENT ON TABLE migration_comparisons IS 'V1 and V2 compared, one row per account and day.'")


_DAY = "The UTC day: the orders that either side touched on it were compared."
_TABLE = (
    "V1 and V2 compared, one row per comparison of an account and a day. The latest of a day counts; the others stay."
)
_FIGURES = (
    ("compared_orders", sa.Integer, "0", "Number of orders that were compared, with those of an earlier day."),
    ("orders_in_both", sa.Integer, "0", "Number of compared orders that both systems have."),
    ("missing_in_v2", sa.Integer, "0",
     "Number of orders that only V1 has, but for those that the marketplace does not have either."),
    ("is_whole_day", sa.Boolean, "true", "Whether the day was over when it was compared."),
    ("v1_ran", sa.Boolean, "true", "Whether V1 wrote orders on the day."),
    ("v2_ran", sa.Boolean, "true", "Whether each lane of V2 has fetched everything until the end of the day."),
    ("correct", sa.Numeric, "100",
     "Per cent of the compared orders on which both agree, or V2 is right by the marketplace's word, 0 to 100."),
    ("v1_right", sa.Integer, "0", "Number of differences in which the marketplace says what V1 says."),
    ("v2_right", sa.Integer, "0", "Number of differences in which the marketplace says what V2 says."),
    ("neither_right", sa.Integer, "0", "Number of differences in which the marketplace says something else."),
    ("undecided", sa.Integer, "0",
     "Number of differences that were not verified, or that no order decides, e.g. of locks."),
    ("levels_differing", sa.Integer, None, "Number of SKUs whose stock differs; empty: it was not compared."),
    ("zone_offset_minutes", sa.Integer, None,
     "By how many minutes V1's times lie beside the configured time zone; empty: too few orders to tell."),
    ("clock_skew_seconds", sa.Numeric, None, "By how many seconds V1's clock is ahead of ours; empty: not measured."),
    ("findings", JSONB, "[]",
     "What is odd in V1's rows, e.g. duplicates: a list of {kind, count, examples, what}."),
    ("not_verified", sa.Text, "", "Why not all differences were verified against the marketplace, in one line; empty: all were."),
)  # fmt: skip
