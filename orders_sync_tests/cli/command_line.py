"""What the tests of commands share."""

from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner, Result

from orders_sync.cli import main
from orders_sync.testing.deployment import write_account
from orders_sync.testing.marketplace import Marketplace, an_order


def add_account(folder: Path, marketplace: Marketplace, name: str, **settings: object) -> None:
    """Writes the file of an account at the marketplace."""
    write_account(
        folder,
        name,
        {
            "marketplace": "back_market", "base_url": marketplace.url, "token": "BACK_MARKET_SANDBOX_TOKEN",
            "limits": {"enforced": False}, **settings,
        },
    )  # fmt: skip


def run(*arguments: str) -> Result:
    """Runs `orders-sync` with these arguments."""
    return CliRunner().invoke(main, list(arguments), catch_exceptions=True)


def ship_and_return(shop: Marketplace, folder: Path, levels: str, *, quantity: int = 1) -> None:
    """Pieces of the item 100 ship and the care record 900 is about them.

    `folder`: where the stock list is written. `levels`: its lines. The care record does not say how many pieces come back.
    """
    file = folder / "levels.csv"
    file.write_text(f"sku,on_hand\n{levels}\n")
    an_order(shop, 1, quantity=quantity)
    run("stock", "import", str(file), "--counted-at", (shop.now() - timedelta(hours=1)).isoformat())
    run("sync", "--type", "new")
    shop.pass_time(minutes=1)
    shop.set_states(1, 9, 3)
    shop.put_folder(900, 100, None)
    run("sync", "--type", "modified")
    run("sync", "--type", "care")
    run("stock", "apply")
