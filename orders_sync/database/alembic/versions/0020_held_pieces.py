"""Held pieces: cancelled after the label was made, reserved until someone knows whether they have left"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

SCHEMAS = ("public", "shadow")
DECISION = (
    "lock, release, shipped (counts as shipped); or an act that is only on record here: not_shipped (a shipment was "
    "undone), still_here or has_left (held pieces)."
)
DECISIONS = (
    "What was decided by hand, or by the cutover, about items' locks, one row per decision. An item's newest one of "
    "lock, release and shipped holds until the item's status changes; the others are history."
)
STATE = (
    "short (it waits for pieces), locked (it has all), held (cancelled pieces may have left), consumed (they have left) "
    "or released."
)
BEFORE = {
    ("stock_levels", "reserved"): "Pieces that locks hold.",
    ("stock_locks", "locked"): "Pieces that the lock holds.",
    ("stock_locks", "state"): "short (it waits for pieces), locked (it holds all), consumed (they have left) or "
    "released.",
    ("stock_lock_history", "to_state"): "State after: locked, released, consumed or short.",
}
AFTER = {
    ("stock_levels", "reserved"): "Pieces that locks have: locked and held ones.",
    ("stock_locks", "locked"): "Pieces that the lock has for the item.",
    ("stock_locks", "state"): STATE,
    ("stock_lock_history", "to_state"): "State after: locked, released, consumed, short or held.",
}


def upgrade() -> None:
    for schema in SCHEMAS:
        op.add_column(
            "stock_locks",
            sa.Column(
                "held", sa.Integer(), nullable=False, server_default="0",
                comment="Pieces that the item does not need any more and that may have left. They are reserved, as "
                "`locked` is.",
            ),
            schema=schema,
        )  # fmt: skip
        op.add_column(
            "stock_lock_history",
            sa.Column(
                "held", sa.Integer(), nullable=False, server_default="0", comment="Pieces that are held afterwards."
            ),
            schema=schema,
        )
    _replace_rules("WHEN held > 0 THEN 'held' ", ", held", "'locked', 'short', 'held'", AFTER)
    op.drop_constraint("stock_decisions_decision", "stock_decisions")
    op.create_check_constraint(
        "stock_decisions_decision", "stock_decisions",
        "decision IN ('lock','release','shipped','not_shipped','still_here','has_left')",
    )  # fmt: skip
    op.alter_column("stock_decisions", "decision", comment=DECISION)
    op.create_table_comment("stock_decisions", DECISIONS)
    op.create_table(
        "stock_unreported",
        sa.Column(
            "account", sa.Text(), primary_key=True,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column(
            "item_id", sa.Text(), primary_key=True, comment="The marketplace's id of the order item (orderline)."
        ),
        sa.Column(
            "pieces", sa.Integer(), nullable=False, comment="Cancelled pieces of the item that left all the same."
        ),
        sa.Column(
            "expected", sa.Integer(), nullable=False,
            comment="Pieces that the marketplace was to report as shipped without those. What it reports beyond that "
            "is some of `pieces`.",
        ),
        sa.CheckConstraint("pieces > 0", name="stock_unreported_pieces"),
        comment="Held pieces that have left, as a person says, and that the marketplace did not report; one row per "
        "item.",
    )  # fmt: skip


def downgrade() -> None:
    # Held pieces become locked ones: the stock job of the older revision releases them when it looks at them.
    for schema in SCHEMAS:
        op.drop_constraint("stock_locks_state", "stock_locks", schema=schema)
        op.execute(LOCKED_AGAIN.format(schema=schema))
        op.execute(NEVER_HELD.format(schema=schema))
    _replace_rules("", "", "'locked', 'short'", BEFORE, has_state_rule=False)
    for schema in SCHEMAS:
        op.drop_column("stock_lock_history", "held", schema=schema)
        op.drop_column("stock_locks", "held", schema=schema)
    op.drop_table("stock_unreported")
    op.execute("DELETE FROM stock_decisions WHERE decision IN ('still_here', 'has_left')")
    op.drop_constraint("stock_decisions_decision", "stock_decisions")
    op.create_check_constraint(
        "stock_decisions_decision", "stock_decisions", "decision IN ('lock','release','shipped','not_shipped')"
    )
    op.alter_column(
        "stock_decisions", "decision",
        comment="lock, release, shipped (counts as shipped) or not_shipped (a shipment was undone).",
    )  # fmt: skip
    op.create_table_comment(
        "stock_decisions",
        "What was decided by hand, or by the cutover, about items' locks, one row per decision. An item's newest one "
        "holds until the item's status changes; the others are history.",
    )


LOCKED_AGAIN = """
UPDATE {schema}.stock_locks SET locked = locked + held, state = CASE WHEN short > 0 THEN 'short' ELSE 'locked' END
WHERE held > 0
"""
NEVER_HELD = """
UPDATE {schema}.stock_lock_history SET locked = locked + held,
  from_state = replace(from_state, 'held', 'locked'), to_state = replace(to_state, 'held', 'locked')
WHERE held > 0 OR 'held' IN (from_state, to_state)
"""


def _replace_rules(
    held: str, pieces: str, active: str, comments: dict[tuple[str, str], str], *, has_state_rule: bool = True
) -> None:
    """Replaces the rules of locks by those with the state `held`, or without it."""
    for schema in SCHEMAS:
        if has_state_rule:
            op.drop_constraint("stock_locks_state", "stock_locks", schema=schema)
        op.create_check_constraint(
            "stock_locks_state", "stock_locks",
            f"state = CASE WHEN short > 0 THEN 'short' WHEN locked > 0 THEN 'locked' {held}"
            "WHEN consumed > 0 THEN 'consumed' ELSE 'released' END",
            schema=schema,
        )  # fmt: skip
        op.drop_constraint("stock_locks_pieces_not_negative", "stock_locks", schema=schema)
        op.create_check_constraint(
            "stock_locks_pieces_not_negative", "stock_locks",
            f"least(locked, short, consumed, item_pieces{pieces}) >= 0", schema=schema,
        )  # fmt: skip
        for (table, column), comment in comments.items():
            op.alter_column(table, column, comment=comment, schema=schema)
        op.drop_index("stock_locks_active", "stock_locks", schema=schema)
        op.create_index(
            "stock_locks_active", "stock_locks", ["sku", "state", "ordered_at"], schema=schema,
            postgresql_where=sa.text(f"state IN ({active})"),
        )  # fmt: skip
