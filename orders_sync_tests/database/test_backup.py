"""Backup and restore: what happened after the backup is fetched again, and nothing is there twice."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orders_sync.database.backup import BackupError, dump, restore
from orders_sync.database.engine import Connection, connect
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.databases import a_database
from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.debian_postgresql import debian_server

STATE = "SELECT order_id, status, (SELECT min(status) FROM order_items i WHERE i.order_id = o.order_id) FROM orders o ORDER BY 1"


@pytest.fixture
def own_server() -> Iterator[str]:
    """An empty database on a server of one's own, of an older version of PostgreSQL."""
    with debian_server() as server:
        with connect(f"{server}/postgres") as connection:
            connection.execute("CREATE DATABASE orders TEMPLATE template0 ENCODING 'UTF8'")
        yield f"{server}/orders"


@pytest.fixture
def same_server(template: str) -> Iterator[str]:
    with a_database(template, f"t_restored_{os.getpid()}") as url:  # the workers share a server
        yield url


def everything_works(connection: Connection, marketplace: Marketplace) -> None:
    account = sandbox_account(marketplace)
    for sync_type in ("new", "modified", "care", "incomplete"):
        sync(account, sync_type)
    apply_pending(StockConnection(connection))
    check_invariants(connection)
    every_listed_order_is_stored_or_rejected(connection, "shop", marketplace.listed())


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("target", ["same_server", "own_server"])
def test_the_next_passes_close_the_gap_after_a_restore(
    connection: Connection, database_url: str, marketplace: Marketplace, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, target: str,
) -> None:  # fmt: skip
    import_levels(StockConnection(connection), {"PHONE": 10})
    for number in (1, 2, 3):
        an_order(marketplace, number, shipping_address={"firstName": "Ju\\nan\\\\", "lastName": "O'Hara 🦄"})
    everything_works(connection, marketplace)
    dump(database_url, tmp_path / "orders.dump")
    an_order(marketplace, 4)
    marketplace.set_states(1, 9, 3)
    marketplace.set_states(2, 9, 4)
    marketplace.pass_time(minutes=10)
    everything_works(connection, marketplace)
    before = connection.execute(STATE).fetchall()
    levels = StockConnection(connection).execute("SELECT * FROM stock_levels ORDER BY 1").fetchall()

    url = request.getfixturevalue(target)
    restore(tmp_path / "orders.dump", url)
    monkeypatch.setenv("ORDERS_DATABASE_URL", url)
    with connect() as restored:
        assert restored.execute("SELECT count(*) FROM orders").fetchone() == (3,)
        everything_works(restored, marketplace)
        assert restored.execute(STATE).fetchall() == before
        assert [row[:4] for row in StockConnection(restored).execute("SELECT * FROM stock_levels ORDER BY 1")] == [
            row[:4] for row in levels
        ]


def test_nothing_is_overwritten(database_url: str, same_server: str, tmp_path: Path) -> None:
    dump(database_url, tmp_path / "orders.dump")
    with pytest.raises(BackupError, match="has tables already"):
        restore(tmp_path / "orders.dump", database_url)
    broken = tmp_path / "broken.dump"
    content = (tmp_path / "orders.dump").read_bytes()
    for part in (0.5, 0.95):  # before the data, and within
        broken.write_bytes(content[: round(len(content) * part)])
        with pytest.raises(BackupError, match="could not be restored, and nothing was changed"):
            restore(broken, same_server)
    with connect(same_server) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_dump_that_fails_leaves_the_one_before(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.dump"
    dump(database_url, file)
    content = file.read_bytes()
    with pytest.raises(BackupError, match=r"pg_dump failed: .*connection to server"):
        dump("postgresql://127.0.0.1:1/none", file)
    assert file.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["orders.dump"]
