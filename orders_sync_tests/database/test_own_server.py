"""The same code on a PostgreSQL server of one's own: Debian's, older than the embedded one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orders_sync.database.engine import connect
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.deployment import copy_project, environment
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync.testing.waiting import limit
from orders_sync_tests.debian_postgresql import debian_server

pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with debian_server() as url:
        yield url


def test_syncs_and_stock_work_on_it(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(f"{server}/postgres") as connection:
        connection.execute("CREATE DATABASE orders")
    monkeypatch.setenv("ORDERS_DATABASE_URL", f"{server}/orders")
    upgrade_schema()
    with Marketplace(orders=200, days=10) as marketplace, connect() as connection:
        account = sandbox_account(marketplace, accept_orderlines=True)
        import_levels(StockConnection(connection), {"IPHONE13-BLACK": 5})
        for sync_type in ("new", "modified", "care", "incomplete"):
            sync(account, sync_type)
        apply_pending(StockConnection(connection))
        check_invariants(connection)
        assert connection.info.server_version // 10_000 < 18
        assert connection.execute("SHOW jit").fetchone() == ("off",)  # by default it is on, as on most servers
        assert connection.execute("SELECT count(*) > 100 FROM orders").fetchone() == (True,)


def test_dagster_keeps_its_own_there_too(server: str, tmp_path: Path) -> None:
    """A job run through Dagster, with both URLs set, starts no embedded server."""
    with connect(f"{server}/postgres") as connection:
        connection.execute("CREATE DATABASE dagster")
        connection.execute("CREATE DATABASE orders2")
    project = copy_project(tmp_path)
    variables = environment(
        ORDERS_DATABASE_URL=f"{server}/orders2",
        DAGSTER_POSTGRES_URL=f"{server}/dagster",
        PYTHONPATH=str(project),
    )
    upgrade_schema(f"{server}/orders2")
    program = (
        "from orders_sync.definitions import defs; from orders_sync.dagster_instance.instance import open_instance\n"
        "with open_instance() as instance:\n"
        "    result = defs().resolve_job_def('daily_reports').execute_in_process(instance=instance)\n"
        "    assert result.success; print(instance.get_runs_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        timeout=limit(120),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("1")
    assert not (project / ".state" / "postgres").exists()
