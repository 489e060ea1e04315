"""The classes that dagster.yaml names: Dagster's own storage, in the embedded PostgreSQL or in DAGSTER_POSTGRES_URL.

With them, plain `dagster dev` and `dg dev` run from a clean checkout without any environment variable, and keep their
history between starts.
"""

import os
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from dagster_postgres import DagsterPostgresStorage, PostgresRunStorage
from sqlalchemy import Engine, create_engine

from orders_sync.config.environment import DAGSTER_POSTGRES_URL, EnvironmentVariableError, state_folder
from orders_sync.config.private_files import private_folder
from orders_sync.dagster_instance.attribution import USER_TAG, acting_user
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


class AttributingRunStorage(PostgresRunStorage):
    """Stores with a backfill who has launched it, if a login shows it: its runs get the backfill's tags."""

    def add_backfill(self, partition_backfill: PartitionBackfill) -> None:
        user = acting_user.get()
        if user is not None:
            partition_backfill = partition_backfill._replace(tags={**partition_backfill.tags, USER_TAG: user})
        super().add_backfill(partition_backfill)


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


class OrdersSyncStorage(DagsterPostgresStorage):
    """dagster-postgres on the project's database. The environment configures it; its YAML has no settings.

    All instances of a process share a pool of connections, and look once whether Dagster's tables exist.
    dagster-postgres opens a connection for each query, and looks with each new instance, of which each tick of a sensor
    makes one: more than 800 connections a minute at rest.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
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
        return self._attributing_run_storage

    @cached_property
    def _attributing_run_storage(self) -> RunStorage:
        return AttributingRunStorage(self.postgres_url, self.should_autocreate_tables)

    def _part(self, class_name: str) -> ConfigurableClassData:
        return ConfigurableClassData(
            "dagster_postgres", class_name, yaml.safe_dump({"postgres_url": self.postgres_url})
        )

    @property
    def event_storage_data(self) -> ConfigurableClassData:
        return self._part("PostgresEventLogStorage")

    @property
    def run_storage_data(self) -> ConfigurableClassData:
        return self._part(AttributingRunStorage.__name__)._replace(module_name=AttributingRunStorage.__module__)

    @property
    def schedule_storage_data(self) -> ConfigurableClassData:
        return self._part("PostgresScheduleStorage")


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
