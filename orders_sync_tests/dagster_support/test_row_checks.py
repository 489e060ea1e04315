"""Checks that are a query: passed when it finds nothing, else the rows are shown."""

import dagster as dg
import pytest

from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.row_checks import ROWS_SHOWN, rows_check, run_rows_check
from orders_sync.database.engine import Connection

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
NUMBERS = "SELECT n AS number, 'a|b' AS text FROM generate_series(1, {}) n"


def test_a_query_that_finds_nothing_passes(connection: Connection) -> None:
    result = run_rows_check(connection, NUMBERS.format(0), ERROR)
    assert result.passed
    assert result.metadata["rows"].value == 0
    assert "first rows" not in result.metadata


@pytest.mark.parametrize("severity", [WARN, ERROR])
def test_rows_fail_it_are_counted_and_the_first_are_shown(
    connection: Connection, severity: dg.AssetCheckSeverity
) -> None:
    result = run_rows_check(connection, NUMBERS.format(ROWS_SHOWN + 5), severity)
    assert not result.passed
    assert result.severity == severity
    assert result.metadata["rows"].value == ROWS_SHOWN + 5
    shown = result.metadata["first rows"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert [record.data for record in shown.records] == [
        {"number": number, "text": "a|b"} for number in range(1, ROWS_SHOWN + 1)
    ]


def test_dagster_runs_it_as_a_check_of_its_asset(connection: Connection) -> None:
    @dg.asset
    def orders() -> None: ...

    check = rows_check("orders", "nobody_orders", "SELECT order_id FROM orders", WARN, "Nobody orders.")
    result = dg.materialize(
        [orders, check], selection=dg.AssetSelection.all(), resources={"orders_database": OrdersDatabase()}
    )
    evaluations = [(e.check_name, e.passed) for e in result.get_asset_check_evaluations()]
    assert evaluations == [("nobody_orders", True)]
