"""The cutover from V1 to V2: the phase, the daily comparison, and whether V2 is ready for the authority."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from orders_sync.config.schedules import load_schedules
from orders_sync.config.v1 import CutoverError, CutoverSettings, load_cutover_settings
from orders_sync.cutover.phases import MEANING
from orders_sync.cutover.readiness import checks_to_live, days_still_needed
from orders_sync.dagster_instance.lane_assets import days
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.dagster_support.metadata import plot, rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.table_assets import column_schema
from orders_sync.database import tables
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import current_phase

GROUP = "cutover"
OWNERS = ["team:orders"]
SHOWN = 25
CHECKS = {
    "phase_has_lasted": "phase",
    "days_compared": "days compared",
    "agreement": "agreement",
    "nothing_missing_in_v2": "nothing missing",
    "no_lock_differs": "locks",
    "stock_levels_agree": "stock levels",
    "v1_clock_is_right": "V1's clock",
    "within_api_budget": "API budget",
    "lanes_are_fresh": "lanes",
    "v1_is_readable": "V1",
    "accounts_are_known": "accounts",
    "stock_list_fits": "stock list",
    "credentials_work": "credentials",
    "alerts_reach_somebody": "alerts",
}
"""The names of the readiness checks in Dagster, and in the module cutover.readiness."""

migration_phase = dg.AssetSpec(
    "migration_phase",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table", "postgres"},
    description=(
        "Whether V1 or V2 has the authority. `orders-sync cutover begin`, `advance` and `back` move it; each move is "
        "an event here.\n\n" + "\n".join(f"* `{phase}`: {meaning}" for phase, meaning in MEANING.items())
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.cutover.migration_moves),
        "dagster/table_name": "migration_moves",
    },
)


@dg.asset(
    deps=["orders", "order_items", "stock_locks", migration_phase],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"pandas", "postgres"},
    partitions_def=days(load_schedules()),
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="migration",
    description=(
        "Compares V1 and V2 for the orders that either touched on a day, those that differed before, and those of an "
        "earlier day: orders that only one of them has, fields, documents, care cases and stock locks that differ, and "
        "who is right, as the marketplace says; which of them saw an order first, and the API calls of both. "
        "`orders-sync cutover differences --csv FILE` writes all differences to a file."
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.cutover.migration_comparisons),
        "dagster/table_name": "migration_comparisons",
    },
    check_specs=[
        dg.AssetCheckSpec(name, asset="v1_v2_comparison", description=f"Whether V1 can be switched off: {what}.")
        for name, what in CHECKS.items()
    ],
)
def v1_v2_comparison(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> Any:
    """Compares each day of the range for each account of V1. Raises CutoverError where V1 can't be read."""
    from orders_sync.cutover.comparison import STATEMENT_SECONDS, compare_day
    from orders_sync.cutover.v1_database import V1Database

    settings = load_cutover_settings()
    window = context.partition_time_window
    verdicts: list[tuple[Any, ...]] = []
    problems: list[str] = []
    with orders_database.connect("comparison") as connection, V1Database(settings, STATEMENT_SECONDS) as v1:
        for account in sorted(set(settings.marketplaces.values())):
            for day in _days(window.start, window.end):
                try:
                    made = compare_day(
                        connection, v1, settings, account, day, by=by_hand(context.run, context.instance)
                    )
                except CutoverError as problem:  # the other accounts are compared all the same
                    problems.append(f"{account} {day}: {problem}")
                    continue
                verdicts.append((account, day, f"{made.agreement:.2f} %", f"{made.correct:.2f} %", made.verdict))
                context.log.info(f"{account} {day}: {made.verdict}")
        metadata = _metadata(connection, settings)
        checks = {check.name: check for check in checks_to_live(connection, settings)}
    if problems:
        raise CutoverError("\n".join(problems))
    yield dg.MaterializeResult(
        metadata={
            "verdicts": rows_table(["account", "day", "agreement", "agree or V2 right", "verdict"], verdicts),
            **metadata,
        }
    )
    for name, what in CHECKS.items():
        check = checks[what]
        yield dg.AssetCheckResult(
            passed=check.passed, check_name=name, asset_key="v1_v2_comparison", severity=dg.AssetCheckSeverity.WARN,
            metadata={"result": check.what},
        )  # fmt: skip


def _days(start: datetime, end: datetime) -> list[date]:
    return [start.date() + timedelta(days=n) for n in range(max(1, (end - start).days))]


def _metadata(connection: Connection, settings: CutoverSettings) -> dict[str, Any]:
    import pandas as pd

    from orders_sync.reports.plots import agreement_plot

    needed = days_still_needed(connection, settings, datetime.now(UTC).date())
    cursor = connection.execute(
        "SELECT DISTINCT ON (day, account) account, day, agreement, v2_later_seconds, calls_v1, calls_v2, only_in_v1, "
        "only_in_v2, differing, locks_differing FROM migration_comparisons "
        "ORDER BY day DESC, account, comparison_id DESC LIMIT 200"
    )
    names = [column.name for column in cursor.description or []]
    comparisons = pd.DataFrame(cursor.fetchall(), columns=names)
    differences = connection.execute(
        "SELECT account, order_id, item_id, kind, field, v1, v2, right_side FROM migration_differences "
        "WHERE NOT in_flight AND comparison_id IN (SELECT max(comparison_id) FROM migration_comparisons "
        "GROUP BY account) ORDER BY account, order_id, item_id, field LIMIT %s",
        [SHOWN],
    ).fetchall()
    phase = current_phase(connection)
    metadata: dict[str, Any] = {"phase": phase.value, "days_still_needed": needed}
    if not comparisons.empty:
        latest = comparisons[comparisons["day"] == comparisons["day"].max()]
        metadata |= {
            "agreement": float(latest["agreement"].min()),
            "calls_v2": int(latest["calls_v2"].sum()),
            "locks_differing": int(latest["locks_differing"].sum()),
            "plot": plot("agreement and lag by day", agreement_plot(comparisons, settings.readiness.agreement)),
        }
        if latest["calls_v1"].notna().any():
            metadata["calls_v1"] = int(latest["calls_v1"].fillna(0).sum())
    if differences:
        columns = ["account", "order", "item", "kind", "field", "V1", "V2", "right"]
        metadata["differences"] = rows_table(columns, differences)
    return metadata
