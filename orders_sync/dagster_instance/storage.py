"""Dagster's own storage: the embedded PostgreSQL, or the server that DAGSTER_POSTGRES_URL names.

dagster.yaml names these classes, so that plain `dagster dev` and `dg dev` work from a clean checkout with no
environment variable set, and keep what they know between starts.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy.engine import make_url

from orders_sync.config.environment import DAGSTER_POSTGRES_URL, PROJECT_ROOT, state_folder
from orders_sync.database.embedded import DAGSTER_DATABASE, embedded_url


def dagster_database_url() -> str:
    """The URL of Dagster's own database, in the form that dagster-postgres needs (psycopg2)."""
    configured = os.environ.get(DAGSTER_POSTGRES_URL) or embedded_url(DAGSTER_DATABASE)
    url = make_url(configured)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise RuntimeError(
            f"{DAGSTER_POSTGRES_URL} names a {url.get_backend_name()} database; allowed is postgresql://…"
        )
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


class OrdersSyncStorage(DagsterPostgresStorage):
    """dagster-postgres on the project's database; takes no configuration but the environment."""

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "OrdersSyncStorage":
        return cls(postgres_url=dagster_database_url(), inst_data=inst_data)

    def _part(self, class_name: str) -> ConfigurableClassData:
        return ConfigurableClassData(
            "dagster_postgres", class_name, yaml.safe_dump({"postgres_url": self.postgres_url})
        )

    @property
    def event_storage_data(self) -> ConfigurableClassData:
        return self._part("PostgresEventLogStorage")

    @property
    def run_storage_data(self) -> ConfigurableClassData:
        return self._part("PostgresRunStorage")

    @property
    def schedule_storage_data(self) -> ConfigurableClassData:
        return self._part("PostgresScheduleStorage")


class StateComputeLogManager(LocalComputeLogManager):
    """The output of runs, kept in the state folder."""

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "StateComputeLogManager":
        return cls(base_dir=str(_folder("compute_logs")), inst_data=inst_data)


class StateArtifactStorage(LocalArtifactStorage):
    """Dagster's own files, kept in the state folder."""

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "StateArtifactStorage":
        return cls(base_dir=str(_folder("dagster")), inst_data=inst_data)


def open_instance() -> dg.DagsterInstance:
    """The project's Dagster instance, for the CLI: that of DAGSTER_HOME, or the one of the project's folder."""
    if os.environ.get("DAGSTER_HOME"):
        return dg.DagsterInstance.get()
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(_folder("dagster")), config_dir=str(PROJECT_ROOT)))


def _folder(name: str) -> Path:
    folder = state_folder() / name
    folder.mkdir(exist_ok=True)
    return folder
