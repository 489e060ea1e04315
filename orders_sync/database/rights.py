"""What each role of the orders database may do with its tables: the one source of the grants, the doctor and the docs.

The owner of the tables changes the schema. The writer works with the rows. The reader sees what says nothing about a
buyer: the tables and columns are listed here one by one, so that a new one is closed until somebody opens it.
"""

from typing import NamedTuple

from sqlalchemy import Table

from orders_sync.database.tables import metadata

ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""The rights of the writer on the rows of a table, but for those below."""
_WRITER_EXCEPTIONS = {
    "schema_compatibility": ("SELECT",),  # an upgrade writes it
    "migration_moves": ("SELECT", "INSERT"),  # nobody takes back what is on record
    "manual_acts": ("SELECT", "INSERT"),
}
OF_ALEMBIC = "alembic_version"
"""The table in which alembic keeps the revision. It is none of `metadata`; the writer only reads it."""
FUNCTIONS = ("claim_events", "ack_events", "nack_events")
"""The functions by which events are consumed. They run with the rights of their owner, and check who calls them."""
OWNED_FUNCTIONS = (
    *FUNCTIONS, "check_subscriber", "order_event", "order_event_without_details", "buyer_of_order", "utc_text",
    "fan_out_order_events", "is_event_wanted", "note_order_changed", "note_event", "note_documents",
    "note_new_documents", "note_changed_documents", "note_documents_of_new_orders",
    "note_documents_of_order", "care_details", "note_linked_care", "note_changed_care", "note_lock", "note_new_locks",
    "note_changed_locks", "is_account_live",
)  # fmt: skip
"""All functions of the schema."""

READABLE = (
    "orders", "order_items", "order_events", "care_records", "care_record_items", "order_documents", "lanes",
    "lane_runs", "schedule_ticks", "rejected_records", "record_flaws", "acceptances", "rate_limits", "daily_summary",
    "stock_levels", "stock_locks", "stock_lock_history", "stock_movements", "stock_skus", "stock_settings",
    "stock_returns", "stock_received", "stock_put_away", "stock_buffers", "stock_available", "stock_available_history",
    "schema_compatibility",
)  # fmt: skip
"""The tables of which the reader sees columns."""
HIDDEN = frozenset([
    "raw", "fingerprint", "sha256",  # the marketplace's record, and hashes by which a guess of it could be proved
    "url", "delivery_note_url", "label_url", "tracking_url", "tracking_number",  # they lead to a buyer's address
    "request", "answer", "previous", "fields", "items", "details",  # JSON and texts that follow the marketplace's form
    "document_key",  # may be a tracking number
    "reason", "dismissed_reason", "detail",  # what people typed
    "made_by", "changed_by", "dismissed_by",  # who works here
])  # fmt: skip
"""The columns that the reader does not see in any table, besides those that are marked as buyer's data."""


class Rights(NamedTuple):
    """What the writer and the reader may do with one table."""

    writer: tuple[str, ...]
    reader: tuple[str, ...]
    """The columns that the reader sees."""


def rights_of(table: Table) -> Rights:
    """The rights on a table of ours."""
    columns = [each.name for each in table.columns if not each.info.get("personal_data") and each.name not in HIDDEN]
    return Rights(_WRITER_EXCEPTIONS.get(table.name, ROWS), tuple(columns) if table.name in READABLE else ())


def writer_rights() -> list[tuple[str, str]]:
    """Each table with each right that whoever runs the syncs needs on it."""
    return [(name, right) for name, table in metadata.tables.items() for right in rights_of(table).writer]
