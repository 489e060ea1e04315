"""The resource `orders_database`: schema, proof of life and log of a run; schema only in a tick."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import dagster as dg
import pytest

from orders_sync.dagster_support import orders_database
from orders_sync.dagster_support.orders_database import OrdersDatabase, check_schema_now_and_then
from orders_sync.database.engine import Connection, connect
from orders_sync.database.schema import SchemaError
from orders_sync.lanes.liveness import is_alive
from orders_sync.testing.databases import a_database

RESOURCES = {"orders_database": OrdersDatabase()}
APPLICATION = "SELECT current_setting('application_name')"


@pytest.fixture
def empty_database(template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a database without any table; the code under test uses it."""
    with a_database(template, f"t_{uuid.uuid4().hex[:16]}") as url:
        monkeypatch.setenv("ORDERS_DATABASE_URL", url)
        yield url


def value(connection: Connection, query: LiteralString) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_a_run_is_alive_until_its_end_and_its_connections_bear_its_id(connection: Connection) -> None:
    alive_in: list[bool] = []
    applications: list[object] = []

    @dg.asset
    def first(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> None:
        with orders_database.connect("a purpose") as own:
            alive_in.append(is_alive(own, context.run.run_id))
            applications.append(value(own, APPLICATION))

    @dg.asset(deps=[first])
    def second(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> None:
        with orders_database.connect_to_stock("stock") as stock:
            alive_in.append(is_alive(stock.connection, context.run.run_id))
            applications.append(value(stock.connection, APPLICATION))

    result = dg.materialize([first, second], resources=RESOURCES)
    assert alive_in == [True, True]
    assert applications == [f"orders_sync a purpose {result.run_id}", f"orders_sync stock {result.run_id}"]
    assert not is_alive(connection, result.run_id)


def test_a_run_that_fails_is_not_alive_afterwards(connection: Connection) -> None:
    @dg.asset
    def failing(orders_database: OrdersDatabase) -> None:
        raise dg.Failure("on purpose")

    result = dg.materialize([failing], resources=RESOURCES, raise_on_error=False)
    assert not result.success
    assert not is_alive(connection, result.run_id)


def test_a_run_on_a_server_of_ones_own_without_tables_fails_with_the_command_to_run(empty_database: str) -> None:
    """No run upgrades such a server: another checkout may work with it."""

    @dg.asset
    def reading(orders_database: OrdersDatabase) -> None:
        orders_database.connect("a test")

    with pytest.raises(dg.DagsterError) as failure:
        dg.materialize([reading], resources=RESOURCES)
    assert "Run `orders-sync db upgrade`" in str(failure.value.__cause__)


def test_a_run_logs_to_the_sync_log_until_its_end(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path))
    log = logging.getLogger("orders_sync.sync")

    @dg.asset
    def logging_asset(orders_database: OrdersDatabase) -> None:
        log.warning("a line of the run")

    assert dg.materialize([logging_asset], resources=RESOURCES).success
    log.warning("a line after the run")
    lines = (tmp_path / "logs" / "sync.log").read_text().splitlines()
    assert [line.partition("OrderSync ")[2] for line in lines] == ["a line of the run"]


def test_a_database_that_does_not_answer_fails_the_run_with_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/orders")
    executed: list[str] = []

    @dg.asset
    def never(orders_database: OrdersDatabase) -> None:
        executed.append("never")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([never], resources=RESOURCES, raise_on_error=False, instance=instance)
        shown = [event.dagster_event for event in instance.all_logs(result.run_id) if event.dagster_event]
    failures = [str(event.event_specific_data) for event in shown if event.is_failure]
    assert not result.success
    assert executed == []
    assert any("The orders database postgresql://someone@127.0.0.1:1/orders does not answer" in f for f in failures)
    assert not any("secret" in failure for failure in failures)


def test_a_tick_shows_no_life(database_url: str) -> None:
    @dg.sensor(job_name="a_job")
    def sensor(orders_database: OrdersDatabase) -> dg.SkipReason:
        with orders_database.connect("sensor") as own:
            held = value(
                own,
                "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database WHERE datname = current_database() AND locktype = 'advisory'",
            )
            return dg.SkipReason(f"{value(own, APPLICATION)}, {held}")

    with dg.build_sensor_context(resources=RESOURCES) as context:
        skipped = sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "orders_sync sensor, 0"


def test_a_process_looks_at_the_schema_once_in_a_while(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_schema_now_and_then()
    with connect(database_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS shadow CASCADE; CREATE SCHEMA public")
    check_schema_now_and_then()
    monkeypatch.setattr(orders_database, "SCHEMA_CHECK_SECONDS", 0.0)
    with pytest.raises(SchemaError, match="has no tables yet"):
        check_schema_now_and_then()
