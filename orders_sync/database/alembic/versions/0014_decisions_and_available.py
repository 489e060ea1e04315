"""Each decision about a lock stays on record, and up to where available to sell is computed"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column(
        "stock_decisions",
        sa.Column(
            "decision_id", sa.BigInteger(), sa.Identity(), nullable=False,
            comment="Running number of the decision: the item's newest one counts.",
        ),
    )  # fmt: skip
    op.drop_constraint("stock_decisions_pkey", "stock_decisions")
    op.create_primary_key("stock_decisions_pkey", "stock_decisions", ["account", "item_id", "decision_id"])
    op.create_table_comment(
        "stock_decisions",
        "What was decided by hand, or by the cutover, about items' locks, one row per decision. An item's newest one "
        "holds until the item's status changes; the others are history.",
    )
    op.create_table(
        "stock_available_position",
        sa.Column("position_id", sa.Integer(), primary_key=True, autoincrement=False, comment="Always 1."),
        sa.Column(
            "schema_name", sa.Text(), comment="public or shadow: whose stock it is; empty: all numbers are computed anew."
        ),
        sa.Column(
            "entry_id", sa.BigInteger(), nullable=False, server_default="0", comment="Last row of stock_lock_history."
        ),
        sa.Column(
            "movement_id", sa.BigInteger(), nullable=False, server_default="0", comment="Last row of stock_movements."
        ),
        sa.Column(
            "accounts", sa.ARRAY(sa.Text()), nullable=False, server_default="{}",
            comment="The accounts that have numbers.",
        ),
        sa.CheckConstraint("position_id = 1", name="stock_available_position_one_row"),
        comment="The last changes of stock that stock_available follows, one row at most.",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("stock_available_position")
    op.execute(
        "DELETE FROM stock_decisions older USING stock_decisions newer WHERE newer.account = older.account "
        "AND newer.item_id = older.item_id AND newer.decision_id > older.decision_id"
    )
    op.drop_constraint("stock_decisions_pkey", "stock_decisions")
    op.drop_column("stock_decisions", "decision_id")
    op.create_primary_key("stock_decisions_pkey", "stock_decisions", ["account", "item_id"])
    op.create_table_comment(
        "stock_decisions",
        "What a person decided about an item's lock. It holds as long as the item's status stays as it was.",
    )
