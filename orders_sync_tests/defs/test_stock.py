"""The stock job and the forms keep stock_available at the numbers of now."""

import dagster as dg

from orders_sync.acts.manual_acts import Selection, stored_acts
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.defs.stock.correction_jobs import adjust_stock, put_away_stock, receive_stock, settle_held
from orders_sync.defs.stock.jobs import apply_order_events
from orders_sync.defs.stock.sensors import order_events_sensor
from orders_sync.stock.apply_events import apply_pending, lock_orders
from orders_sync.stock.by_hand import By, adjust
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.received import receipts
from orders_sync_tests.stock.stored_orders import (
    ACCOUNT,
    StoredItem,
    StoredOrder,
    at,
    store_care_record,
    store_label,
    store_order,
)


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


def test_a_form_and_a_run_started_by_hand_are_acts_of_the_person_who_is_the_tag_user(
    definitions: dg.Definitions, connection: Connection
) -> None:
    config = {"ops": {"adjust_stock_level": {"config": {"sku": "PHONE", "pieces": 5, "reason": "found"}}}}
    job = definitions.resolve_job_def(adjust_stock.name)
    first = job.execute_in_process(run_config=config, tags={"user": "ann@shop.example"})
    second = job.execute_in_process(run_config=config)
    stock_job = definitions.resolve_job_def(apply_order_events.name)
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    third = stock_job.execute_in_process()
    assert stock_job.execute_in_process().success, "nothing is pending: no act"
    store_order(connection, StoredOrder("2", [StoredItem("200")]))
    assert stock_job.execute_in_process(tags={"dagster/sensor_name": "order_events_sensor"}).success
    assert [(act.actor, act.via, act.act, act.reason, act.run_id) for act in stored_acts(connection, Selection())] == [
        ("ann@shop.example", "Dagster job adjust_stock", "adjust_stock", "found", first.run_id),
        (f"Dagster run {second.run_id[:8]}", "Dagster job adjust_stock", "adjust_stock", "found", second.run_id),
        (f"Dagster run {third.run_id[:8]}", "Dagster job apply_order_events", "apply_events", None, third.run_id),
    ]


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


def test_pieces_of_a_care_record_are_received_and_put_away_by_forms(
    definitions: dg.Definitions, connection: Connection
) -> None:
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 5}, counted_at=at(0))
    store_order(connection, StoredOrder("1", [StoredItem("100", quantity=2, status="shipped")], shipped_at=at(10)))
    apply_pending(stock)
    store_care_record(connection, "900", 2)

    def run(job: dg.JobDefinition, op: str, **config: object) -> bool:
        run_config = {"ops": {op: {"config": {"reason": "opened", **config}}}}
        resolved = definitions.resolve_job_def(job.name)
        return resolved.execute_in_process(run_config=run_config, raise_on_error=False).success

    assert run(receive_stock, "receive_pieces", care_id="shop/900")
    assert not run(receive_stock, "receive_pieces", care_id="900"), "all were received"
    assert stored(connection) == {("PHONE", 3)}
    (receipt,) = receipts(stock)
    assert receipt.made_by.startswith("Dagster run ")
    assert not run(put_away_stock, "put_away_pieces", receipt=receipt.number, pieces=1)
    assert run(put_away_stock, "put_away_pieces", receipt=receipt.number, pieces=1, same_sku=True)
    assert not run(put_away_stock, "put_away_pieces", receipt=receipt.number, sku="PHONE", scrap=True)
    assert run(put_away_stock, "put_away_pieces", receipt=receipt.number, scrap=True)
    assert stored(connection) == {("PHONE", 4)}
    assert receipts(stock) == []


def test_held_pieces_are_checked_and_settled_by_a_form(definitions: dg.Definitions, connection: Connection) -> None:
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 5}, counted_at=at(0))
    store_order(connection, StoredOrder("1", [StoredItem("100", quantity=2)]))
    apply_pending(stock)
    store_label(connection, "1")
    store_order(connection, StoredOrder("1", [StoredItem("100", quantity=2, status="cancelled")], status="cancelled"))

    def check() -> dg.AssetCheckEvaluation:
        done = definitions.resolve_job_def(apply_order_events.name).execute_in_process()
        return next(each for each in done.get_asset_check_evaluations() if each.check_name == "nothing_is_held")

    def settle(**config: object) -> bool:
        values = {"account": ACCOUNT, "item_id": "100", "reason": "looked", **config}
        run_config = {"ops": {"settle_held_pieces": {"config": values}}}
        resolved = definitions.resolve_job_def(settle_held.name)
        return resolved.execute_in_process(run_config=run_config, raise_on_error=False).success

    found = check()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    shown = str(found.metadata["first rows"])
    assert all(each in shown for each in ("PHONE", "100", "orders-sync stock held still-here"))
    assert stored(connection) == {("PHONE", 3)}
    assert not settle(found="STILL_HERE", pieces=1, left_at="2026-03-01T09:00"), "left_at belongs to HAS_LEFT"
    assert settle(found="STILL_HERE", pieces=1)
    assert stored(connection) == {("PHONE", 4)}
    assert not settle(found="HAS_LEFT", left_at="yesterday")
    assert settle(found="HAS_LEFT", left_at="2026-03-01T09:00")
    assert stored(connection) == {("PHONE", 4)}
    assert check().passed
