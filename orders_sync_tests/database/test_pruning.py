"""What only grows is deleted when it is old, and nothing else."""

from datetime import UTC, datetime, timedelta

from orders_sync.dagster_support.order_rules import ORDER_RULES
from orders_sync.database.engine import Connection
from orders_sync.database.pruning import Pruned, prune_rows
from orders_sync.lanes.error_answers import ErrorAnswer, keep_error_answers
from orders_sync.model.lane import Lane, SyncType
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.subscriptions.registration import register
from orders_sync.testing.invariants import locks_are_right
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order
from orders_sync_tests.subscriptions.conftest import settings

DAYS = {"runs": timedelta(days=90), "events": timedelta(days=730)}


def age(connection: Connection, days: int) -> None:
    """Makes everything so much older."""
    for table, column in (
        ("lane_runs", "started_at"),
        ("order_events", "recorded_at"),
        ("schedule_ticks", "taken_at"),
        ("error_answers", "answered_at"),
    ):
        connection.execute(f"UPDATE {table} SET {column} = {column} - interval '{days} days'".encode())


def _store_troubles(connection: Connection) -> None:
    """One that ended 100 days ago, one that ended today, and one that has not ended; all were reported to a channel."""
    connection.execute(
        "INSERT INTO troubles (examination, kind, about, level, what, remedy, page, ended_at) "
        "SELECT 'lanes', kind, '', 'error', '', '', '', ended_at FROM (VALUES "
        "('of old', now() - interval '100 days'), ('of today', now()), ('still there', NULL)) AS each (kind, ended_at)"
    )
    connection.execute("INSERT INTO alerts (trouble_id, channel) SELECT trouble_id, 'team' FROM troubles")


def test_old_history_goes_and_the_last_pass_of_each_lane_stays(
    marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(marketplace)
    an_order(marketplace, 1)
    sync(account)
    sync(account)
    sync(account, "modified")
    connection.execute("INSERT INTO schedule_ticks (account, sync_type, tick_at) VALUES ('shop', 'new', now())")
    answer = ErrorAnswer("GET", "/ws/orders", 400, {}, b"no", 2, 1, datetime.now(UTC))
    keep_error_answers(connection, Lane("shop", SyncType.NEW), "run", [answer])
    apply_pending(StockConnection(connection))
    assert prune_rows(connection, **DAYS) == Pruned(0, 0, 0, 0, 0, 0)
    age(connection, 100)
    _store_troubles(connection)
    assert prune_rows(connection, **DAYS) == Pruned(
        lane_runs=1, schedule_ticks=1, order_events=0, event_deliveries=0, error_answers=1, troubles=1
    )
    assert connection.execute(
        "SELECT kind, channel FROM troubles LEFT JOIN alerts USING (trouble_id) ORDER BY 1"
    ).fetchall() == [("of today", "team"), ("still there", "team")]
    rows = connection.execute("SELECT sync_type, count(*) FROM lane_runs GROUP BY 1 ORDER BY 1").fetchall()
    assert rows == [("modified", 1), ("new", 1)]
    age(connection, 700)
    assert prune_rows(connection, **DAYS) == Pruned(0, 0, 0, 0, 0, 0), "the event of its creation stays"
    locks_are_right(connection)
    assert sync(account).created == 0, "an order whose events are gone is no new one"


def test_of_old_events_the_first_and_the_latest_stay(marketplace: Marketplace, connection: Connection) -> None:
    """Checks and decisions by hand look at them. Events that wait, and all of an order that still changes, stay too."""
    account = sandbox_account(marketplace)
    for number in (1, 2, 3):
        an_order(marketplace, number, state=1, line_state=1)
    sync(account)
    for order_state, line_state in ((3, 2), (9, 3)):
        marketplace.pass_time(minutes=1)
        for number in (1, 2, 3):
            marketplace.set_states(number, order_state, line_state)
        sync(account, "modified")
    connection.execute("UPDATE order_events SET applied_at = now() WHERE order_id <> '3'")
    age(connection, 800)
    marketplace.pass_time(minutes=1)
    marketplace.set_states(2, 9, 6)
    sync(account, "modified")
    connection.execute("UPDATE order_events SET applied_at = now() WHERE order_id = '2'")
    before = connection.execute("SELECT count(*) FROM order_events WHERE order_id <> '1'").fetchone()
    assert prune_rows(connection, **DAYS).order_events == 2
    assert connection.execute("SELECT count(*) FROM order_events WHERE order_id <> '1'").fetchone() == before
    rows = connection.execute(
        "SELECT kind, item_id, new_status FROM order_events WHERE order_id = '1' ORDER BY event_id"
    )
    assert sorted(rows) == [
        ("OrderCreated", "", "pending"), ("OrderStatusChanged", "", "shipped"), ("OrderStatusChanged", "100", "shipped"),
    ]  # fmt: skip
    (created_once,) = (rule for rule in ORDER_RULES if rule.name == "every_order_created_once")
    assert connection.execute(created_once.of_all()).fetchall() == []


def test_what_waits_for_a_subscription_stays_and_so_does_its_event(
    marketplace: Marketplace, connection: Connection
) -> None:
    register(connection, {name: settings() for name in ("fast", "slow")})
    account = sandbox_account(marketplace)
    an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    for order_state, line_state in ((3, 2), (9, 3)):
        marketplace.pass_time(minutes=1)
        marketplace.set_states(1, order_state, line_state)
        sync(account, "modified")
    connection.execute("UPDATE order_events SET applied_at = now()")
    connection.execute(
        "UPDATE event_deliveries SET ended_at = now(), outcome = 'delivered' WHERE subscription = 'fast'"
    )
    age(connection, 800)
    connection.execute("UPDATE event_deliveries SET ended_at = ended_at - interval '800 days'")
    pruned = prune_rows(connection, **DAYS)
    assert (pruned.order_events, pruned.event_deliveries) == (0, 5)
    connection.execute("UPDATE event_deliveries SET ended_at = now(), outcome = 'delivered'")
    pruned = prune_rows(connection, **DAYS)
    assert (pruned.order_events, pruned.event_deliveries) == (2, 0)
    connection.execute(
        "INSERT INTO event_deliveries (subscription, event_id, account, order_id) VALUES ('gone', 1, 'a', '1')"
    )
    assert prune_rows(connection, **DAYS).event_deliveries == 1, "nobody gets it any more"


def test_an_old_event_of_a_document_or_a_lock_goes_whatever_came_later(connection: Connection) -> None:
    register(connection, {"erp": settings(kinds=["StockShort"])})
    store_order(connection, StoredOrder("1", [StoredItem("1")]))
    import_levels(StockConnection(connection), {"PHONE": 0})
    apply_pending(StockConnection(connection))
    connection.execute("UPDATE event_deliveries SET ended_at = now() - interval '800 days', outcome = 'delivered'")
    age(connection, 800)
    assert prune_rows(connection, **DAYS).order_events == 1
    assert connection.execute("SELECT kind FROM order_events").fetchall() == [("OrderCreated",)]
