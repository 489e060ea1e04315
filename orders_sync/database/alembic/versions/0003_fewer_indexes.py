"""Fewer indexes: each costs every order that is stored

`orders_created` finds the orders of the last days, whose lack of papers a look at them tells. The events that wait to
be applied in shadow have an index while a migration is under way only (orders_sync/migration/shadow.py).
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
