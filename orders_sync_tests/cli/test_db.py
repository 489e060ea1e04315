"""`orders-sync db backup` and `db restore`: both databases, all or nothing."""

import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from orders_sync.database.engine import Connection
from orders_sync.testing.databases import a_database
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


@pytest.fixture
def dagster_url(template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Dagster's database, with one table."""
    with a_database(template, f"dagster_{uuid.uuid4().hex[:16]}") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE runs (run_id text)")
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
        yield url


@contextmanager
def new_databases(template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    names = {"ORDERS_DATABASE_URL": f"t_{uuid.uuid4().hex[:16]}", "DAGSTER_POSTGRES_URL": f"d_{uuid.uuid4().hex[:16]}"}
    with (
        a_database(template, names["ORDERS_DATABASE_URL"]) as orders,
        a_database(template, names["DAGSTER_POSTGRES_URL"]) as dagster,
        monkeypatch.context() as environment,
    ):
        urls = {"ORDERS_DATABASE_URL": orders, "DAGSTER_POSTGRES_URL": dagster}
        for name, url in urls.items():
            environment.setenv(name, url)
        yield urls


def test_both_databases_are_backed_up_and_restored(
    shop: Marketplace, connection: Connection, dagster_url: str, template: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    an_order(shop, 1)
    run("sync", "--type", "new")
    result = run("db", "backup", str(tmp_path / "backups/today"))
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "backups/today").iterdir())
    assert [file.name for file in files] == ["dagster.dump", "orders.dump"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files), "they hold buyers' data"
    with new_databases(template, monkeypatch) as urls:
        result = run("db", "restore", str(tmp_path / "backups/today"))
        assert result.exit_code == 0, result.output
        with (
            psycopg.connect(urls["ORDERS_DATABASE_URL"]) as orders,
            psycopg.connect(urls["DAGSTER_POSTGRES_URL"]) as own,
        ):
            assert orders.execute("SELECT order_id FROM orders").fetchall() == [("1",)]
            assert own.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        assert run("status").exit_code == 0


def test_where_one_database_has_tables_none_is_restored(
    shop: Marketplace, connection: Connection, dagster_url: str, template: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run("db", "backup", str(tmp_path))
    with new_databases(template, monkeypatch) as urls:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_url)
        result = run("db", "restore", str(tmp_path))
        assert (result.exit_code, "has tables already" in result.output) == (1, True)
        with psycopg.connect(urls["ORDERS_DATABASE_URL"]) as orders:
            assert orders.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_folder_without_a_dump_is_named(tmp_path: Path, database_url: str) -> None:
    result = run("db", "restore", str(tmp_path))
    assert (result.exit_code, "has neither orders.dump nor dagster.dump" in result.output) == (1, True)
