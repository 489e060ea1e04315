"""A command that changes stock also stores what is available after it: no daemon is needed for it."""

from pathlib import Path

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection
from orders_sync.stock.by_hand import adjust
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run


def test_each_command_stores_what_is_available_after_it(
    shop: Marketplace, tmp_path: Path, connection: Connection
) -> None:
    def stored() -> list[tuple[object, ...]]:
        return connection.execute("SELECT sku, available FROM stock_available ORDER BY sku").fetchall()

    levels, aliases = tmp_path / "stock.csv", tmp_path / "skus.csv"
    levels.write_text("sku,on_hand\nPHONE,5\n")
    aliases.write_text("sku,stock_sku\nPHONE-FR,PHONE\n")
    an_order(shop, 1)
    run("sync", "--type", "new")
    for command, expected in (
        (["import", str(levels)], [("PHONE", 5)]),
        (["adjust", "--reason", "found", "PHONE", "2"], [("PHONE", 7)]),
        (["apply"], [("PHONE", 6)]),
        (["buffer", "--pieces", "1"], [("PHONE", 5)]),
        (["release", "shop", "100", "--reason", "a test"], [("PHONE", 6)]),
        (["skus", "import", str(aliases)], [("PHONE", 6), ("PHONE-FR", 6)]),
    ):
        assert run("stock", *command).exit_code == 0
        assert stored() == expected


def test_listing_the_buffers_changes_nothing(shop: Marketplace, connection: Connection) -> None:
    adjust(StockConnection(connection), "PHONE", 5, By("ann@desk", "found"))
    assert run("stock", "buffer").exit_code == 0
    assert connection.execute("SELECT count(*) FROM stock_available").fetchone() == (0,)
