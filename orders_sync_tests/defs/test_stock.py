"""The stock job and the forms keep stock_available at the numbers of now."""

import re
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from orders_sync.acts.manual_acts import Selection, stored_acts
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.defs.stock.correction_jobs import (
    adjust_stock,
    put_away_stock,
    receive_stock,
    retry_events,
    settle_held,
    skip_event,
)
from orders_sync.defs.stock.jobs import apply_order_events
from orders_sync.defs.stock.sensors import order_events_sensor
from orders_sync.stock.apply_events import apply_pending, lock_orders
from orders_sync.stock.by_hand import By, adjust
from orders_sync.stock.connection import MAX_ATTEMPTS, StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.queries import failed_events
from orders_sync.stock.received import receipts
from orders_sync.testing.row_faults import reject_row
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
    with dg.DagsterInstance.ephemeral() as instance:
        return isinstance(evaluated(instance), dg.RunRequest)


def evaluated(instance: dg.DagsterInstance) -> object:
    """What the sensor returns: a run request, or the reason why it requests none."""
    with dg.build_sensor_context(instance=instance, resources={"orders_database": OrdersDatabase()}) as context:
        return order_events_sensor(context)


def stored(connection: Connection) -> set[tuple[object, ...]]:
    return set(connection.execute("SELECT sku, available FROM stock_available").fetchall())


def test_a_form_stores_what_is_available_after_it(definitions: dg.Definitions, connection: Connection) -> None:
    assert not sensor_requests_a_run()
    config = {"ops": {"adjust_stock_level": {"config": {"sku": "PHONE", "pieces": 5, "reason": "found"}}}}
    assert definitions.resolve_job_def(adjust_stock.name).execute_in_process(run_config=config).success
    assert stored(connection) == {("PHONE", 5)}
    assert not sensor_requests_a_run()


@pytest.mark.parametrize(("failed_runs", "seconds"), [(1, 10), (2, 60), (3, 240), (4, 240)])
def test_the_sensor_waits_after_failed_runs(
    definitions: dg.Definitions, connection: Connection, failed_runs: int, seconds: int
) -> None:
    """The stock job fails as a whole where the database does. Nobody has to do anything once it works again."""
    job = definitions.resolve_job_def(apply_order_events.name)
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(evaluated(instance), dg.RunRequest)
        connection.execute("ALTER TABLE stock_locks RENAME TO stock_locks_away")
        for _ in range(failed_runs):
            assert not job.execute_in_process(instance=instance, raise_on_error=False).success
        connection.execute("ALTER TABLE stock_locks_away RENAME TO stock_locks")
        reason = evaluated(instance)
        assert isinstance(reason, dg.SkipReason)
        found = re.search(r"the last run failed, the next one starts at (\S+) UTC", str(reason.skip_message))
        assert found is not None, reason
        now = datetime.now(UTC)
        starts = datetime.combine(now.date(), datetime.strptime(found[1], "%H:%M:%S").time(), UTC)
        waits = (starts - now) % timedelta(days=1)
        assert seconds - 10 < waits.total_seconds() <= seconds
        assert job.execute_in_process(instance=instance).success
        store_order(connection, StoredOrder("2", [StoredItem("200")]))
        assert isinstance(evaluated(instance), dg.RunRequest)


def test_the_sensor_requests_no_run_for_an_event_that_is_given_up(connection: Connection) -> None:
    """The sensor and the job share one condition: a run that it requests finds something to do."""
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    assert sensor_requests_a_run()
    reject_row(connection, "stock_locks", "item_id", "100")
    runs = 0
    while sensor_requests_a_run():
        runs += 1
        assert runs <= MAX_ATTEMPTS
        apply_pending(StockConnection(connection))
    assert runs == MAX_ATTEMPTS


def test_failed_events_are_tried_again_and_skipped_by_forms(
    definitions: dg.Definitions, connection: Connection
) -> None:
    stock = StockConnection(connection)
    for number in (1, 2):
        store_order(connection, StoredOrder(str(number), [StoredItem(f"{number}00")]))
    reject_row(connection, "stock_locks", "sku", "PHONE")
    for _ in range(MAX_ATTEMPTS):
        apply_pending(stock)
    first, second = failed_events(stock)

    def run(job: dg.JobDefinition, op: str, **config: object) -> bool:
        run_config = {"ops": {op: {"config": {"reason": "no such phone", **config}}}}
        resolved = definitions.resolve_job_def(job.name)
        return resolved.execute_in_process(run_config=run_config, raise_on_error=False).success

    assert run(skip_event, "skip_failed_event", event_id=first.event_id)
    assert not run(skip_event, "skip_failed_event", event_id=first.event_id), "it is applied"
    assert not run(retry_events, "retry_failed_events", event_id=first.event_id)
    assert not run(retry_events, "retry_failed_events", reason=" "), "a reason is required"
    connection.execute("DROP TRIGGER reject ON stock_locks")
    assert not sensor_requests_a_run()
    assert run(retry_events, "retry_failed_events")
    assert sensor_requests_a_run()
    assert apply_pending(stock).events == 1
    assert [(act.act, act.object, act.reason) for act in stored_acts(connection, Selection())] == [
        ("skip_event", f"event {first.event_id}", "no such phone"),
        ("retry_events", f"event {second.event_id}", "no such phone"),
    ]


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


def test_the_form_that_receives_pieces_says_what_became_of_locks(
    definitions: dg.Definitions, connection: Connection
) -> None:
    """The shipment is stored, and the stock job has yet to look at it."""
    import_levels(StockConnection(connection), {"PHONE": 5}, counted_at=at(0))
    store_order(connection, StoredOrder("1", [StoredItem("100", status="shipped")], shipped_at=at(10)))
    store_care_record(connection, "900", 1)
    run = definitions.resolve_job_def(receive_stock.name).execute_in_process(
        run_config={"ops": {"receive_pieces": {"config": {"reason": "opened", "care_id": "900"}}}}
    )
    metadata = run.get_asset_observation_events()[0].asset_observation_data.asset_observation.metadata
    assert metadata["transitions_to_consumed"].value == 1


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
