"""Which schemas the code works with, and upgrades of databases in use."""

import runpy
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database import schema, schema_upgrade
from orders_sync.database.embedded import stop_if_last
from orders_sync.database.engine import Connection, connect
from orders_sync.database.schema import SchemaError, check_schema, newest_revision
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.databases import a_database
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync.testing.row_faults import stop_at_row
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.cli.command_line import run

NEXT_RELEASE = """
from alembic import op
import sqlalchemy as sa
revision, down_revision, works_with = "9999", "{newest}", "{works_with}"
def upgrade():
    op.add_column("orders", sa.Column("of_the_next_release", sa.Text()))
    op.create_table("of_the_next_release", sa.Column("a", sa.Text()))
"""


@pytest.fixture
def own_server(template: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database without tables, named as a server of one's own is."""
    with a_database(template, f"t_own_{abs(hash(request.node.name))}") as url:
        monkeypatch.setenv("ORDERS_DATABASE_URL", url)
        yield url


def add_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works_with: str) -> None:
    """Adds the revision of a next release, which expands the schema."""
    folder = tmp_path / "alembic"
    shutil.copytree(schema.REVISIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = NEXT_RELEASE.format(newest=newest_revision(), works_with=works_with)
    (folder / "versions" / "9999_next.py").write_text(text)
    monkeypatch.setattr(schema, "REVISIONS", folder)
    monkeypatch.setattr(schema_upgrade, "REVISIONS", folder)


def test_a_server_of_ones_own_without_tables_is_refused_with_the_command_to_run(own_server: str) -> None:
    with pytest.raises(SchemaError, match=r"has no tables yet\. Run `orders-sync db upgrade`"):
        check_schema()
    assert run("db", "upgrade").exit_code == 0
    check_schema()


def test_an_older_schema_is_refused_and_stays_as_it_is(own_server: str) -> None:
    upgrade_schema(own_server, "0025")
    result = run("doctor")
    assert (
        f"FAIL database: The schema of the orders database is at revision 0025; this version needs {newest_revision()}"
        in result.output
    )
    result = run("status")
    assert (result.exit_code, "Run `orders-sync db upgrade`" in result.output) == (1, True)
    with connect(own_server) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0025",)


def test_a_newer_schema_that_still_works_serves(
    database_url: str, connection: Connection, marketplace: Marketplace, account: SellerAccount,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As when another machine has upgraded already: the code of the release before goes on."""
    with monkeypatch.context() as next_release:
        add_revision(tmp_path, next_release, works_with=newest_revision())
        upgrade_schema(database_url)
    check_schema()
    an_order(marketplace, 1)
    assert sync(account).created == 1
    apply_pending(StockConnection(connection))
    check_invariants(connection)
    assert run("status").exit_code == 0


def test_a_newer_schema_that_no_longer_works_is_refused(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as next_release:
        add_revision(tmp_path, next_release, works_with="9999")
        upgrade_schema(database_url)
    with pytest.raises(SchemaError, match=r"at revision 9999, which this version .* can't work with\. Install"):
        check_schema()


def test_an_embedded_server_that_a_newer_checkout_upgraded_is_treated_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a checkout of an older version, in the same folder."""
    with tempfile.TemporaryDirectory(prefix="osse-") as folder:
        monkeypatch.setenv("ORDERS_SYNC_STATE", folder)
        monkeypatch.delenv("ORDERS_DATABASE_URL", raising=False)
        check_schema()
        with monkeypatch.context() as next_release:
            add_revision(tmp_path, next_release, works_with=newest_revision())
            check_schema()
        check_schema()
        with connect() as connection:
            connection.execute("UPDATE schema_compatibility SET oldest_revision = '9999'")
        with pytest.raises(SchemaError, match="can't work with"):
            check_schema()
        stop_if_last()


def test_an_upgrade_waits_for_the_batch_of_a_running_pass_and_the_pass_goes_on(
    database_url: str, connection: Connection, marketplace: Marketplace, account: SellerAccount,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for number in range(1, 401):
        an_order(marketplace, number)
    monkeypatch.setattr(schema_upgrade, "LOCK_SECONDS", 1)
    add_revision(tmp_path, monkeypatch, works_with=newest_revision())
    with ThreadPoolExecutor(2) as threads:
        with stop_at_row(connection, "orders", 100) as somebody_waits:
            running = threads.submit(sync, account)
            wait_for(somebody_waits, what="the pass in the middle of a batch")
            upgrade = threads.submit(upgrade_schema, database_url)
            with pytest.raises(TimeoutError):
                upgrade.result(timeout=3)  # longer than it waits for a lock at once
            connection.execute("SELECT count(*) FROM orders")  # nobody queues behind it for long
        upgrade.result(timeout=30)
        assert running.result(timeout=30).created == 400
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    check_invariants(connection)


LOOKING_AT_IT = sorted(path for path in (schema.REVISIONS / "versions").glob("0*.py") if path.name >= "0027")


@pytest.mark.parametrize("path", LOOKING_AT_IT, ids=lambda path: path.name)
def test_each_revision_says_which_code_works_with_it(path: Path) -> None:
    """At most the revision itself. `orders_sync/database/schema.py` says how to expand first, and contract later."""
    module = runpy.run_path(str(path))
    assert "0027" <= module["works_with"] <= module["revision"]
