"""The cutover from V1 to V2: phases, comparisons, and the shadow stock"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "order_events",
        sa.Column(
            "shadow_applied_at",
            sa.DateTime(timezone=True),
            comment="when it was applied in shadow, while V1 was the truth",
        ),
    )
    op.add_column("order_events", sa.Column("shadow_attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("order_events", sa.Column("shadow_problem", sa.Text()))
    op.create_index(
        "order_events_shadow_pending",
        "order_events",
        ["event_id"],
        postgresql_where=sa.text("shadow_applied_at IS NULL"),
    )
    op.create_table(
        "migration_comparisons",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="the UTC day on which the orders were created"),
        sa.Column(
            "compared_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""
        ),
        sa.Column("orders_v1", sa.Integer(), nullable=False),
        sa.Column("orders_v2", sa.Integer(), nullable=False),
        sa.Column("only_in_v1", sa.Integer(), nullable=False, comment="missing in V2"),
        sa.Column("only_in_v2", sa.Integer(), nullable=False, comment="missing in V1"),
        sa.Column("differing", sa.Integer(), nullable=False, comment="orders in both that differ"),
        sa.Column("in_flight", sa.Integer(), nullable=False, comment="differences that one side could not know of yet"),
        sa.Column("agreement", sa.Numeric(), nullable=False, comment="per cent of the day's orders"),
        sa.Column("locks_v1", sa.Integer(), nullable=False),
        sa.Column("locks_v2", sa.Integer(), nullable=False),
        sa.Column("locks_differing", sa.Integer(), nullable=False),
        sa.Column("first_in_v1", sa.Integer(), nullable=False, comment="orders that V1 stored first"),
        sa.Column("first_in_v2", sa.Integer(), nullable=False),
        sa.Column(
            "v2_later_seconds",
            sa.Numeric(),
            nullable=True,
            comment="median of how much later V2 stored an order; below 0: earlier",
        ),
        sa.Column(
            "calls_v1", sa.Integer(), nullable=True, comment="API calls of the day; empty where V1 does not tell"
        ),
        sa.Column("calls_v2", sa.Integer(), nullable=False),
        sa.Column("too_many_requests_v2", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False, comment="one line"),
        sa.PrimaryKeyConstraint("account", "day"),
        comment="V1 and V2 compared, one row an account and day.",
    )
    op.create_table(
        "migration_differences",
        sa.Column("difference_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="only in V1, only in V2, differs, lock only in V1, …"),
        sa.Column("field", sa.Text(), server_default="", nullable=False),
        sa.Column("v1", sa.Text(), nullable=True),
        sa.Column("v2", sa.Text(), nullable=True),
        sa.Column("in_flight", sa.Boolean(), nullable=False, comment="one side could not know of it yet"),
        sa.PrimaryKeyConstraint("difference_id"),
        comment="What differs between V1 and V2, field by field.",
    )
    op.create_index("migration_differences_day", "migration_differences", ["account", "day"], unique=False)
    op.create_table(
        "migration_moves",
        sa.Column("move_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("from_phase", sa.Text(), nullable=False, comment="parallel, monitor or live"),
        sa.Column("to_phase", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment=""),
        sa.Column("moved_by", sa.Text(), nullable=False, comment="the user and machine"),
        sa.Column("forced", sa.Boolean(), nullable=False, comment="moved although checks did not pass"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "checks", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="the checks as they stood"
        ),
        sa.PrimaryKeyConstraint("move_id"),
        comment="Every move of the migration from V1 to V2.",
    )

    op.execute("CREATE SCHEMA shadow")
    for name in ("stock_levels", "stock_locks", "stock_lock_history"):
        op.execute(f"CREATE TABLE shadow.{name} (LIKE public.{name} INCLUDING ALL)")
    # The same events, with separate columns for their application to the shadow stock.
    op.execute(
        """
        CREATE VIEW shadow.order_events AS
        SELECT event_id, account, order_id, item_id, kind, revision, old_status, new_status, items, recorded_at,
          shadow_applied_at AS applied_at, shadow_attempts AS attempts, shadow_problem AS problem
        FROM public.order_events
        """
    )
