"""Asset checks that are a query: the rows it finds break the rule, and are shown."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.database.engine import connect
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.liveness import alive

ROWS_SHOWN = 25


def rows_check(
    asset: str, name: str, query: str, severity: dg.AssetCheckSeverity, description: str
) -> dg.AssetChecksDefinition:
    """A check of `asset` that passes when `query` finds nothing; else it shows the first rows and their number.

    The query names ids and states only, never buyers' data: Dagster keeps what is shown.
    """

    @dg.asset_check(asset=asset, name=name, description=description)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with alive(context.run.run_id):
            return run_rows_check(query, severity)

    return check


def run_rows_check(query: str, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    """Runs the query of a check on a connection of its own."""
    upgrade_schema()
    with connect(application="orders_sync check") as connection:
        cursor = connection.execute(query)  # pyright: ignore[reportArgumentType,reportCallIssue]
        names = [column.name for column in cursor.description or []]
        rows = cursor.fetchall()
    return rows_check_result(names, rows, severity)


def rows_check_result(
    names: list[str], rows: Sequence[tuple[Any, ...]], severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    """The result of a check that passes when there are no `rows`; `names` are those of their columns."""
    metadata: dict[str, Any] = {"rows": len(rows)}
    if rows:
        metadata["first rows"] = dg.MetadataValue.md(as_markdown_table(names, rows[:ROWS_SHOWN]))
    return dg.AssetCheckResult(passed=not rows, severity=severity, metadata=metadata)
