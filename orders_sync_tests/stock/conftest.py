"""The connection to stock that the tests of stock share."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.connection import StockConnection


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """The stock tables of the test's database, as they are while V2 has the authority."""
    return StockConnection(connection)
