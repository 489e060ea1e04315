"""The orders database as a command uses it: its schema checked, one connection open."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orders_sync.database.engine import Connection

if TYPE_CHECKING:  # imported only by the commands that need it
    from orders_sync.stock.connection import StockConnection


@contextmanager
def orders_database(application: str) -> Generator[Connection]:
    """A connection to the orders database, upgraded to the newest schema if needed, for the length of the block.

    `application`: what pg_stat_activity shows, e.g. `orders_sync status`. Raises DatabaseUnreachableError.
    """
    from orders_sync.database.engine import connect
    from orders_sync.database.schema import check_schema

    check_schema()
    with connect(application=application) as connection:
        yield connection


@contextmanager
def stock_database(application: str) -> Generator["StockConnection"]:
    """As `orders_database`, to change stock: the shadow's while V1 has the authority, the real one when V2 has it.

    Then stock_available has the numbers that the block led to.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import account_names
    from orders_sync.stock.connection import stock_connection
    from orders_sync.stock.stored_available import store_available

    check_schema()
    with stock_connection(application) as stock:
        yield stock
        store_available(stock, account_names())


@contextmanager
def read_stock_database(application: str) -> Generator["StockConnection"]:
    """As `stock_database`, for reading only: no move of the cutover waits for it."""
    from orders_sync.database.schema import check_schema
    from orders_sync.stock.connection import stock_reader

    check_schema()
    with stock_reader(application) as stock:
        yield stock
