"""Asset checks that are a query: the rows it finds break the rule, and are shown."""

from typing import Any

import dagster as dg

from orders_sync.components.liveness import alive
from orders_sync.database.engine import connect
from orders_sync.database.migrate import migrate

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
    """Runs the query of a check."""
    migrate()
    with connect(application="orders_sync check") as connection:
        cursor = connection.execute(query)  # pyright: ignore[reportArgumentType,reportCallIssue]
        names = [column.name for column in cursor.description or []]
        rows = cursor.fetchall()
    metadata: dict[str, Any] = {"rows": len(rows)}
    if rows:
        metadata["first rows"] = dg.MetadataValue.md(_table(names, rows[:ROWS_SHOWN]))
    return dg.AssetCheckResult(passed=not rows, severity=severity, metadata=metadata)


def _table(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")[:200]
