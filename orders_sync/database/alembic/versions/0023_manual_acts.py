"""Who did what by hand: one table, with what other tables hold of it from before"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "manual_acts",
        sa.Column(
            "act_id", sa.BigInteger(), sa.Identity(), primary_key=True, comment="Running number of the act."
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"),
            comment="When it was done, by our clock.",
        ),
        sa.Column(
            "actor", sa.Text(), nullable=False,
            comment="Who did it: user@machine; in Dagster, the tag `user` of the run, else `Dagster run` and the "
            "beginning of its id.",
        ),
        sa.Column(
            "via", sa.Text(),
            comment="Where from: the command, e.g. `orders-sync stock adjust`, or the job, e.g. `Dagster job "
            "adjust_stock`; empty: it was done before this table existed.",
        ),
        sa.Column(
            "run_id", sa.Text(), comment="The run that did it: Dagster's run id, or cli-…; empty: it is no run."
        ),
        sa.Column(
            "act", sa.Text(), nullable=False,
            comment="What was done (orders_sync/acts/manual_acts.py), e.g. lock_item.",
        ),
        sa.Column(
            "detail", sa.Text(), comment="What exactly, in one line without buyer's data; empty: nothing more to say."
        ),
        sa.Column("reason", sa.Text(), comment="The reason that the user gave; empty: the act needs none."),
        sa.Column("account", sa.Text(), comment="The seller account; empty: it concerns no account, or all."),
        sa.Column(
            "order_id", sa.Text(), comment="The marketplace's id of the order; empty: it concerns no single order."
        ),
        sa.Column(
            "item_id", sa.Text(), comment="The marketplace's id of the order item; empty: it concerns no single item."
        ),
        sa.Column(
            "sku", sa.Text(),
            comment="The SKU of the stock list, or of the item as it was ordered; empty: it concerns no single SKU.",
        ),
        sa.Column("object", sa.Text(), comment="Anything else that it concerns, e.g. `lane shop/new` or `event 17`."),
        comment="What people did by hand, one row per act and object. Each row is written in the transaction of its "
        "effect.",
    )  # fmt: skip
    op.create_index("manual_acts_order", "manual_acts", ["account", "order_id"])
    op.execute(_EARLIER_ACTS)


def downgrade() -> None:
    op.drop_table("manual_acts")


_EARLIER_ACTS = """
INSERT INTO manual_acts (at, actor, act, detail, reason, account, order_id, item_id, sku, object)
SELECT * FROM (
  SELECT decided.made_at AS at, decided.made_by,
    CASE decided.decision WHEN 'lock' THEN 'lock_item' WHEN 'release' THEN 'release_item'
      WHEN 'not_shipped' THEN 'undo_shipment' WHEN 'still_here' THEN 'held_still_here'
      WHEN 'has_left' THEN 'held_has_left' ELSE 'set_to_shipped' END,
    NULL, decided.reason, account, item.order_id, item_id, item.sku, NULL
  FROM stock_decisions decided LEFT JOIN order_items item USING (account, item_id)
  WHERE decided.made_by <> 'cutover'
  UNION ALL
  SELECT at, made_by, 'adjust_stock', format('%s pieces, %s on hand', to_char(pieces, 'SGFM9999999999'), on_hand),
    reason, NULL, NULL, NULL, sku, NULL
  FROM stock_movements WHERE kind = 'adjusted' AND made_by <> '' AND pieces <> 0
  UNION ALL
  SELECT moved.at, moved.made_by, 'return_to_stock', format('%s pieces', moved.item_pieces), moved.reason,
    account, item.order_id, item_id, item.sku, NULL
  FROM stock_movements moved LEFT JOIN order_items item USING (account, item_id)
  WHERE moved.kind = 'returned' AND moved.made_by <> '' AND moved.item_pieces > 0
  UNION ALL
  SELECT rewound_at, rewound_by, 'rewind_lane', NULL, reason, account, NULL, NULL, NULL,
    'lane ' || account || '/' || sync_type
  FROM watermark_rewinds
  UNION ALL
  SELECT made_at, made_by, CASE WHEN holds THEN 'hold_back' ELSE 'undo_hold_back' END, NULL, reason, account, order_id,
    NULL, NULL, NULL
  FROM refusal_holds
  UNION ALL
  SELECT dismissed_at, dismissed_by, 'dismiss_rejected', NULL, dismissed_reason, account,
    CASE kind WHEN 'order' THEN record_id END, NULL, NULL,
    'rejected ' || CASE kind WHEN 'care' THEN 'care record' ELSE kind END || ' ' || record_id
  FROM rejected_records WHERE dismissed_by IS NOT NULL
  UNION ALL
  SELECT moved_at, moved_by, 'move_cutover',
    'from ' || from_phase || ' to ' || to_phase || CASE WHEN forced THEN ', forced' ELSE '' END, reason,
    NULL, NULL, NULL, NULL, NULL
  FROM migration_moves
) earlier ORDER BY at
"""
