"""Who gets order events, and how far each of them is."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from orders_sync.database.tables.columns import ACCOUNT, ORDER_ID, metadata, moment

SUBSCRIPTION = "Name of the subscription: the name of its folder in defs/subscriptions."

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription", Text, primary_key=True, comment=SUBSCRIPTION),
    Column("kinds", ARRAY(Text), nullable=False, comment="The kinds of events that it gets."),
    Column("accounts", ARRAY(Text), comment="The accounts whose events it gets; empty: all."),
    Column("statuses", ARRAY(Text), comment="It gets the events that lead to one of these statuses; empty: all."),
    Column("consumer", Text, nullable=False, comment="dagster, webhook or sql: who consumes its events."),
    Column("role", Text, comment="The role of PostgreSQL that may claim its events; empty: it has no consumer in SQL."),
    Column(
        "is_filling", Boolean, nullable=False, server_default=text("false"),
        comment="Whether it still has to get the events that were stored before it: nothing is delivered until then.",
    ),
    moment("added_at", "When its file was first read, by our clock: it gets the events from then on.", now=True),
    moment("paused_at", "When a person paused it, by our clock; empty: it is not paused."),
    Column("paused_by", Text, comment="Who paused it."),
    Column("pause_reason", Text, comment="Why it is paused."),
    moment("resting_until", "Until when a receiver that fails is not called, by our clock; empty: it works."),
    Column("failures", Integer, nullable=False, server_default="0", comment="Failed calls in a row."),
    Column("problem", Text, comment="Why the last call of the receiver failed, in one line; empty: it did not."),
    Column(
        "buyer_accounts", ARRAY(Text), nullable=False, server_default=text("'{}'"),
        comment="The accounts whose buyers' data it gets: it asks for it, and they share it.",
    ),
    comment="One row per subscription: the consumers of order events besides the stock job.",
)  # fmt: skip

event_deliveries = Table(
    "event_deliveries",
    metadata,
    Column("subscription", Text, comment=SUBSCRIPTION),
    Column("event_id", BigInteger, comment="Number of the event in order_events."),
    Column("account", Text, nullable=False, comment=ACCOUNT),
    Column("order_id", Text, nullable=False, comment=ORDER_ID),
    moment("waiting_since", "When it was written, or last replayed, by our clock.", now=True),
    moment("due_at", "From when it may be delivered, or delivered again, by our clock.", now=True),
    Column(
        "is_claimed", Boolean, nullable=False, server_default=text("false"),
        comment="Whether a consumer has it until due_at; false: it waits.",
    ),
    Column("attempts", Integer, nullable=False, server_default="0", comment="How often it was claimed."),
    moment("first_tried_at", "When it was claimed first, by our clock."),
    Column("problem", Text, comment="Why the last attempt failed, in one line; empty: it did not."),
    moment("ended_at", "When it was delivered, skipped or given up, by our clock; empty: it is pending."),
    Column("outcome", Text, comment="delivered, skipped or given_up; empty: it is pending."),
    Column(
        "is_replayed", Boolean, nullable=False, server_default=text("false"),
        comment="Whether a person had it delivered again.",
    ),
    PrimaryKeyConstraint("subscription", "event_id"),
    comment="One row per event and subscription that gets it, written in the transaction of the event.",
)  # fmt: skip
Index(
    "event_deliveries_due",
    event_deliveries.c.subscription, event_deliveries.c.due_at, event_deliveries.c.event_id,
    postgresql_where=event_deliveries.c.ended_at.is_(None),
)  # fmt: skip
Index(
    "event_deliveries_order",
    event_deliveries.c.subscription, event_deliveries.c.account, event_deliveries.c.order_id,
    event_deliveries.c.event_id, postgresql_where=event_deliveries.c.ended_at.is_(None),
)  # fmt: skip
Index("event_deliveries_ended", event_deliveries.c.subscription, event_deliveries.c.ended_at)
Index(
    "event_deliveries_given_up", event_deliveries.c.subscription,
    postgresql_where=text("outcome = 'given_up'"),
)  # fmt: skip
