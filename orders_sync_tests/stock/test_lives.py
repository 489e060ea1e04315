"""Lives of orders, each with what the stock list must say at its end: through marketplace, sync and stock job."""

from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.sandbox.formats import stamp
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import By, decide
from orders_sync.stock.connection import MAX_ATTEMPTS, StockConnection
from orders_sync.stock.failed_events import retry_failed, skip_failed
from orders_sync.stock.levels import Count, import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.queries import failed_events
from orders_sync.stock.wrong_locks import repair, wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.row_faults import reject_row
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order

ANN = By("ann@desk", "found it on the shelf")
CANCELLED, SHIPPED, REFUNDED_BEFORE, REFUNDED_AFTER = (9, 4), (9, 3), (9, 5), (9, 6)
"""States of an order and of its lines at Back Market."""


class Life:
    """An order's life, step by step: what happens at the marketplace, a pass, and a run of the stock job."""

    def __init__(self, marketplace: Marketplace, account: SellerAccount, stock: StockConnection) -> None:
        self.marketplace = marketplace
        self.account = account
        self.stock = stock

    def level(self, sku: str = "PHONE") -> tuple[int | None, int]:
        """(on hand, reserved)."""
        row = self.stock.execute("SELECT on_hand, reserved FROM stock_levels WHERE sku = %s", [sku]).fetchone()
        assert row is not None
        return row

    def lock(self, item_id: str) -> tuple[str, int, int, int]:
        """(state, locked, short, consumed)."""
        row = self.stock.execute(
            "SELECT state, locked, short, consumed FROM stock_locks WHERE item_id = %s", [item_id]
        ).fetchone()
        assert row is not None
        return row

    def pass_and_apply(self, oversell: frozenset[str] = frozenset()) -> None:
        self.marketplace.pass_time(minutes=1)
        sync(self.account, "modified")
        apply_pending(self.stock, oversell)

    def becomes(self, order_id: int, states: tuple[int, int], **fields: object) -> None:
        self.marketplace.pass_time(minutes=1)
        self.marketplace.set_states(order_id, *states)
        self.marketplace.change(order_id, **fields)

    def changes_quantity(self, order_id: int, quantity: int) -> None:
        self.marketplace.pass_time(minutes=1)
        order = self.marketplace.world.scripted[order_id]
        self.marketplace.change(order_id, orderlines=[{**line, "quantity": quantity} for line in order["orderlines"]])

    def ships_pieces(self, item_id: str, shipped: int) -> None:
        """As the merge stores it for a marketplace that gives numbers of pieces."""
        self.marketplace.pass_time(minutes=1)
        with self.stock.transaction():
            row = self.stock.execute(
                "UPDATE order_items SET shipped = %s WHERE item_id = %s RETURNING order_id", [shipped, item_id]
            ).fetchone()
            self.stock.execute(
                "UPDATE orders SET revision = revision + 1, modified_at = %s WHERE order_id = %s",
                [self.marketplace.now(), row and row[0]],
            )
            self.stock.execute(
                "INSERT INTO stock_rechecks (account, item_id) VALUES (%s, %s)", [self.account.name, item_id]
            )
        apply_pending(self.stock)


@pytest.fixture
def life(marketplace: Marketplace, account: SellerAccount, stock: StockConnection) -> Life:
    """Ten pieces were counted ten days ago."""
    import_levels(stock, {"PHONE": 10}, counted_at=marketplace.now() - timedelta(days=10))
    return Life(marketplace, account, stock)


def test_life_1_one_piece_of_three_is_cancelled_and_the_rest_ships_before_the_next_pass(
    life: Life, connection: Connection
) -> None:
    an_order(life.marketplace, 1, quantity=3)
    life.pass_and_apply()
    assert life.level() == (10, 3)
    life.changes_quantity(1, 2)
    life.becomes(1, SHIPPED)
    life.pass_and_apply()
    assert life.level() == (8, 0)
    assert life.lock("100") == ("consumed", 0, 0, 2)
    check_invariants(connection)


def test_life_1_with_another_sku_as_well(life: Life, connection: Connection) -> None:
    import_levels(life.stock, {"CASE": 10})
    an_order(life.marketplace, 1, quantity=3)
    life.pass_and_apply()
    [line] = life.marketplace.world.scripted[1]["orderlines"]
    life.marketplace.pass_time(minutes=1)
    life.marketplace.change(1, orderlines=[{**line, "listing": "CASE", "quantity": 2}])
    life.becomes(1, SHIPPED)
    life.pass_and_apply()
    assert (life.level("PHONE"), life.level("CASE")) == ((10, 0), (8, 0))
    check_invariants(connection)


