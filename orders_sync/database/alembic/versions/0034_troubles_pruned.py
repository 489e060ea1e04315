"""Old troubles can be deleted, with the notes of who was notified"""

from alembic import op

revision = "0034"
down_revision = "0033"
works_with = "0027"

_TABLES = {
    "troubles": "One row per trouble: from its first finding until it is resolved.",
    "alerts": "One row per trouble and channel that was notified of it.",
}
_COLUMNS = {
    ("troubles", "ended_at"): "When it was resolved, by our clock; empty: it is not.",
    ("alerts", "sent_at"): "When the channel was notified of it, by our clock.",
    (
        "alerts",
        "recovery_sent_at",
    ): "When the channel was notified that it is resolved, by our clock; empty: it was not.",
    ("alert_channels", "channel"): (
        "Name of the channel in defs/alerts/defs.yaml; '' is the evaluation, 'heartbeat ' the heartbeat."
    ),
}


def upgrade() -> None:
    op.execute(
        "DELETE FROM alerts WHERE NOT EXISTS (SELECT FROM troubles WHERE troubles.trouble_id = alerts.trouble_id)"
    )
    op.create_foreign_key("alerts_trouble", "alerts", "troubles", ["trouble_id"], ["trouble_id"], ondelete="CASCADE")
    for table, comment in _TABLES.items():
        op.create_table_comment(table, comment)
    for (table, column), comment in _COLUMNS.items():
        op.alter_column(table, column, comment=comment)


def downgrade() -> None:
    op.drop_constraint("alerts_trouble", "alerts")
