"""Stock that is handed over between V1 and V2, and what its level of phones is then."""

from orders_sync.cutover.stock_handover import V1Lock, take_over
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, at, store_order


def ship(stock: StockConnection, order_id: str, minutes: float) -> None:
    """An order that is placed, and shipped some minutes later."""
    for status, moment in (("accepted", minutes), ("shipped", minutes + 1)):
        item = StoredItem(order_id, status=status)
        store_order(stock.connection, StoredOrder(order_id, [item], status, modified_at=at(moment)))
        apply_pending(stock)


def go_live(stock: StockConnection, *v1_locks: V1Lock) -> None:
    with stock.connection.transaction():
        take_over(stock.connection, v1_locks, frozenset())


def level(stock: StockConnection) -> tuple[int, int]:
    """(on hand, reserved) of the phones."""
    row = stock.execute("SELECT on_hand, reserved FROM stock_levels WHERE sku = 'PHONE'").fetchone()
    assert row is not None
    return row
