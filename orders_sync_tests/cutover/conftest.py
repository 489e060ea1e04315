"""V1 beside V2: the stand-in with tables of its own, settings that name them, both at one marketplace; and their stock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.config.v1 import CutoverSettings, load_cutover_settings
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.accounts import account_names
from orders_sync.sandbox.v1 import V1StandIn
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.databases import a_database
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.cutover.three_accounts import settings_of_three, v1
from orders_sync_tests.cutover.v1_servers import mariadb_server
from orders_sync_tests.debian_postgresql import debian_server
from orders_sync_tests.stock.stored_orders import at

__all__ = ["settings_of_three", "v1"]


@dataclass
class Both:
    """V1 and V2 at one marketplace, whose clock began days ago and is moved to the present."""

    marketplace: Marketplace
    account: SellerAccount
    v1: V1StandIn
    v1_connection: psycopg.Connection[tuple[object, ...]]
    settings: CutoverSettings

    def v1_runs(self) -> None:
        for command in ("refresh:new", "refresh:latest", "refresh:orders"):
            self.v1.command(command)

    def v2_runs(self, *sync_types: str) -> None:
        for sync_type in sync_types or ("new", "modified", "care", "incomplete"):
            sync(self.account, sync_type)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    with mariadb_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    with debian_server() as url:
        yield f"{url}/postgres"


@pytest.fixture
def v1_url(template: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty database for V1, on the same server as V2's; the settings name it."""
    name = "v1_" + database_url.split("/t_")[1].split("?")[0]
    with a_database(template, name) as url:
        monkeypatch.setenv("V1_DATABASE_URL", url)
        yield url


@pytest.fixture
def settings() -> CutoverSettings:
    """Those of v1.yaml, for the account `shop`; V1 never had the project's own accounts."""
    others = {"marketplaces": {"back_market": "shop"}, "accounts_without_v1": account_names()}
    return load_cutover_settings().model_copy(update=others)


@pytest.fixture
def both(v1_url: str, settings: CutoverSettings, connection: Connection) -> Iterator[Both]:
    with (
        Marketplace(orders=60, days=20, arrivals_per_day=25, ago=timedelta(days=9)) as marketplace,
        psycopg.connect(v1_url, autocommit=True) as v1_connection,
    ):
        # `incomplete` looks back from our own clock until the marketplace has answered: far enough for its past.
        account = sandbox_account(marketplace, accept_orderlines=True, days_back=12)
        v1 = V1StandIn(v1_connection, account, now=marketplace.now)
        yield Both(marketplace, account, v1, v1_connection, settings)
        v1.close()


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """Ten phones were counted, before V2 gets the authority."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10}, counted_at=at(0))
    return stock
