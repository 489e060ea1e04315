"""An item with a label, and what its locks and levels are."""

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order

ANN = By("ann@desk", "looked at the desk")
ITEM = (ACCOUNT, "100")
THREE = StoredItem("100", quantity=3)


def labelled_item(connection: Connection) -> StockConnection:
    """Ten phones were counted; three of them are locked for an item that has a label."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(0))
    store(stock, THREE)
    store_label(connection, "1")
    return stock


def store(stock: StockConnection, item: StoredItem, minutes: float = 0, order_id: str = "1", **order: object) -> None:
    changed = StoredOrder(order_id, [item], status=item.status, modified_at=at(minutes))._replace(**order)
    store_order(stock.connection, changed)
    apply_pending(stock)


def cancel(stock: StockConnection, item: StoredItem = THREE) -> None:
    store(stock, item._replace(status="cancelled"), 5)


def lock(stock: StockConnection, sku: str = "PHONE") -> tuple[str, int, int, int]:
    """(state, locked, held, consumed)."""
    row = stock.execute("SELECT state, locked, held, consumed FROM stock_locks WHERE sku = %s", [sku]).fetchone()
    assert row is not None
    return row


def level(stock: StockConnection, sku: str = "PHONE") -> tuple[int | None, int]:
    """(on hand, reserved)."""
    row = stock.execute("SELECT on_hand, reserved FROM stock_levels WHERE sku = %s", [sku]).fetchone()
    assert row is not None
    return row


def check(stock: StockConnection) -> None:
    assert wrong_locks(stock) == []
    check_invariants(stock.connection)


def two_sets(connection: Connection, *, cases: int) -> StockConnection:
    """An item of two sets of one phone and two cases, with a label; `cases`: so many are on the shelf."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10, "CASE": cases}, counted_at=at(0))
    import_stock_skus(stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
    store(stock, StoredItem("100", "SET", 2))
    store_label(connection, "1")
    return stock
