"""Fewer indexes: each one slows down the storing of every order

`orders_created` finds the orders of the last days, and those that lack documents are few among them. The pending events
of the shadow stock have an index only during a cutover (orders_sync/cutover/stock_handover.py).
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("DROP INDEX orders_lacking_papers")
    op.execute("""
        DO $$ BEGIN
        IF coalesce((SELECT to_phase FROM migration_moves ORDER BY move_id DESC LIMIT 1), 'live') = 'live' THEN
            DROP INDEX order_events_shadow_pending;
        END IF;
        END $$
    """)
