"""`orders-sync stock import`: it says what would change, lists it SKU by SKU, and changes all or nothing."""

from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


def imported(tmp_path: Path, text: str, *options: str) -> str:
    """What the import of a file with this text prints, on one line."""
    (tmp_path / "stock.csv").write_text(text)
    result = run("stock", "import", str(tmp_path / "stock.csv"), *options)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture
def stored(shop: Marketplace, tmp_path: Path, connection: Connection) -> Connection:
    """Five phones, and an order that holds one of them."""
    an_order(shop, 1)
    run("sync", "--type", "new")
    imported(tmp_path, "sku,on_hand\nPHONE,5\n")
    run("stock", "apply")
    return connection


def everything(connection: Connection) -> list[list[tuple[object, ...]]]:
    tables = ("stock_levels", "stock_movements", "stock_locks", "stock_lock_history", "stock_available_history")
    return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3".encode()).fetchall() for table in tables]


def test_a_dry_run_says_what_would_change_and_changes_nothing(stored: Connection, tmp_path: Path) -> None:
    before = everything(stored)
    output = imported(tmp_path, "sku,on_hand\nPHONE,0\nCASE,3\n", "--dry-run", "--show")
    assert "2 SKUs would be imported; the pieces on hand of 2 differ from before." in output
    assert "1 locks would become short." in output
    assert everything(stored) == before


def test_each_sku_that_differs_is_listed_and_no_other(stored: Connection, tmp_path: Path) -> None:
    output = imported(tmp_path, "sku,on_hand\nPHONE,4\nCASE,3\n", "--show")
    assert "2 SKUs imported; the pieces on hand of 2 differ from before." in output
    assert all(sku in output for sku in ("PHONE", "CASE"))
    again = imported(tmp_path, "sku,on_hand\nPHONE,4\nCASE,2\n", "--show")
    assert "the pieces on hand of 1 differ from before." in again
    assert "PHONE" not in again


def test_a_count_that_is_older_than_the_stored_one_is_left_out(stored: Connection, tmp_path: Path) -> None:
    output = imported(tmp_path, "sku,on_hand,counted_at\nPHONE,9,2026-03-01T08:00\nCASE,3,\n")
    assert "1 SKUs imported; the pieces on hand of 1 differ from before." in output
    assert "1 SKUs were counted again since then, and stay as they are." in output
    assert stored.execute("SELECT sku, on_hand FROM stock_levels ORDER BY sku").fetchall() == [
        ("CASE", 3),
        ("PHONE", 5),
    ]


def test_a_list_of_which_every_sku_was_counted_again_is_no_act(stored: Connection, tmp_path: Path) -> None:
    acts = "SELECT count(*) FROM manual_acts"
    before = stored.execute(acts).fetchone()
    imported(tmp_path, "sku,on_hand,counted_at\nPHONE,9,2026-03-01T08:00\n")
    assert stored.execute(acts).fetchone() == before


@pytest.mark.parametrize("line", ["PHONE,many", "CASE,1,1", "CASE,1"])
def test_a_file_with_an_error_in_its_last_line_changes_nothing(stored: Connection, tmp_path: Path, line: str) -> None:
    before = everything(stored)
    (tmp_path / "stock.csv").write_text(f"sku,on_hand\nCASE,3\n{line}\n")
    assert run("stock", "import", str(tmp_path / "stock.csv")).exit_code == 1
    assert everything(stored) == before
