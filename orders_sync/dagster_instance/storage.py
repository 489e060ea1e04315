"""The classes that dagster.yaml names: Dagster's own storage, in the embedded PostgreSQL or in DAGSTER_POSTGRES_URL.

With them, plain `dagster dev` and `dg dev` run from a clean checkout without any environment variable, and keep their
history between starts.
"""

import os
import sys
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from sqlalchemy import Connection, Engine, create_engine

from orders_sync.config.environment import DAGSTER_POSTGRES_URL, EnvironmentVariableError, state_folder
from orders_sync.config.private_files import private_folder
from orders_sync.dagster_instance.attribution import USER_TAG, acting_user
from orders_sync.dagster_instance.cron_intervals import compute_cron_intervals_once
from orders_sync.dagster_instance.internals import (
    ConfigurableClassData,
    EventLogStorage,
    LocalArtifactStorage,
    LocalComputeLogManager,
    PartitionBackfill,
    RunStorage,
    ScheduleStorage,
)
from orders_sync.database.embedded import DAGSTER_DATABASE, TRUSTED_SECONDS, embedded_url
from orders_sync.database.server_url import ServerUrlError, server_url
from orders_sync.database.session_settings import with_settings
from orders_sync.model.known_credentials import note_password_of


def dagster_server_url() -> str:
    """The URL of Dagster's own database as `server_url` writes it.

    Raises EnvironmentVariableError when DAGSTER_POSTGRES_URL names no PostgreSQL server.
    """
    configured = os.environ.get(DAGSTER_POSTGRES_URL)
    note_password_of(configured or "")
    try:
        return server_url(configured or embedded_url(DAGSTER_DATABASE, trusted_seconds=TRUSTED_SECONDS))
    except ServerUrlError as error:
        raise EnvironmentVariableError(f"{DAGSTER_POSTGRES_URL} {error}") from None


def dagster_database_url() -> str:
    """The same in the form that dagster-postgres needs (psycopg2), with our settings. Raises as that does."""
    return with_settings(dagster_server_url()).replace("postgresql://", "postgresql+psycopg2://", 1)


_found: set[tuple[str, str]] = set()
"""The tables, and the migrations that were made, which this process has found in a database: none ever goes away."""


def _is_found(url: str, what: str, look: Callable[[], bool]) -> bool:
    """Looks until it is found once. Dagster looks again with each query, and reads the whole catalog for it."""
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
    """Looks for its tables and columns once, in place of with each event of an asset."""

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
    """Looks for its tables once, in place of several times with each tick."""

    def has_instigators_table(self) -> bool:
        return _is_found(self.postgres_url, "instigators", super().has_instigators_table)

    def _has_instigators_table(self, conn: Connection) -> bool:
        look = super()._has_instigators_table
        return _is_found(self.postgres_url, "instigators", lambda: look(conn))

    def has_built_index(self, migration_name: str) -> bool:
        look = super().has_built_index
        return _is_found(self.postgres_url, f"ticks {migration_name}", lambda: look(migration_name))


POOL_SIZE = 2
"""Connections that a process keeps open while it does nothing; it opens as many more as it needs at once."""

_prepared: set[str] = set()
"""The databases in which this process has seen Dagster's tables."""


@cache
def pooled_engine(url: str) -> Engine:
    """The engine of this process for Dagster's database. A connection that was cut meanwhile is replaced unnoticed."""
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=POOL_SIZE, max_overflow=-1, pool_pre_ping=True, pool_use_lifo=True
    )
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine


def _share(storage: RunStorage | EventLogStorage | ScheduleStorage, pooled: Engine) -> None:
    """Lets a storage of dagster-postgres use an engine, in place of its own, which keeps no connection open."""
    storage._engine = pooled  # pyright: ignore[reportAttributeAccessIssue]


def _suit_the_daemon() -> None:
    """Sets the pace of this process if it is a daemon, however it was started. No other loads what this needs."""
    if "dagster._daemon.controller" in sys.modules:
        from orders_sync.dagster_instance import pace

        pace.look_less_often()
        pace.end_at_once()


class OrdersSyncStorage(DagsterPostgresStorage):
    """dagster-postgres on the project's database. The environment configures it; its YAML has no settings.

    All instances of a process share a pool of connections, and look once whether Dagster's tables exist.
    dagster-postgres opens a connection for each query, and looks with each new instance, of which each tick of a sensor
    makes one: more than 800 connections a minute at rest.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        compute_cron_intervals_once()
        _suit_the_daemon()
        super().__init__(postgres_url, should_autocreate_tables=postgres_url not in _prepared, inst_data=inst_data)
        _prepared.add(postgres_url)
        for storage in (self.run_storage, self.event_log_storage, self.schedule_storage):
            _share(storage, pooled_engine(postgres_url))

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "OrdersSyncStorage":
        return cls(postgres_url=dagster_database_url(), inst_data=inst_data)

    @property
    def run_storage(self) -> RunStorage:
        return self._own_run_storage

    @cached_property
    def _own_run_storage(self) -> RunStorage:
        return AttributingRunStorage(self.postgres_url, self.should_autocreate_tables)

    @property
    def event_log_storage(self) -> EventLogStorage:
        return self._own_event_log_storage

    @cached_property
    def _own_event_log_storage(self) -> EventLogStorage:
        return RememberingEventLogStorage(self.postgres_url, self.should_autocreate_tables)

    @property
    def schedule_storage(self) -> ScheduleStorage:
        return self._own_schedule_storage

    @cached_property
    def _own_schedule_storage(self) -> ScheduleStorage:
        return RememberingScheduleStorage(self.postgres_url, self.should_autocreate_tables)

    def _part(self, of: type) -> ConfigurableClassData:
        return ConfigurableClassData(of.__module__, of.__name__, yaml.safe_dump({"postgres_url": self.postgres_url}))

    @property
    def event_storage_data(self) -> ConfigurableClassData:
        return self._part(RememberingEventLogStorage)

    @property
    def run_storage_data(self) -> ConfigurableClassData:
        return self._part(AttributingRunStorage)

    @property
    def schedule_storage_data(self) -> ConfigurableClassData:
        return self._part(RememberingScheduleStorage)


class StateComputeLogManager(LocalComputeLogManager):
    """Keeps the output of runs in the state folder."""

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "StateComputeLogManager":
        return cls(base_dir=str(_folder("compute_logs")), inst_data=inst_data)


class StateArtifactStorage(LocalArtifactStorage):
    """Keeps Dagster's own files in the state folder."""

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "StateArtifactStorage":
        return cls(base_dir=str(dagster_folder()), inst_data=inst_data)


def dagster_folder() -> Path:
    """The folder of Dagster's own files, in the state folder."""
    return _folder("dagster")


def _folder(name: str) -> Path:
    return private_folder(state_folder() / name)
