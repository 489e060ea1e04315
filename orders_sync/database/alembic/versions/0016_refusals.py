"""Refusals of orderlines: which decision a request asks for and why, and the orders that a person holds back"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column(
        "acceptances",
        sa.Column(
            "decision", sa.Text(), nullable=False, server_default="accept",
            comment="accept, or refuse (at least one of the orderlines).",
        ),
    )  # fmt: skip
    op.add_column("acceptances", sa.Column("reason", sa.Text(), comment="Why orderlines are refused; empty: none is."))
    op.create_check_constraint("acceptances_decision", "acceptances", "decision IN ('accept','refuse')")
    op.execute(
        "COMMENT ON COLUMN acceptances.state IS 'requested (no answer yet), accepted, done (a refusal was carried out), "
        "refused (by the marketplace), failed (certainly not done, and sent again), lost (the answer was lost), or left "
        "(the same, and the line no longer waits).'"
    )
    op.execute(
        "COMMENT ON TABLE acceptances IS 'One row per request to accept or refuse waiting orderlines: the only writes "
        "to a marketplace.'"
    )
    for column, what in (
        ("sku", "SKU of the orderlines; '''': all waiting lines of the order."),
        ("item_id", "The marketplace''s id of the orderline; '''': all waiting lines of the SKU."),
    ):
        op.execute(f"COMMENT ON COLUMN acceptances.{column} IS '{what}'")
    op.create_table(
        "refusal_holds",
        sa.Column(
            "hold_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the decision."
        ),
        sa.Column(
            "account", sa.Text(), nullable=False,
            comment="Name of the seller account: the name of the folder of its account file.",
        ),
        sa.Column("order_id", sa.Text(), nullable=False, comment="The marketplace's id of the order."),
        sa.Column(
            "holds", sa.Boolean(), nullable=False,
            comment="Whether no orderline of the order is refused from now on; false: the account's setting counts again.",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="The reason that the user gave."),
        sa.Column("made_by", sa.Text(), nullable=False, comment="user@machine."),
        sa.Column(
            "made_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was decided, by our clock.",
        ),
        comment="Orders whose short orderlines a person holds back from refusal, one row per decision: the latest counts.",
    )  # fmt: skip
    op.create_index("refusal_holds_order", "refusal_holds", ["account", "order_id"])


def downgrade() -> None:
    op.drop_table("refusal_holds")
    op.drop_constraint("acceptances_decision", "acceptances", type_="check")
    op.drop_column("acceptances", "reason")
    op.drop_column("acceptances", "decision")
