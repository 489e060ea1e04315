"""The tables of the orders database. The comments are the data dictionary: what each table and column means.

The comments reach the database by the alembic revisions, and tools show them (psql's `\\d+`, the Dagster UI). Keys
are always (account, the marketplace's own id), since two marketplaces may use equal ids. Times are `timestamptz`:
moments, whatever time zone shows them. `our clock` is that of the database server. Amounts are `numeric` in the
currency of their row. The alembic revisions build these tables; a test holds the two together.
"""

from orders_sync.database.tables import (
    acts,
    alerts,
    contracts,
    cutover,
    documents,
    error_answers,
    orders,
    passes,
    privacy,
    reports,
    schema,
    stock,
    subscriptions,
)
from orders_sync.database.tables.columns import metadata

__all__ = [
    "acts", "alerts", "contracts", "cutover", "documents", "error_answers", "metadata", "orders", "passes", "privacy",
    "reports", "schema", "stock", "subscriptions",
]  # fmt: skip