def test_life_2_a_piece_leaves_before_the_shelf_is_counted_and_the_marketplace_tells_of_it_later(
    life: Life, connection: Connection
) -> None:
    an_order(life.marketplace, 1, age=timedelta(hours=5))
    life.pass_and_apply()
    assert life.level() == (10, 1)
    now = life.marketplace.now()
    import_levels(life.stock, {"PHONE": 9}, counted_at=now - timedelta(hours=2))
    life.becomes(1, SHIPPED, date_shipping=(now - timedelta(hours=3)).isoformat())
    life.pass_and_apply()
    assert life.level() == (9, 0)
    check_invariants(connection)


def test_life_2_a_piece_leaves_after_the_shelf_was_counted(life: Life, connection: Connection) -> None:
    an_order(life.marketplace, 1, age=timedelta(hours=5))
    life.pass_and_apply()
    now = life.marketplace.now()
    import_levels(life.stock, {"PHONE": Count(9, now - timedelta(hours=3))})
    life.becomes(1, SHIPPED, date_shipping=(now - timedelta(hours=2)).isoformat())
    life.pass_and_apply()
    assert life.level() == (8, 0)
    check_invariants(connection)


def test_life_2_the_count_arrives_after_the_shipment(life: Life, connection: Connection) -> None:
    """Counted in the morning, shipped at noon and stored at once; the list of the morning is imported in the evening."""
    now = life.marketplace.now()
    import_levels(life.stock, {"PHONE": 10}, counted_at=now - timedelta(hours=9))
    an_order(life.marketplace, 1, age=timedelta(hours=8))
    life.pass_and_apply()
    life.becomes(1, SHIPPED, date_shipping=(now - timedelta(hours=2)).isoformat())
    life.pass_and_apply()
    assert life.level() == (9, 0)
    import_levels(life.stock, {"PHONE": 12}, counted_at=now - timedelta(hours=4))
    assert life.level() == (11, 0)
    check_invariants(connection)


def test_life_3_a_raised_quantity_keeps_its_piece_and_a_younger_order_does_not_get_it(
    life: Life, connection: Connection
) -> None:
    import_levels(life.stock, {"PHONE": 1})
    an_order(life.marketplace, 1)
    life.pass_and_apply()
    life.changes_quantity(1, 2)
    an_order(life.marketplace, 2, age=timedelta(minutes=5))
    life.pass_and_apply()
    assert life.lock("100") == ("short", 1, 1, 0)
    assert life.lock("200") == ("short", 0, 1, 0)
    check_invariants(connection)


def test_life_4_one_of_two_pieces_ships_and_then_the_order_is_refunded(life: Life, connection: Connection) -> None:
    an_order(life.marketplace, 1, quantity=2)
    life.pass_and_apply()
    life.ships_pieces("100", 1)
    assert life.level() == (9, 1)
    life.becomes(1, REFUNDED_BEFORE)
    life.pass_and_apply()
    assert life.level() == (9, 0)
    assert life.lock("100") == ("consumed", 0, 0, 1)
    check_invariants(connection)


def test_life_5_the_shipping_falls_between_two_passes_and_a_refund_is_all_that_is_seen(
    life: Life, connection: Connection
) -> None:
    an_order(life.marketplace, 1)
    life.pass_and_apply()
    life.becomes(1, REFUNDED_AFTER)
    life.pass_and_apply()
    assert life.level() == (9, 0)
    assert life.lock("100") == ("consumed", 0, 0, 1)
    check_invariants(connection)


def test_life_6_a_waiting_item_is_cancelled_while_the_stock_job_looks_at_waiting_items(
    life: Life, connection: Connection, database_url: str
) -> None:
    """The cancellation is stored, and its event waits, when pieces arrive: they must not stay with the item."""
    import_levels(life.stock, {"PHONE": 0})
    an_order(life.marketplace, 1)
    life.pass_and_apply()
    assert life.lock("100") == ("short", 0, 1, 0)
    life.becomes(1, CANCELLED)
    sync(life.account, "modified")
    with connect(database_url) as other, other.transaction():
        import_levels(StockConnection(other), {"PHONE": 5})
    apply_pending(life.stock)
    assert life.lock("100") == ("released", 0, 0, 0)
    assert life.level() == (5, 0)
    check_invariants(connection)


