"""The three storages of Dagster that `OrdersSyncStorage` puts together.

They look once for what dagster-postgres looks for with each query, by reading the catalog: whether it is there yet.
"""

from collections.abc import Callable

from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import Connection

from orders_sync.dagster_instance.attribution import USER_TAG, acting_user
from orders_sync.dagster_instance.internals import PartitionBackfill

_found: set[tuple[str, str]] = set()
"""The tables, and the migrations that were made, which this process has found in a database: none ever goes away."""


def _is_found(url: str, what: str, look: Callable[[], bool]) -> bool:
    """Looks until it is found once."""
    if (url, what) not in _found:
        if not look():
            return False
        _found.add((url, what))
    return True


class AttributingRunStorage(PostgresRunStorage):
    """Stores with a backfill who has launched it, if a login shows it: its runs get the backfill's tags."""

    def has_built_index(self, migration_name: str) -> bool:
        look = super().has_built_index
        return _is_found(self.postgres_url, f"runs {migration_name}", lambda: look(migration_name))

    def has_run_stats_index_cols(self) -> bool:
        return _is_found(self.postgres_url, "columns of runs", super().has_run_stats_index_cols)

    def add_backfill(self, partition_backfill: PartitionBackfill) -> None:
        user = acting_user.get()
        if user is not None:
            partition_backfill = partition_backfill._replace(tags={**partition_backfill.tags, USER_TAG: user})
        super().add_backfill(partition_backfill)


class RememberingEventLogStorage(PostgresEventLogStorage):
    """Without it, each event of an asset looks for tables and columns."""

    def has_table(self, table_name: str) -> bool:
        look = super().has_table
        return _is_found(self.postgres_url, f"table {table_name}", lambda: look(table_name))

    def has_secondary_index(self, name: str) -> bool:
        look = super().has_secondary_index
        return _is_found(self.postgres_url, f"events {name}", lambda: look(name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        look = super()._has_asset_key_col_on_connection
        return _is_found(self.postgres_url, f"column {column_name}", lambda: look(conn, column_name))


class RememberingScheduleStorage(PostgresScheduleStorage):
    """Without it, each tick looks for tables and migrations several times."""

    def has_instigators_table(self) -> bool:
        return _is_found(self.postgres_url, "instigators", super().has_instigators_table)

    def _has_instigators_table(self, conn: Connection) -> bool:
        look = super()._has_instigators_table
        return _is_found(self.postgres_url, "instigators", lambda: look(conn))

    def has_built_index(self, migration_name: str) -> bool:
        look = super().has_built_index
        return _is_found(self.postgres_url, f"ticks {migration_name}", lambda: look(migration_name))
