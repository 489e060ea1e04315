"""Any stock, taken over from V1 twice: what holds whatever has happened meanwhile."""

from random import Random

import pytest

from orders_sync.cutover.stock_handover import V1Lock, take_over
from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import held
from orders_sync.stock.levels import import_levels
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_label, store_order

SKUS = ("PHONE", "CASE")
SET = [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)]
LOCKS = (
    "SELECT account, item_id, sku, locked, short, consumed, held, item_pieces, state, since FROM stock_locks "
    "ORDER BY account, item_id, sku"
)


class Marketplace:
    """Orders of one item each that are placed, changed and labelled at random, and shelves that are counted."""

    def __init__(self, connection: Connection, random: Random) -> None:
        self.connection = connection
        self.random = random
        self.orders: list[StoredOrder] = []
        self.labelled = set[str]()

    def step(self, stock: StockConnection) -> None:
        """One of these happens, and the stock job may run."""
        what = self.random.choice(["place", "place", "place", "change", "change", "change", "label", "count"])
        if what == "count":
            import_levels(stock, {self.random.choice(SKUS): self.random.randint(0, 12)})
        elif what == "place" or not self.orders:
            self.place()
        else:
            number = self.random.randrange(len(self.orders))
            (self.change if what == "change" else self.label)(number)
        if self.random.random() < 0.7:
            apply_pending(stock)

    def place(self) -> None:
        number = str(len(self.orders) + 1)
        status = self.random.choice(["accepted", "pending", "unknown", "awaiting_payment"])
        item = StoredItem(number, self.random.choice([*SKUS, "SET"]), self.random.randint(1, 4), status)
        self.orders.append(StoredOrder(number, [item], status, created_at=at(self.random.randint(-90, 90))))
        store_order(self.connection, self.orders[-1])

    def change(self, number: int) -> None:
        item = self.orders[number].items[0]
        match self.random.choice(["status", "cancelled", "shipped"]):
            case "status":
                item = item._replace(status=self.random.choice(["cancelled", "shipped", "unknown", "accepted"]))
            case "cancelled" if item.shipped is None:
                item = item._replace(cancelled=self.random.randint(0, item.quantity))
            case _:
                item = item._replace(shipped=self.random.randint(item.shipped or 0, item.quantity), cancelled=None)
        self.orders[number] = self.orders[number]._replace(items=[item], status=item.status)
        store_order(self.connection, self.orders[number])

    def label(self, number: int) -> None:
        order_id = self.orders[number].order_id
        if order_id not in self.labelled:
            self.labelled.add(order_id)
            store_label(self.connection, order_id)

    def locks_of_v1(self) -> list[V1Lock]:
        """What V1 may hold, and may have consumed of what V2 does not know to have left."""
        found: list[V1Lock] = []
        for order in self.orders:
            item = order.items[0]
            if self.random.random() < 0.4:
                found.append(V1Lock(ACCOUNT, item.item_id))
            if self.random.random() < 0.2 and item.shipped is None and item.status != "shipped":
                consumed = self.random.randint(1, item.quantity)
                found.append(V1Lock(ACCOUNT, item.item_id, consumed, at(self.random.randint(-60, 60))))
        return found


@pytest.mark.parametrize("is_in_v1", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_going_live(connection: Connection, seed: int, *, is_in_v1: bool) -> None:
    """Without V1's locks, the locks stay as they are. What V1 holds waits only if nobody else has a piece of it."""
    marketplace = Marketplace(connection, Random(seed))
    stock = StockConnection(connection)
    import_stock_skus(stock, SET)
    import_levels(stock, {"PHONE": 8, "CASE": 12}, counted_at=at(0))
    for _ in range(2):
        for _ in range(22):
            marketplace.step(stock)
        v1_locks = marketplace.locks_of_v1() if is_in_v1 else []
        if not is_in_v1:
            apply_pending(stock)
        before = stock.execute(LOCKS).fetchall(), held(stock)
        with connection.transaction():
            take_over(connection, v1_locks, frozenset())
        locks = stock.execute(LOCKS).fetchall()
        assert is_in_v1 or (locks, held(stock)) == before
        held_by_v1 = {lock.item_id for lock in v1_locks if not lock.consumed}
        waiting = {sku for _, item_id, sku, _, short, *_ in locks if short and item_id in held_by_v1}
        having = {sku for _, item_id, sku, locked, *_ in locks if locked and item_id not in held_by_v1}
        assert waiting & having == set()
        assert wrong_locks(stock) == []
        check_invariants(connection)
