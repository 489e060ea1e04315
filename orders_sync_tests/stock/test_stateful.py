"""Any life of a warehouse against a simple model in which pieces are conserved.

The model has a shelf, and orders at a marketplace. Orders are placed, changed, shipped in parts, cancelled and refunded;
what the marketplace knows is stored some time later; two stock workers apply it meanwhile; the shelf is counted, and the
count arrives some time later; persons adjust, decide, book returns and undo mistakes. Whenever all is stored and applied,
the pieces on hand must be those on the shelf, and each item must have taken what left for it.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from orders_sync.database.engine import Connection, connect
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import By, StockActError, adjust, decide, return_to_stock
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import has_left, held, still_here
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.received import Destination, put_away, receipts, receive
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import (
    ACCOUNT,
    StoredItem,
    StoredOrder,
    store_care_record,
    store_label,
    store_order,
)

PARTS = {"PHONE": {"PHONE": 1}, "CASE": {"CASE": 1}, "ALIAS": {"PHONE": 1}, "SET": {"PHONE": 1, "CASE": 2}}
"""What a piece of each of the marketplace's SKUs takes from the shelf."""
STOCK_SKUS = [
    StockSku("", sku, stock_sku, pieces)
    for sku, parts in PARTS.items()
    if parts != {sku: 1}
    for stock_sku, pieces in parts.items()
]
ANN = By("ann@desk", "test")
OPEN = ("pending", "accepted")
numbers = st.integers(0, 1_000)
skus = st.sampled_from(sorted(PARTS))


@dataclass
class Item:
    """An order of one item, as the marketplace knows it, and what really left for it."""

    order: StoredOrder
    left: Counter[str] = field(default_factory=Counter[str])
    """Pieces that left the shelf for it, or were reported to have, by SKU of the shelf."""
    returned: int = 0
    is_stored: bool = False
    is_shipment_on_its_way: bool = False
    """Whether a shipment is not stored and applied yet. The marketplace names the time of the latest one only."""
    is_decided: bool = False
    has_label: bool = False
    is_beyond: bool = False
    """Whether a cancelled piece has left. Pieces that are ordered later look the same, so none is ordered then."""

    @property
    def facts(self) -> StoredItem:
        return self.order.items[0]

    @property
    def is_open(self) -> bool:
        return self.facts.status in OPEN and not self.is_decided

    @property
    def to_ship(self) -> int:
        return self.facts.quantity - (self.facts.cancelled or 0) - (self.facts.shipped or 0)

    def change(self, **facts: object) -> None:
        item = self.facts._replace(**facts)
        self.order = self.order._replace(items=[item], status=item.status, modified_at=datetime.now(UTC))
        self.is_stored = False


@dataclass
class Mistake:
    """A shipment that was reported and did not happen: the stock list lacks the pieces until they are counted."""

    item: Item
    pieces: Counter[str]
    reported_at: datetime


def parts_of(item: Item, pieces: int) -> Counter[str]:
    return Counter({sku: count * pieces for sku, count in PARTS[item.facts.sku].items()})


