"""Accounts and orders that the pages show."""

from datetime import timedelta
from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.sandbox.document_files import pdf
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run

ZPL = b"^XA^FO40,40^FDlabel 8^FS^XZ"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63f80f00010101005a4d6ff10000000049454e44ae426082"
)
"""An image of one white pixel."""


@pytest.fixture
def shop(marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Marketplace:
    """The order 1 with a delivery note and three labels: PDF, ZPL and PNG; all stored."""
    add_account(tmp_path, marketplace, "shop", store_documents=True)
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    deliveries = [{"order": 1, "shipmentId": n, "orderlines": [100], "labelUrl": f"/static/{n}"} for n in (7, 8, 9)]
    an_order(marketplace, 1, delivery_note=f"{marketplace.url}/static/note", _deliveries=deliveries)
    marketplace.world.scripted_files |= {
        "/static/note": pdf(["note"]), "/static/7": pdf(["label 7"]), "/static/8": ZPL, "/static/9": PNG,
    }  # fmt: skip
    run("sync", "--type", "all")
    return marketplace


@pytest.fixture
def short_order(
    marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> Marketplace:
    """The order 1, paid two hours ago, waits for the merchant, and its SKU is out of stock."""
    refusing = {"accept_orderlines": True, "when_short": {"refuse_after": "20h"}, "acceptance_deadline": "24h"}
    add_account(tmp_path, marketplace, "shop", **refusing)
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    import_levels(StockConnection(connection), {"PHONE": 0})
    an_order(marketplace, 1, state=1, line_state=1, age=timedelta(hours=2))
    run("sync", "--type", "new")
    return marketplace
