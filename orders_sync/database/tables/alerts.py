"""What was wrong, from when until when, and who was notified."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Table, Text

from orders_sync.database.tables.columns import metadata, moment

troubles = Table(
    "troubles",
    metadata,
    Column("trouble_id", BigInteger, Identity(), primary_key=True, comment="Running number of the trouble."),
    Column("examination", Text, nullable=False, comment="The examination that found it (orders_sync/health)."),
    Column("kind", Text, nullable=False, comment="What kind of trouble it is, e.g. failed."),
    Column("about", Text, nullable=False, comment="The lane or account that it is about; '' for none."),
    Column("level", Text, nullable=False, comment="error or warning."),
    Column("what", Text, nullable=False, comment="What is wrong, as it was last found."),
    Column("remedy", Text, nullable=False, comment="What to do about it."),
    Column("page", Text, nullable=False, comment="Path of the page of the UI that shows more; '' for none."),
    moment("began_at", "When it was first found, by our clock.", now=True),
    moment("seen_at", "When it was last found, by our clock.", now=True),
    moment("ended_at", "When it was resolved, by our clock; empty: it is not."),
    comment="One row per trouble: from its first finding until it is resolved.",
)
Index(
    "troubles_present", troubles.c.examination, troubles.c.kind, troubles.c.about,
    unique=True, postgresql_where=troubles.c.ended_at.is_(None),
)  # fmt: skip
Index("troubles_ended", troubles.c.ended_at)

alerts = Table(
    "alerts",
    metadata,
    Column(
        "trouble_id", BigInteger, ForeignKey("troubles.trouble_id", name="alerts_trouble", ondelete="CASCADE"),
        primary_key=True, comment="Number of the trouble.",
    ),
    Column("channel", Text, primary_key=True, comment="Name of the channel in defs/alerts/defs.yaml."),
    moment("sent_at", "When the channel was notified of it, by our clock.", now=True),
    moment("recovery_sent_at", "When the channel was notified that it is resolved, by our clock; empty: it was not."),
    comment="One row per trouble and channel that was notified of it.",
)  # fmt: skip

alert_channels = Table(
    "alert_channels",
    metadata,
    Column(
        "channel", Text, primary_key=True,
        comment="Name of the channel in defs/alerts/defs.yaml; '' is the evaluation, 'heartbeat ' the heartbeat.",
    ),
    Column("called_at", DateTime(timezone=True), comment="When it was last called with success, by our clock."),
    Column("digest_at", DateTime(timezone=True), comment="When its last digest was due, by our clock."),
    Column("failed_at", DateTime(timezone=True), comment="When its last call failed, by our clock; empty: it did not."),
    Column("problem", Text, comment="Why its last call failed, in one line; empty: it did not."),
    comment="One row per channel: when it was last called, and whether that worked.",
)  # fmt: skip
