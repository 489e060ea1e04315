"""The instance that dagster.yaml describes."""

import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster_postgres import PostgresRunStorage

from orders_sync.config.environment import PROJECT_ROOT, state_folder
from orders_sync.dagster_instance.instance import open_instance
from orders_sync.dagster_instance.internals import LocalComputeLogManager
from orders_sync.dagster_instance.storage import dagster_database_url
from orders_sync.model.errors import UserFacingError


def test_it_is_that_of_the_projects_dagster_yaml(template: str) -> None:
    with open_instance() as instance:
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.run_coordinator, dg.QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert (queue.max_user_code_failure_retries, queue.user_code_failure_retry_delay) == (10, 30)
        assert not instance.run_coordinator.dequeue_use_threads  # one worker starts after the other
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 2)
        assert not instance.run_retries_retry_on_asset_or_op_failure
        logs = instance.compute_log_manager
        assert isinstance(logs, LocalComputeLogManager)
        assert logs._base_dir == str(state_folder() / "compute_logs")
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert instance.get_runs_count() >= 0


def test_dagster_home_names_another_one(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PROJECT_ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with open_instance() as instance:
        assert instance.root_directory == str(state_folder() / "dagster")
        assert isinstance(instance.run_storage, PostgresRunStorage)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with open_instance() as instance:
        assert not isinstance(instance.run_storage, PostgresRunStorage)


def test_dagsters_storage_speaks_psycopg2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://someone:a%40b@db.example/dagster?sslmode=require")
    url = dagster_database_url()
    assert url.startswith("postgresql+psycopg2://someone:a%40b@db.example/dagster?sslmode=require&keepalives=1&")
    assert "tcp_user_timeout" in url
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "mysql://db.example/dagster")
    with pytest.raises(UserFacingError, match="DAGSTER_POSTGRES_URL names a mysql database; allowed is postgresql://…"):
        dagster_database_url()


def test_dagsters_sessions_end_soon_when_their_host_is_lost(template: str) -> None:
    with open_instance() as instance:
        storage = instance.run_storage
        assert isinstance(storage, PostgresRunStorage)
        with storage.connect() as connection:
            settings = [
                connection.exec_driver_sql(f"SHOW {name}").scalar()
                for name in ("idle_in_transaction_session_timeout", "lock_timeout")
            ]
    assert settings == ["2min", "0"]  # a lock of Dagster's own is its matter
