"""What an account can offer of a SKU: on hand, less what locks hold and wait for, less the buffer that counts."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.available import Available, Buffer, available_to_sell, set_buffer, stored_buffers
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order


def offered(stock: StockConnection, sku: str = "PHONE", account: str = ACCOUNT) -> Available:
    [found] = [each for each in available_to_sell(stock, [account]) if each.sku == sku]
    return found


def an_order(connection: Connection, stock: StockConnection, quantity: int, sku: str = "PHONE") -> None:
    store_order(connection, StoredOrder(sku, [StoredItem(f"{sku}-1", sku, quantity)]))
    apply_pending(stock)


def test_what_locks_hold_and_the_buffer_are_left_out(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 14})
    an_order(connection, stock, 3)
    set_buffer(stock, Buffer("", "", 0, 10))
    assert offered(stock) == Available(ACCOUNT, "PHONE", 9, 14, 3, 0, 2), "10 % of 11 is 1.1, rounded up"


def test_what_locks_wait_for_is_left_out(connection: Connection, stock: StockConnection) -> None:
    """Pieces that have just come are promised, even if the stock job has not yet given them to the orders."""
    import_levels(stock, {"PHONE": 1})
    an_order(connection, stock, 3)
    assert offered(stock) == Available(ACCOUNT, "PHONE", 0, 1, 1, 2, 0)
    connection.execute("UPDATE stock_levels SET on_hand = 5")
    assert offered(stock).available == 2


def test_the_most_precise_buffer_counts(stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 10})
    for buffer, available in (
        (Buffer("", "", 1, 0), 9),
        (Buffer(ACCOUNT, "", 2, 0), 8),
        (Buffer("", "PHONE", 3, 0), 7),
        (Buffer(ACCOUNT, "PHONE", 4, 0), 6),
    ):
        set_buffer(stock, buffer)
        assert offered(stock).available == available
    assert offered(stock, account="other").available == 7
    set_buffer(stock, Buffer(ACCOUNT, "PHONE", 0, 0))
    assert offered(stock).available == 7
    assert Buffer(ACCOUNT, "PHONE", 0, 0) not in stored_buffers(stock)


@pytest.mark.parametrize("buffer", [Buffer("", "", 99, 0), Buffer("", "", 0, 100)])
def test_it_is_never_below_zero(stock: StockConnection, buffer: Buffer) -> None:
    import_levels(stock, {"PHONE": 3})
    set_buffer(stock, buffer)
    assert offered(stock).available == 0


def test_of_a_bundle_its_scarcest_sku_counts(stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 10, "CASE": 7})
    import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
    assert offered(stock, "SET").available == 3
    set_buffer(stock, Buffer("", "CASE", 2, 0))
    assert offered(stock, "SET").available == 2


def test_an_accounts_own_alias_counts_for_that_account(stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 10, "CASE": 7})
    import_stock_skus(stock, [StockSku("", "ITEM", "PHONE", 1), StockSku(ACCOUNT, "ITEM", "CASE", 1)])
    assert offered(stock, "ITEM").available == 7
    assert offered(stock, "ITEM", "other").available == 10


def test_a_sku_that_is_not_in_the_stock_list_is_not_offered(connection: Connection, stock: StockConnection) -> None:
    an_order(connection, stock, 1)
    assert available_to_sell(stock, [ACCOUNT]) == []
