"""The accounts of the command line."""

from pathlib import Path

import pytest

from orders_sync.marketplaces.kit import accounts
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import add_account


@pytest.fixture
def shop(marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Marketplace:
    """The accounts folder of the command line: one account, at the empty marketplace."""
    add_account(tmp_path, marketplace, "shop")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    return marketplace