class Warehouse(RuleBasedStateMachine):
    """The rules. Each does something real, and the same to the model."""

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__()
        self.connection = connection
        self.url = url
        self.stock = StockConnection(connection)
        connection.execute(
            "TRUNCATE orders, order_items, order_events, stock_locks, stock_levels, stock_lock_history, "
            "stock_movements, stock_skus, stock_decisions, stock_rechecks, "
            "stock_over_reports, stock_unreported, order_documents, stock_returns, stock_received, stock_put_away, care_records, care_record_items"
        )
        self.shelf = Counter({"PHONE": 6, "CASE": 8})
        import_levels(self.stock, self.shelf)
        self.counted_at = dict.fromkeys(self.shelf, datetime.now(UTC))
        import_stock_skus(self.stock, STOCK_SKUS)
        self.items: list[Item] = []
        self.mistakes: list[Mistake] = []
        self.counts: list[tuple[datetime, dict[str, int]]] = []
        self.quarantine = Counter[str]()

    def find(self, number: int, *, is_open: bool | None = None) -> Item | None:
        found = [item for item in self.items if is_open is None or item.is_open == is_open]
        return found[number % len(found)] if found else None

    def take(self, item: Item, pieces: int) -> bool:
        """Takes so many pieces of the item from the shelf, if they are there, in fact and by the stock list."""
        parts = parts_of(item, pieces)
        if not self.has(parts):
            return False
        self.shelf.subtract(parts)
        item.left.update(parts)
        return True

    def missing(self) -> Counter[str]:
        """Pieces that the stock list lacks because of mistakes."""
        return sum((mistake.pieces for mistake in self.mistakes), Counter[str]())

    def has(self, parts: Counter[str]) -> bool:
        """Whether so many are there: the stock list can't say that there are fewer than none."""
        missing = self.missing()
        return all(self.shelf[sku] >= count + missing[sku] for sku, count in parts.items())

    # At the marketplace

    @initialize(orders=st.lists(st.tuples(skus, st.integers(1, 3), st.sampled_from(OPEN)), min_size=3, max_size=6))
    def orders_are_placed(self, orders: list[tuple[str, int, str]]) -> None:
        for order in orders:
            self.place(*order)

    @rule(sku=skus, quantity=st.integers(1, 3), status=st.sampled_from(OPEN))
    def an_order_is_placed(self, sku: str, quantity: int, status: str) -> None:
        self.place(sku, quantity, status)

    def place(self, sku: str, quantity: int, status: str) -> None:
        number = len(self.items) + 1
        now = datetime.now(UTC)
        facts = StoredItem(f"{number}00", sku, quantity, status)
        self.items.append(Item(StoredOrder(str(number), [facts], status, created_at=now, modified_at=now)))

    @rule(number=numbers, quantity=st.integers(1, 4))
    def its_quantity_changes(self, number: int, quantity: int) -> None:
        item = self.find(number, is_open=True)
        if item and not item.is_beyond and quantity > (item.facts.shipped or 0) + (item.facts.cancelled or 0):
            item.change(quantity=quantity)

    @rule(number=numbers, sku=skus)
    def its_sku_changes(self, number: int, sku: str) -> None:
        item = self.find(number, is_open=True)
        if item and not item.left:
            item.change(sku=sku)

    @rule(number=numbers, pieces=st.integers(1, 3))
    def pieces_ship(self, number: int, pieces: int) -> None:
        item = self.find(number, is_open=True)
        if item is None or item.is_shipment_on_its_way or item.to_ship == 0:
            return
        pieces = min(pieces, item.to_ship)
        if self.take(item, pieces):
            is_all = pieces == item.to_ship
            item.change(shipped=(item.facts.shipped or 0) + pieces, status="shipped" if is_all else item.facts.status)
            item.order = item.order._replace(shipped_at=datetime.now(UTC))
            item.is_shipment_on_its_way = True

    @rule(number=numbers)
    def the_marketplace_tells_no_numbers_but_that_all_has_shipped(self, number: int) -> None:
        item = self.find(number, is_open=True)
        if item is None or item.facts.shipped is not None or item.is_shipment_on_its_way or not self.is_known(item):
            return
        if self.take(item, item.to_ship):
            item.change(status="shipped")
            item.is_shipment_on_its_way = True

    @rule(number=numbers, pieces=st.integers(1, 3))
    def pieces_are_cancelled(self, number: int, pieces: int) -> None:
        item = self.find(number, is_open=True)
        if item and item.to_ship > 0:
            pieces = min(pieces, item.to_ship)
            rest = item.to_ship - pieces
            item.change(
                cancelled=(item.facts.cancelled or 0) + pieces, status=item.facts.status if rest else "cancelled"
            )

    @rule(number=numbers, status=st.sampled_from(["cancelled", "refunded_before_shipping", "unpaid", "accepted"]))
    def its_status_changes(self, number: int, status: str) -> None:
        item = self.find(number, is_open=True)
        if item:
            item.change(status=status)

    @rule(number=numbers, status=st.sampled_from(["refunded_after_shipping", "returned"]))
    def a_shipped_order_is_refunded(self, number: int, status: str) -> None:
        item = self.find(number)
        if item and item.facts.status == "shipped" and not item.is_decided and not item.is_shipment_on_its_way:
            item.change(status=status)

    @rule(number=numbers)
    def an_order_is_set_to_shipped_by_mistake(self, number: int) -> None:
        item = self.find(number, is_open=True)
        if item is None or item.left or item.is_shipment_on_its_way:
            return
        parts = parts_of(item, item.to_ship)
        if self.has(parts):
            item.change(status="shipped", shipped=item.to_ship)
            item.order = item.order._replace(shipped_at=datetime.now(UTC))
            item.left.update(parts)
            item.is_decided = True  # nothing else happens to it
            self.mistakes.append(Mistake(item, parts, datetime.now(UTC)))

    @rule(number=numbers)
    def it_gets_a_label(self, number: int) -> None:
        item = self.find(number, is_open=True)
        if item and not item.has_label:
            item.has_label = True
            store_label(self.connection, item.order.order_id)

    @rule(number=numbers)
    def a_cancelled_item_is_shipped_all_the_same(self, number: int) -> None:
        """The marketplace reports the pieces that were still to ship when it was cancelled."""
        item = self.find(number)
        if item is None or item.facts.status != "cancelled" or item.is_decided or item.is_beyond or item.returned:
            return
        if item.facts.shipped is None and item.facts.cancelled is None and self.take(item, item.facts.quantity):
            item.change(status="shipped", shipped=item.facts.quantity)
            item.order = item.order._replace(shipped_at=datetime.now(UTC))
            item.is_shipment_on_its_way = True

    # What is stored of it, and applied

    def store(self, item: Item) -> None:
        store_order(self.connection, item.order)
        item.is_stored = True

    @rule(number=numbers)
    def an_order_is_stored(self, number: int) -> None:
        unstored = [item for item in self.items if not item.is_stored]
        if unstored:
            self.store(unstored[number % len(unstored)])

    @rule(batch=st.integers(1, 5))
    def the_stock_job_runs(self, batch: int) -> None:
        apply_pending(self.stock, batch=batch)
        self.shipments_arrived()

    @precondition(lambda self: any(not item.is_stored for item in self.items))
    @rule(batch=st.integers(1, 3))
    def two_workers_apply_events_while_orders_are_stored(self, batch: int) -> None:
        failures: list[BaseException] = []

        def work() -> None:
            try:
                with connect(self.url) as own:
                    apply_pending(StockConnection(own), batch=batch)
            except BaseException as failure:
                failures.append(failure)

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for item in self.items:
            if not item.is_stored:
                self.store(item)
        for worker in workers:
            worker.join()
        assert not failures, failures

    def shipments_arrived(self) -> None:
        for item in self.items:
            if item.is_stored:
                item.is_shipment_on_its_way = False

    # In the warehouse

    @rule(sku=st.sampled_from(["PHONE", "CASE"]), pieces=st.integers(1, 4))
    def pieces_come(self, sku: str, pieces: int) -> None:
        self.shelf[sku] += pieces
        adjust(self.stock, sku, pieces, ANN)

    @rule(sku=st.sampled_from(["PHONE", "CASE"]), pieces=st.integers(1, 2))
    def pieces_are_written_off(self, sku: str, pieces: int) -> None:
        if self.has(Counter({sku: pieces})):
            self.shelf[sku] -= pieces
            adjust(self.stock, sku, -pieces, ANN)

    @rule(skus=st.sets(st.sampled_from(["PHONE", "CASE"]), min_size=1))
    def the_shelf_is_counted(self, skus: set[str]) -> None:
        self.counts.append((datetime.now(UTC), {sku: self.shelf[sku] for sku in sorted(skus)}))

    @precondition(lambda self: self.counts)
    @rule(number=numbers)
    def a_count_is_imported(self, number: int) -> None:
        counted_at, count = self.counts.pop(number % len(self.counts))
        import_levels(self.stock, count, counted_at=counted_at)
        for sku in count:
            if counted_at >= self.counted_at[sku]:
                self.counted_at[sku] = counted_at
                for mistake in self.mistakes:
                    if mistake.reported_at <= counted_at:
                        del mistake.pieces[sku]

    # By hand

    @rule(number=numbers, decision=st.sampled_from([Decision.LOCK, Decision.RELEASE]))
    def a_lock_is_decided_on(self, number: int, decision: Decision) -> None:
        item = self.find(number)
        if item and item.is_open and item.is_stored:
            decide(self.stock, (ACCOUNT, item.facts.item_id), decision, ANN)

    @rule(number=numbers)
    def a_shipment_is_decided_on(self, number: int) -> None:
        item = self.find(number, is_open=True)
        if item and not item.is_shipment_on_its_way and item.is_stored and self.take(item, item.to_ship):
            apply_pending(self.stock)
            self.shipments_arrived()
            decide(self.stock, (ACCOUNT, item.facts.item_id), Decision.SHIPPED, ANN)
            item.is_decided = True

    @rule(number=numbers)
    def a_mistake_is_undone(self, number: int) -> None:
        if not self.mistakes:
            return
        mistake = self.mistakes[number % len(self.mistakes)]
        if not mistake.item.is_stored:
            self.store(mistake.item)
        apply_pending(self.stock)
        decide(self.stock, (ACCOUNT, mistake.item.facts.item_id), Decision.NOT_SHIPPED, ANN)
        self.mistakes.remove(mistake)
        mistake.item.left.clear()

    @rule(number=numbers, is_here=st.booleans())
    def a_held_piece_is_looked_for(self, number: int, is_here: bool) -> None:
        """Once all is known: a shipment that is on its way settles what is held before a person does."""
        if not held(self.stock):
            return
        self.all_is_stored_and_applied()
        found = held(self.stock)
        if not found:
            return
        item = next(item for item in self.items if item.facts.item_id == found[number % len(found)].item_id)
        key = (ACCOUNT, item.facts.item_id)
        if is_here:
            still_here(self.stock, key, 1, ANN)
        elif self.take(item, 1):
            has_left(self.stock, key, 1, ANN)
            item.is_beyond = True

    @rule(number=numbers, pieces=st.integers(1, 2), is_received=st.booleans())
    def pieces_come_back(self, number: int, pieces: int, is_received: bool) -> None:
        item = self.find(number)
        if item is None or item.is_decided or not self.is_known(item) or item.is_shipment_on_its_way:
            return
        left = max((item.left[sku] // count for sku, count in PARTS[item.facts.sku].items()), default=0)
        key = (ACCOUNT, item.facts.item_id)
        if is_received:
            store_care_record(self.connection, "C", None, item.facts.item_id)

        def book() -> None:
            if is_received:
                receive(self.stock, "C", {key: pieces}, ANN)
            else:
                return_to_stock(self.stock, {key: pieces}, ANN)

        if item.returned + pieces > left:
            with pytest.raises(StockActError):
                book()
            return
        book()
        item.returned += pieces
        (self.quarantine if is_received else self.shelf).update(parts_of(item, pieces))

    @precondition(lambda self: self.quarantine.total())
    @rule(number=numbers, destination=st.sampled_from([None, "PHONE", "CASE", "scrap"]))
    def a_received_piece_is_put_away(self, number: int, destination: str | None) -> None:
        found = receipts(self.stock)
        receipt = found[number % len(found)]
        is_scrap = destination == "scrap"
        put_away(self.stock, receipt.number, 1, Destination(None if is_scrap else destination, is_scrap), ANN)
        self.quarantine[receipt.sku] -= 1
        if not is_scrap:
            self.shelf[destination or receipt.sku] += 1

    def is_known(self, item: Item) -> bool:
        return bool(
            self.connection.execute("SELECT 1 FROM order_items WHERE item_id = %s", [item.facts.item_id]).rowcount
        )

    # What must hold

    @rule()
    def all_is_stored_and_applied(self) -> None:
        for item in self.items:
            if not item.is_stored:
                self.store(item)
        apply_pending(self.stock)
        self.shipments_arrived()
        assert pending_events(self.stock) == 0
        assert wrong_locks(self.stock) == []
        check_invariants(self.connection)
        missing = self.missing()
        on_hand = dict(self.connection.execute("SELECT sku, on_hand FROM stock_levels WHERE on_hand IS NOT NULL"))
        assert on_hand == {sku: pieces - missing[sku] for sku, pieces in self.shelf.items()}
        in_quarantine = Counter[str]()
        for receipt in receipts(self.stock):
            in_quarantine[receipt.sku] += receipt.quarantine
        assert in_quarantine == +self.quarantine
        consumed = self.connection.execute(
            "SELECT item_id, sku, consumed FROM stock_locks WHERE consumed > 0"
        ).fetchall()
        left = [(item.facts.item_id, sku, count) for item in self.items for sku, count in item.left.items() if count]
        assert sorted(consumed) == sorted(left)

    def teardown(self) -> None:
        self.all_is_stored_and_applied()


def test_pieces_are_conserved_in_any_life(connection: Connection, database_url: str) -> None:
    class ThisWarehouse(Warehouse):
        def __init__(self) -> None:
            super().__init__(connection, database_url)

    run_state_machine_as_test(
        ThisWarehouse,
        settings=settings(
            max_examples=40,  # `make stress` goes on for longer
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.generate],  # to shrink a failure takes minutes
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