class TestLife7AnEventFailsFiveTimes:
    """PostgreSQL refuses the lock of the order; another order is fine."""

    @pytest.fixture
    def failed(self, life: Life, connection: Connection) -> Connection:
        reject_row(connection, "stock_locks", "item_id", "100")
        for number in (1, 2):
            an_order(life.marketplace, number)
        life.pass_and_apply()
        for attempts in range(1, MAX_ATTEMPTS):
            assert [event.attempts for event in failed_events(life.stock)] == [attempts], "one attempt a run"
            assert pending_events(life.stock) == 1
            apply_pending(life.stock)
        return connection

    def test_it_is_reported_the_other_order_goes_on_and_no_further_run_is_due(
        self, life: Life, failed: Connection
    ) -> None:
        assert [
            (event.order_id, event.kind, event.attempts, event.is_given_up) for event in failed_events(life.stock)
        ] == [("1", "OrderCreated", MAX_ATTEMPTS, True)]
        assert pending_events(life.stock) == 0
        life.becomes(2, CANCELLED)
        life.pass_and_apply()
        assert life.lock("200") == ("released", 0, 0, 0)
        assert life.level() == (10, 0)
        assert pending_events(life.stock) == 0

    def test_a_later_event_of_its_order_does_not_wait_and_lets_it_be_tried_once_more(
        self, life: Life, failed: Connection
    ) -> None:
        """The order is cancelled: it needs no lock any more, so that nothing is refused."""
        life.becomes(1, CANCELLED)
        life.pass_and_apply()
        [event] = failed_events(life.stock)
        assert (event.is_given_up, event.later_applied > 0) == (False, True)
        apply_pending(life.stock)
        assert failed_events(life.stock) == []
        check_invariants(failed)

    def test_later_events_that_fail_as_well_name_the_first_one(self, life: Life, failed: Connection) -> None:
        [first] = failed_events(life.stock)
        life.becomes(1, SHIPPED)
        life.pass_and_apply()
        later = failed_events(life.stock)[1:]
        assert later
        assert {event.behind for event in later} == {first.event_id}
        failed.execute("DROP TRIGGER reject ON stock_locks")
        assert retry_failed(life.stock, ANN, first.event_id) == 1
        apply_pending(life.stock)
        apply_pending(life.stock)
        assert failed_events(life.stock) == []

    def test_it_can_be_tried_again(self, life: Life, failed: Connection) -> None:
        [event] = failed_events(life.stock)
        failed.execute("DROP TRIGGER reject ON stock_locks")
        assert retry_failed(life.stock, ANN, event.event_id) == 1
        assert pending_events(life.stock) == 1
        assert apply_pending(life.stock).events == 1
        assert failed_events(life.stock) == []
        check_invariants(failed)

    def test_it_can_be_skipped_with_a_reason(self, life: Life, failed: Connection) -> None:
        [event] = failed_events(life.stock)
        skip_failed(life.stock, event.event_id, By("ann@desk", "no such phone"))
        assert failed_events(life.stock) == []
        row = failed.execute(
            "SELECT problem, applied_at IS NOT NULL FROM order_events WHERE event_id = %s", [event.event_id]
        ).fetchone()
        assert row == ("skipped by ann@desk: no such phone (NumericValueOutOfRange)", True)


def test_an_item_that_cannot_be_looked_at_stops_no_other_one_and_is_reported(
    life: Life, connection: Connection
) -> None:
    """Its SKU changes to one that PostgreSQL refuses; at the same time, another order's quantity changes."""
    for number in (1, 2):
        an_order(life.marketplace, number)
    life.pass_and_apply()
    reject_row(connection, "stock_locks", "sku", "CASE")
    [line] = life.marketplace.world.scripted[1]["orderlines"]
    life.marketplace.pass_time(minutes=1)
    life.marketplace.change(1, orderlines=[{**line, "listing": "CASE"}])
    life.changes_quantity(2, 4)
    life.pass_and_apply()
    assert life.lock("200") == ("locked", 4, 0, 0)
    assert pending_events(life.stock) == 0
    assert {each.item_id for each in wrong_locks(life.stock)} == {"100"}
    assert repair(life.stock).failed == 1
    connection.execute("DROP TRIGGER reject ON stock_locks")
    assert repair(life.stock).failed == 0
    check_invariants(connection)


def test_an_item_that_cannot_be_looked_at_stops_no_acceptance_of_other_orders(
    life: Life, marketplace: Marketplace, connection: Connection
) -> None:
    reject_row(connection, "stock_locks", "item_id", "100")
    for number in (1, 2):
        an_order(marketplace, number, state=1, line_state=1)
    sync(sandbox_account(marketplace, accept_orderlines=True))
    assert connection.execute("SELECT order_id, state FROM acceptances").fetchall() == [("2", "accepted")]


