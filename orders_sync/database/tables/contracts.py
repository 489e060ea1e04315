"""What the records of each account look like, and where they differ from what their adapter knows."""

from sqlalchemy import Boolean, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from orders_sync.database.tables.columns import ACCOUNT, metadata, moment

_FIELD = "The field by its path in the record, e.g. orderlines[].state; '': the record itself."
_MARKETPLACE = "Name of the marketplace's adapter."

contract_fields = Table(
    "contract_fields",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("kind", Text, primary_key=True, comment="order or care."),
    Column("field", Text, primary_key=True, comment=_FIELD),
    Column("marketplace", Text, nullable=False, comment=_MARKETPLACE),
    Column(
        "types", JSONB, nullable=False,
        comment="The types of its values so far, without null: a list of text, number, boolean, list, object.",
    ),
    Column("is_read", Boolean, nullable=False, comment="Whether the adapter reads it."),
    Column("records", Integer, nullable=False, comment="Number of sampled records that had it."),
    Column(
        "missing", Integer, nullable=False,
        comment="Number of sampled records in a row, until now, that could have had it and did not.",
    ),
    Column(
        "is_optional", Boolean, nullable=False,
        comment="Whether a record did not have it and a later one did: it does not count as vanished.",
    ),
    moment("first_seen_at", "When it was first seen, by our clock.", now=True),
    moment("last_sampled_at", "When records that could have it were last sampled, by our clock.", now=True),
    comment="The fields of the records of each account, from samples: names and types, no values.",
)  # fmt: skip

contract_drift = Table(
    "contract_drift",
    metadata,
    Column("account", Text, primary_key=True, comment=ACCOUNT),
    Column("kind", Text, primary_key=True, comment="order or care."),
    Column("field", Text, primary_key=True, comment=_FIELD),
    Column("what", Text, primary_key=True, comment="new field, vanished field, new type or new value."),
    Column(
        "detail", Text, primary_key=True,
        comment="The type; of a new value the value, a state of the marketplace; '': a vanished field.",
    ),
    Column("marketplace", Text, nullable=False, comment=_MARKETPLACE),
    Column("record_id", Text, nullable=False, comment="The marketplace's id of a record that shows it."),
    moment("first_seen_at", "When it was found, by our clock.", now=True),
    moment("noted_at", "When a person noted it as seen, by our clock; empty: not yet."),
    Column("noted_by", Text, comment="Who noted it as seen: user@machine."),
    comment="Where an account's records differ from what their adapter knows; each difference is reported once.",
)  # fmt: skip
