"""What fails because of one row stops no other; what concerns the database fails the whole attempt, and counts for none."""

import random
import re
import string
from typing import LiteralString

import psycopg
import pytest

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection, connect
from orders_sync.stock.apply_events import apply_pending, lock_orders, pending_events
from orders_sync.stock.connection import MAX_ATTEMPTS, StockConnection
from orders_sync.stock.data_faults import is_data_fault
from orders_sync.stock.levels import import_levels
from orders_sync.stock.queries import failed_events
from orders_sync.stock.wrong_locks import repair
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order

LOCKED = "SELECT order_id FROM stock_locks WHERE state = 'locked'"


@pytest.fixture
def stock(connection: Connection) -> StockConnection:
    """Two orders. The SKU of the first is too long for an index of PostgreSQL, in a form that can't be compressed."""
    long_sku = "".join(random.Random(1).choices(string.ascii_uppercase + string.digits, k=9_000))
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 5})
    store_order(connection, StoredOrder("1", [StoredItem("100", sku=long_sku)]))
    store_order(connection, StoredOrder("2", [StoredItem("200")]))
    return stock


def test_a_limit_of_postgresql_fails_one_event_and_no_other(
    stock: StockConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """psycopg calls it an OperationalError, as it calls a lost connection: no event of any account was applied."""
    result = apply_pending(stock)
    assert (result.events, result.failed) == (1, 1)
    assert stock.execute(LOCKED).fetchall() == [("2",)]
    for _ in range(MAX_ATTEMPTS - 1):
        assert caplog.messages == []
        apply_pending(stock)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "shop: event 1 of order 1 is given up after 5 attempts: ProgramLimitExceeded." in caplog.messages[0]
    assert [(event.order_id, event.problem) for event in failed_events(stock)] == [("1", "ProgramLimitExceeded")]
    assert pending_events(stock) == 0, "the sensor requests no further run"


def test_it_stops_neither_the_acceptance_of_other_orders_nor_a_repair(stock: StockConnection) -> None:
    assert lock_orders(stock, ACCOUNT, ["1", "2"]).failed == 1
    assert stock.execute(LOCKED).fetchall() == [("2",)]
    for _ in range(MAX_ATTEMPTS):
        apply_pending(stock)
    assert repair(stock, by=By("ann@desk", "")).failed == 1


def test_a_role_without_rights_fails_the_run_and_no_event(
    stock: StockConnection, connection: Connection, database_url: str
) -> None:
    """Once it has its rights, everything is applied: nobody has to try events again."""
    connection.execute("DROP ROLE IF EXISTS stock_reader")
    connection.execute("CREATE ROLE stock_reader LOGIN")
    connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stock_reader")
    connection.execute("GRANT UPDATE ON order_events TO stock_reader")
    try:
        with (
            connect(re.sub(r"//\w+@", "//stock_reader@", database_url)) as limited,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            apply_pending(StockConnection(limited))
    finally:
        connection.execute("DROP OWNED BY stock_reader")
        connection.execute("DROP ROLE stock_reader")
    assert failed_events(stock) == []
    assert apply_pending(stock).events == 1


@pytest.mark.parametrize(
    ("statement", "is_fault"),
    [
        ("SELECT 1 / 0", True), ("SELECT 'x'::int", True), ("SELECT (SELECT generate_series(1, 2))", True),
        ("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$", True), ("SELECT * FROM nowhere", False),
        ("SELECT pg_terminate_backend(pg_backend_pid())", False),
        ("SET statement_timeout = 1; SELECT pg_sleep(1)", False),
    ],
)  # fmt: skip
def test_what_postgresql_says_decides(database_url: str, statement: LiteralString, is_fault: bool) -> None:
    with connect(database_url) as own, pytest.raises(psycopg.Error) as error:
        own.execute(statement)
    assert is_data_fault(error.value) is is_fault


def test_what_is_raised_on_our_side() -> None:
    assert is_data_fault(KeyError("PHONE"))
    assert is_data_fault(TypeError())
    assert is_data_fault(psycopg.DataError("PostgreSQL text fields cannot contain NUL"))
    assert not is_data_fault(psycopg.OperationalError("the connection is lost"))
    assert not is_data_fault(psycopg.InterfaceError("the connection is closed"))
    assert not is_data_fault(MemoryError())
    assert not is_data_fault(OSError(28, "no space left on device"))
