"""What the tests of commands share."""

from pathlib import Path

from click.testing import CliRunner, Result

from orders_sync.cli import main
from orders_sync.testing.deployment import write_account
from orders_sync.testing.marketplace import Marketplace


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
