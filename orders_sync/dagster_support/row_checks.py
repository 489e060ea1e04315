"""Asset checks that are a query: the rows that the query finds break the rule, and the UI shows them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection

ROWS_SHOWN = 25


def rows_check(
    asset: str, name: str, query: str, severity: dg.AssetCheckSeverity, description: str, *, page: str | None = None
) -> dg.AssetChecksDefinition:
    """A check of `asset` that passes when `query` finds no row. Else it shows their number and the first ROWS_SHOWN.

    `page`: the path of the operator's page that shows all of them, and what can be done.
    The query must select ids and states only, never buyers' data: Dagster stores what it shows.
    """

    @dg.asset_check(asset=asset, name=name, description=description)
    def check(orders_database: OrdersDatabase) -> dg.AssetCheckResult:
        with orders_database.connect("check") as connection:
            result = run_rows_check(connection, query, severity)
        return result if page is None else with_link(result, page)

    return check


def with_link(result: dg.AssetCheckResult, page: str) -> dg.AssetCheckResult:
    """The result of a check with a link to the operator's page about it."""
    return result._replace(metadata={**result.metadata, "all of them": dg.MetadataValue.url(page)})


def run_rows_check(connection: Connection, query: str, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    """Runs the query of a check."""
    cursor = connection.execute(query)  # pyright: ignore[reportArgumentType,reportCallIssue]
    names = [column.name for column in cursor.description or []]
    return rows_check_result(names, cursor.fetchall(), severity)


def rows_check_result(
    names: list[str], rows: Sequence[tuple[Any, ...]], severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    """The result of a check that passes when there are no `rows`; `names` are those of their columns."""
    metadata: dict[str, Any] = {"rows": len(rows)}
    if rows:
        metadata["first rows"] = rows_table(names, rows[:ROWS_SHOWN])
    return dg.AssetCheckResult(passed=not rows, severity=severity, metadata=metadata)


def check_name(examination: str) -> str:
    """The name of the check of the asset `doctor` that stands for an examination (`health.examinations`)."""
    return examination.replace(" ", "_")
