"""The classes that dagster.yaml names: Dagster's own storage, in the embedded PostgreSQL or in DAGSTER_POSTGRES_URL.

With them, plain `dagster dev` and `dg dev` run from a clean checkout without any environment variable, and keep their
history between starts.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from dagster_postgres import (
    DagsterPostgresStorage,
)
from sqlalchemy import Engine, create_engine

from orders_sync.config.environment import DAGSTER_POSTGRES_URL, EnvironmentVariableError, state_folder
from orders_sync.config.private_files import private_folder
from orders_sync.dagster_instance.cron_intervals import compute_cron_intervals_once
from orders_sync.dagster_instance.internals import (
    ConfigurableClassData,
    LocalArtifactStorage,
    LocalComputeLogManager,
)
from orders_sync.dagster_instance.storage_parts import (
    AttributingRunStorage,
    RememberingEventLogStorage,
    RememberingScheduleStorage,
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
        self._run_storage = AttributingRunStorage(postgres_url, should_autocreate_tables=False)
        self._event_log_storage = RememberingEventLogStorage(postgres_url, should_autocreate_tables=False)
        self._schedule_storage = RememberingScheduleStorage(postgres_url, should_autocreate_tables=False)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            # In place of an engine of its own, which keeps no connection open.
            storage._engine = pooled_engine(postgres_url)  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "OrdersSyncStorage":
        return cls(postgres_url=dagster_database_url(), inst_data=inst_data)

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
