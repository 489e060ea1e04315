"""The stock job and the forms keep stock_available at the numbers of now."""

import dagster as dg

from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.defs.stock.correction_jobs import adjust_stock
from orders_sync.defs.stock.jobs import apply_order_events
from orders_sync.defs.stock.sensors import order_events_sensor
from orders_sync.stock.apply_events import lock_orders
from orders_sync.stock.by_hand import By, adjust
from orders_sync.stock.connection import StockConnection
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order


def sensor_requests_a_run() -> bool:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources={"orders_database": OrdersDatabase()}) as context,
    ):
        return isinstance(order_events_sensor(context), dg.RunRequest)


def stored(connection: Connection) -> set[tuple[object, ...]]:
    return set(connection.execute("SELECT sku, available FROM stock_available").fetchall())


def test_a_form_stores_what_is_available_after_it(definitions: dg.Definitions, connection: Connection) -> None:
    assert not sensor_requests_a_run()
    config = {"ops": {"adjust_stock_level": {"config": {"sku": "PHONE", "pieces": 5, "reason": "found"}}}}
    assert definitions.resolve_job_def(adjust_stock.name).execute_in_process(run_config=config).success
    assert stored(connection) == {("PHONE", 5)}
    assert not sensor_requests_a_run()


def test_the_sensor_starts_the_stock_job_after_a_change_that_stored_no_numbers(
    definitions: dg.Definitions, connection: Connection
) -> None:
    """An acceptance applies the events of its orders itself: none is pending then."""
    stock = StockConnection(connection)
    adjust(stock, "PHONE", 5, By("ann@desk", "found"))
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    lock_orders(stock, ACCOUNT, ["1"])
    assert sensor_requests_a_run()
    assert definitions.resolve_job_def(apply_order_events.name).execute_in_process().success
    assert stored(connection) == {("PHONE", 4)}
    assert not sensor_requests_a_run()
