"""V1 has three accounts of four, which share a stock and move on their own."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from orders_sync.config.environment import v1_file
from orders_sync.config.v1 import CutoverSettings, check_cutover_settings
from orders_sync.cutover import moves
from orders_sync.cutover.moves import accounts_in
from orders_sync.cutover.phases import Move
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import Phase, current_authority
from orders_sync.marketplaces.kit import accounts as account_files
from orders_sync.sandbox.v1 import TABLES
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import add_account
from orders_sync_tests.cutover.moved import BY
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, at, store_order

ACCOUNTS = ("canary", "large", "small")
ALONE = "without_v1"
"""V1 never had it."""


@pytest.fixture
def settings_of_three(tmp_path: Path, marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch) -> CutoverSettings:
    """V1 has three of four accounts, and its commands get the names of those that are left to it."""
    monkeypatch.setattr(account_files, "accounts_folder", lambda: tmp_path)
    for name in (*ACCOUNTS, ALONE):
        add_account(tmp_path, marketplace, name, accept_orderlines=True)
    differing = {
        "marketplaces": {f"v1 {name}": name for name in ACCOUNTS}, "accounts_without_v1": [ALONE],
        "run": {"kind": "command", "command": "v1 {command} {marketplaces}"},
    }  # fmt: skip
    return check_cutover_settings(yaml.safe_load(v1_file().read_text()) | differing, "v1.yaml")


class V1:
    """V1's database, in which a test makes locks."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        connection.execute(TABLES)

    def holds(self, account: str, item_id: str) -> None:
        """V1 has an order with this item, and a lock for it."""
        now = datetime.now(UTC).replace(tzinfo=None)
        ((order,),) = self.connection.execute(
            "INSERT INTO orders (marketplace, marketplace_order_id, status, ordered_at, created_at, updated_at) "
            "VALUES (%s, %s, 2, %s, %s, %s) RETURNING id",
            [f"v1 {account}", item_id, now, now, now],
        ).fetchall()
        ((item,),) = self.connection.execute(
            "INSERT INTO order_items (order_id, orderline_id, sku, quantity, status) VALUES (%s, %s, 'PHONE', 1, 2) "
            "RETURNING id",
            [order, item_id],
        ).fetchall()
        self.connection.execute(
            "INSERT INTO stock_locks (order_item_id, sku, quantity, created_at) VALUES (%s, 'PHONE', 1, %s)",
            [item, now],
        )


@pytest.fixture
def v1(v1_url: str) -> Iterator[V1]:
    with psycopg.connect(v1_url, autocommit=True) as connection:
        yield V1(connection)


def advance(
    connection: Connection, settings: CutoverSettings, *accounts: str, times: int = 1, **options: Any
) -> list[Move]:
    """Moves accounts forward, in spite of the checks."""
    made: list[Move] = []
    for _ in range(times):
        made = moves.advance(
            connection, settings, accounts_in(connection, settings, accounts), BY, force=True,
            **{"v1_off": lambda: nullcontext([]), "v1_schedules_on": list, **options},
        )  # fmt: skip
    return made


def phases(connection: Connection) -> dict[str, Phase]:
    authority = current_authority(connection)
    return {account: authority.of(account).phase for account in (*ACCOUNTS, ALONE)}


def shop(connection: Connection, *orders: StoredOrder) -> StockConnection:
    """Three phones, and orders of them."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 3}, counted_at=at(0))
    for order in orders:
        store_order(connection, order)
    apply_pending(stock)
    return stock


def locks(stock: StockConnection) -> dict[str, tuple[int, int]]:
    """(locked, short) by item."""
    rows = stock.execute("SELECT account || '/' || item_id, locked, short FROM stock_locks WHERE state <> 'released'")
    return {item: (locked, short) for item, locked, short in rows}


def of(account: str, number: int, status: str = "accepted", quantity: int = 1) -> StoredOrder:
    """An order of phones: the greater its number, the newer."""
    item = StoredItem(str(number), quantity=quantity, status=status)
    return StoredOrder(str(number), [item], status, created_at=at(number), account=account)
