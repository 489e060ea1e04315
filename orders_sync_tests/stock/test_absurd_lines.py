"""One line with an absurd number of pieces fails alone, is reported, and stops nothing about any other."""

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.available import available_to_sell
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.input import MAX_PIECES
from orders_sync.stock.levels import import_levels
from orders_sync.stock.queries import failed_events, sku_levels
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.stored_available import store_available
from orders_sync.stock.wrong_locks import repair, wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order

OVERSELL = frozenset({ACCOUNT})
MAX_QUANTITY = 2**31 - 1


@pytest.mark.parametrize("oversell", [frozenset[str](), OVERSELL])
def test_an_absurd_line_stops_no_other(
    connection: Connection, stock: StockConnection, oversell: frozenset[str]
) -> None:
    import_levels(stock, {"PHONE": 5})
    import_stock_skus(stock, [StockSku("", "SCREWS", "SCREW", MAX_PIECES)])
    store_order(connection, StoredOrder("1", [StoredItem("100", "SCREWS", quantity=1_000)]))
    for number in (2, 3):
        store_order(connection, StoredOrder(str(number), [StoredItem(f"{number}00", quantity=MAX_QUANTITY)]))
    store_order(connection, StoredOrder("4", [StoredItem("400")]))
    for _ in range(5):
        applied = apply_pending(stock, oversell)
        assert applied.failed == 3
    assert connection.execute("SELECT item_id, state FROM stock_locks").fetchall() == [("400", "locked")]
    assert [each.problem for each in failed_events(stock)] == [
        f"the item needs 10000000000 pieces of SKU SCREW; a lock has at most {MAX_PIECES}",
        *[f"the item needs {MAX_QUANTITY} pieces of SKU PHONE; a lock has at most {MAX_PIECES}"] * 2,
    ]
    connection.execute("UPDATE order_items SET quantity = 2 WHERE item_id = '400'")
    wrong = {each.item_id: each.problem for each in wrong_locks(stock, oversell)}
    assert wrong.keys() == {"100", "200", "300", "400"}
    assert wrong["100"].startswith(
        "the item needs 10000000000 pieces, and a lock has at most 10000000: is its quantity"
    )
    assert repair(stock, oversell).failed == 3
    assert [each.item_id for each in wrong_locks(stock, oversell)] == ["100", "200", "300"]
    rows = available_to_sell(stock, [ACCOUNT])
    assert {row.sku: row.available for row in rows} == {"PHONE": 3, "SCREWS": 0}
    assert store_available(stock, [ACCOUNT]) == 2


def test_many_pieces_that_locks_wait_for_are_added_up(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 5})
    items = [StoredItem(f"1{number:03}", quantity=MAX_PIECES) for number in range(220)]
    store_order(connection, StoredOrder("1", items))
    assert apply_pending(stock).failed == 0
    assert [level.short for level in sku_levels(stock)] == [220 * MAX_PIECES - 5]
    assert wrong_locks(stock) == []
    assert [row.available for row in available_to_sell(stock, [ACCOUNT])] == [0]
    check_invariants(connection)