def test_life_8_an_import_leaves_the_locks_of_an_account_that_may_oversell(
    life: Life, connection: Connection, account: SellerAccount
) -> None:
    oversell = frozenset({account.name})
    import_levels(life.stock, {"PHONE": 1}, oversell)
    an_order(life.marketplace, 1, quantity=2)
    life.pass_and_apply(oversell)
    assert life.lock("100") == ("locked", 2, 0, 0)
    import_levels(life.stock, {"PHONE": 1}, oversell)
    import_levels(life.stock, {"PHONE": 0}, oversell)
    assert life.lock("100") == ("locked", 2, 0, 0)


def test_life_8_what_an_account_oversells_has_left_and_another_order_waits_for_its_piece(
    life: Life, connection: Connection
) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("1", quantity=5)]))
    apply_pending(life.stock)
    oversold = StoredOrder("2", [StoredItem("2", quantity=12)], account="oversells")
    store_order(connection, oversold)
    apply_pending(life.stock, frozenset({"oversells"}))
    assert (life.lock("1"), life.lock("2"), life.level()) == (("locked", 5, 0, 0), ("locked", 12, 0, 0), (10, 17))
    import_levels(life.stock, {"PHONE": 5}, frozenset({"oversells"}))
    assert (life.lock("1"), life.level()) == (("locked", 5, 0, 0), (5, 17))
    shipped = StoredItem("2", quantity=12, status="shipped")
    store_order(connection, oversold._replace(items=[shipped], status="shipped", modified_at=datetime.now(UTC)))
    apply_pending(life.stock, frozenset({"oversells"}))
    assert (life.lock("1"), life.level()) == (("short", 0, 5, 0), (0, 0))
    check_invariants(connection)


def test_life_9_of_two_paid_orders_for_one_piece_one_is_accepted(
    life: Life, marketplace: Marketplace, connection: Connection
) -> None:
    accepting = sandbox_account(marketplace, accept_orderlines=True)
    import_levels(life.stock, {"PHONE": 1})
    for number in (1, 2):
        an_order(marketplace, number, state=1, line_state=1, age=timedelta(minutes=10 - number))
    sync(accepting)
    assert connection.execute("SELECT order_id, state FROM acceptances").fetchall() == [("1", "accepted")]
    assert life.lock("200") == ("short", 0, 1, 0)
    check_invariants(connection)


def test_life_10_shipped_by_mistake_then_reopened_and_cancelled(life: Life, connection: Connection) -> None:
    an_order(life.marketplace, 1)
    life.pass_and_apply()
    life.becomes(1, SHIPPED)
    life.pass_and_apply()
    assert life.level() == (9, 0)
    life.becomes(1, (3, 2))
    life.pass_and_apply()
    assert life.level() == (9, 0), "the consumed piece is the item's: it needs no other one"
    life.becomes(1, CANCELLED)
    life.pass_and_apply()
    assert life.level() == (9, 0)
    decide(life.stock, (life.account.name, "100"), Decision.NOT_SHIPPED, ANN)
    assert life.level() == (10, 0)
    assert life.lock("100") == ("released", 0, 0, 0)
    check_invariants(connection)


def test_life_11_an_order_of_three_pieces_is_served_before_younger_orders_of_one(
    life: Life, connection: Connection
) -> None:
    import_levels(life.stock, {"PHONE": 0})
    an_order(life.marketplace, 1, quantity=3, age=timedelta(minutes=10))
    for number, on_hand in ((2, 1), (3, 2), (4, 3)):
        an_order(life.marketplace, number, age=timedelta(minutes=10 - number))
        life.pass_and_apply()
        import_levels(life.stock, {"PHONE": on_hand})
    assert life.lock("100") == ("locked", 3, 0, 0)
    assert [life.lock(item_id)[0] for item_id in ("200", "300", "400")] == ["short"] * 3
    check_invariants(connection)


def test_a_shipment_date_in_back_markets_own_form_counts(life: Life) -> None:
    """Back Market gives times with its own zone: the count compares moments, not texts."""
    an_order(life.marketplace, 1, age=timedelta(hours=5))
    life.pass_and_apply()
    now = life.marketplace.now()
    import_levels(life.stock, {"PHONE": 9}, counted_at=now - timedelta(minutes=90))
    life.becomes(1, SHIPPED, date_shipping=stamp(now - timedelta(hours=2)))
    life.pass_and_apply()
    assert life.level() == (9, 0)
