"""The orders database as a command uses it to read or change stock: its schema checked, one connection open."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported only by the commands that need it
    from orders_sync.stock.connection import StockConnection


@contextmanager
def stock_database(application: str) -> Generator["StockConnection"]:
    """As `orders_database`, to change stock. A move of the cutover waits for it.

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
