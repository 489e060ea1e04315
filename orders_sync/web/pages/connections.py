"""The connections of the operator's pages to the orders database."""

from contextlib import AbstractContextManager

from orders_sync.database.engine import Connection, connect
from orders_sync.stock.connection import StockConnection, stock_reader

APPLICATION = "orders_sync web"
PAGE_SECONDS = 10
"""How long a statement of a page may take. A page that takes longer holds a thread of the web process."""


def page_connection() -> Connection:
    """A connection for what a page shows, or for an act of a few rows."""
    return connect(application=APPLICATION, statement_seconds=PAGE_SECONDS)


def page_stock_reader() -> AbstractContextManager[StockConnection]:
    """A connection that only reads the stock of the current phase, for what a page shows."""
    return stock_reader(APPLICATION, statement_seconds=PAGE_SECONDS)
