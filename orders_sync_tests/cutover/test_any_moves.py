"""Three accounts that share a stock, and move on their own: what holds whatever has happened meanwhile."""

from random import Random

import pytest

from orders_sync.cutover.phases import note_moves
from orders_sync.cutover.stock_handover import V1Lock, take_over
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import Phase, current_authority
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.cutover.moved import BY
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, at, store_order

ACCOUNTS = ("canary", "large", "small")
STATUSES = ("accepted", "pending", "unknown", "awaiting_payment", "shipped", "cancelled")


class Shop:
    """Orders of phones in three accounts, of which V1 knows some."""

    def __init__(self, connection: Connection, random: Random, skus: tuple[str, ...] = ("PHONE",)) -> None:
        self.connection, self.random, self.skus = connection, random, skus
        self.stock = StockConnection(connection)
        self.orders: list[StoredOrder] = []

    def phase(self, account: str) -> Phase:
        return current_authority(self.connection).of(account).phase

    def step(self) -> None:
        match self.random.choice(["place", "place", "change", "change", "count", "move"]):
            case "count":
                import_levels(self.stock, {"PHONE": self.random.randint(0, 12), "CASE": self.random.randint(0, 12)})
            case "move":
                self.move(self.random.choice(ACCOUNTS))
            case "change" if self.orders:
                number = self.random.randrange(len(self.orders))
                status = self.random.choice(STATUSES)
                item = self.orders[number].items[0]._replace(status=status)
                self.orders[number] = self.orders[number]._replace(items=[item], status=status)
                store_order(self.connection, self.orders[number])
            case _:
                number, status = str(len(self.orders) + 1), self.random.choice(STATUSES)
                sku = self.random.choice(self.skus)
                self.orders.append(
                    StoredOrder(
                        number, [StoredItem(number, sku, self.random.randint(1, 3), status)], status,
                        created_at=at(self.random.randint(-90, 90)), account=self.random.choice(ACCOUNTS),
                    )
                )  # fmt: skip
                store_order(self.connection, self.orders[-1])
        if self.random.random() < 0.7:
            apply_pending(self.stock)

    def move(self, account: str) -> None:
        """One phase on, or from live back to V1."""
        before = self.phase(account)
        if before is not Phase.MONITOR:
            to = Phase.PARALLEL if before is Phase.LIVE else Phase.MONITOR
            locks = self.locks()
            note_moves(self.connection, [account], before, to, BY)
            assert self.locks() == locks
            return
        v1_locks = self.locks_of_v1(account)
        held = {(lock.account, lock.item_id) for lock in v1_locks if not lock.consumed}
        still_v1 = {each for each in ACCOUNTS if each != account and self.phase(each) is not Phase.LIVE}
        pending = {key for key, *_ in self.pending()}
        locks = self.locks()
        with self.connection.transaction():
            taken = take_over(self.connection, v1_locks, frozenset(), still_v1)
            note_moves(self.connection, [account], before, Phase.LIVE, BY)
        after = self.locks()
        for key, (locked, _) in locks.items():
            if key[0] in still_v1 and key[:2] not in pending:
                assert after[key][0] >= locked, "V1 has promised these pieces to its other account"
        for sku in {key[2] for key in after}:
            of_sku = {key: pieces for key, pieces in after.items() if key[2] == sku}
            waiting = any(short for key, (_, short) in of_sku.items() if key[:2] in held)
            givers = any(
                locked for key, (locked, _) in of_sku.items() if key[:2] not in held and key[0] not in still_v1
            )
            assert not (waiting and givers), "what V1 holds waits only if nobody of V2's has a piece"
        active = {key[:2] for key, pieces in after.items() if any(pieces)}
        assert not active & {(each.account, each.item_id) for each in taken.not_taken}
        assert wrong_locks(self.stock) == []
        check_invariants(self.connection)

    def pending(self) -> list[tuple[object, ...]]:
        rows = self.connection.execute(
            "SELECT item.account, item.item_id FROM order_events JOIN order_items item USING (account, order_id) "
            "WHERE applied_at IS NULL"
        )
        return [((account, item_id),) for account, item_id in rows]

    def locks(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        """(locked, short) of active locks by item and SKU."""
        rows = self.connection.execute(
            "SELECT account, item_id, sku, locked + held, short FROM stock_locks "
            "WHERE state IN ('locked', 'short', 'held')"
        )
        return {(account, item_id, sku): (locked, short) for account, item_id, sku, locked, short in rows}

    def locks_of_v1(self, account: str) -> list[V1Lock]:
        found: list[V1Lock] = []
        for order in self.orders:
            item = order.items[0]
            if order.account == account and self.random.random() < 0.5:
                found.append(V1Lock(account, item.item_id))
            elif order.account == account and item.status != "shipped" and self.random.random() < 0.3:
                found.append(V1Lock(account, item.item_id, self.random.randint(1, item.quantity), at(20)))
        return found


@pytest.mark.parametrize("seed", range(6))
def test_any_moves(connection: Connection, seed: int) -> None:
    any_moves(Shop(connection, Random(seed)))


@pytest.mark.parametrize("seed", range(6))
def test_any_moves_with_bundles_and_several_spellings_of_a_sku(connection: Connection, seed: int) -> None:
    shop = Shop(connection, Random(seed), skus=("PHONE", "phone ", "CASE", "Set"))
    set_sku_case(shop.stock, SkuCase.IGNORE, BY)
    import_stock_skus(shop.stock, [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)])
    any_moves(shop)


def any_moves(shop: Shop) -> None:
    import_levels(shop.stock, {"PHONE": 8, "CASE": 8}, counted_at=at(0))
    for _ in range(40):
        shop.step()
    apply_pending(shop.stock)
    assert wrong_locks(shop.stock) == []
    check_invariants(shop.connection)
