"""When the database fails in the middle of a pass: one line says so, nothing is half stored, the next pass mends it."""

import re
import threading

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.row_faults import BREAK_CONNECTION, fault_at_row


@pytest.mark.parametrize("table", ["orders", "order_items", "order_events"])
def test_a_connection_that_is_cut_in_the_middle_of_a_batch(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, table: str
) -> None:
    for number in range(1, 401):
        an_order(marketplace, number)
    with fault_at_row(connection, table, 300, BREAK_CONNECTION), pytest.raises(PassFailedError) as problem:
        sync(account)
    assert "\n" not in str(problem.value)
    assert "The session at the orders database was ended, or its server was stopped" in str(problem.value)
    stored = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert stored is not None
    assert 0 < stored[0] < 300
    check_invariants(connection)
    sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (400,)
    check_invariants(connection)


def test_two_lanes_that_store_the_same_orders_at_once(connection: Connection) -> None:
    """`new` and `modified` may both see an order first: it is created once."""
    with Marketplace() as marketplace:
        for number in range(1, 1_501):
            an_order(marketplace, number)
        account = sandbox_account(marketplace)
        summaries: list[PassSummary] = []
        lanes = [
            threading.Thread(target=lambda kind=kind: summaries.append(sync(account, kind)))
            for kind in ("new", "modified")
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    assert sum(summary.created for summary in summaries) == 1_500
    assert sum(summary.events for summary in summaries) == 1_500
    check_invariants(connection)


def test_a_role_that_may_not_write_fails_the_pass_with_a_reason(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    an_order(marketplace, 1)
    connection.execute("DROP ROLE IF EXISTS reader_only")
    connection.execute("CREATE ROLE reader_only LOGIN")
    connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_only")
    connection.execute(
        "GRANT INSERT, UPDATE, DELETE ON lanes, lane_runs, rate_limits, refused_credentials TO reader_only"
    )
    try:
        monkeypatch.setenv("ORDERS_DATABASE_URL", re.sub(r"//\w+@", "//reader_only@", database_url))
        with pytest.raises(PassFailedError, match=r"permission denied for table orders \(SQLSTATE 42501\)"):
            sync(account)
    finally:
        connection.execute("DROP OWNED BY reader_only")
        connection.execute("DROP ROLE reader_only")


def test_a_value_that_postgresql_quotes_in_its_error_is_left_out(connection: Connection) -> None:
    """PostgreSQL's DETAIL and CONTEXT quote rows: buyers' data must not come out that way."""
    import psycopg

    from orders_sync.passes.run_pass import one_line_error

    with connect() as own, pytest.raises(psycopg.Error) as error:
        own.execute("INSERT INTO orders (account, order_id, shipping_last_name) VALUES ('a', '1', 'Qplanted')")
    assert "Qplanted" in str(error.value)
    assert "Qplanted" not in one_line_error(error.value)
