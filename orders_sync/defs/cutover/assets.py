"""The cutover from V1 to V2: the phase, the daily comparison, and whether V2 is ready for the authority."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from orders_sync.config.schedules import load_schedules
from orders_sync.config.v1 import CutoverSettings, load_cutover_settings
from orders_sync.cutover.phases import MEANING
from orders_sync.cutover.readiness import accounts_of, checks_to_live, days_still_needed
from orders_sync.dagster_instance.cutover_assets import PHASES, comparison_key
from orders_sync.dagster_instance.lane_assets import days
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.dagster_support.metadata import plot, rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.table_assets import column_schema
from orders_sync.database import tables
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import current_authority

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
    PHASES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table", "postgres"},
    description=(
        "Whether V1 or V2 has the authority over each account of V1. `orders-sync cutover begin`, `advance` and `back` "
        "move it, or the jobs `cutover_begin`, `cutover_advance` and `cutover_back`; each move is an event here.\n\n"
        + "\n".join(f"* `{phase}`: {meaning}" for phase, meaning in MEANING.items())
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.cutover.migration_moves),
        "dagster/table_name": "migration_moves",
    },
)


def _comparison_of(account: str) -> dg.AssetsDefinition:
    """The asset of an account's cutover."""
    key = comparison_key(account)

    @dg.asset(
        key=key,
        deps=["orders", "order_items", "stock_locks", migration_phase],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"pandas", "postgres"},
        partitions_def=days(load_schedules()),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="migration",
        description=(
            f"The cutover of {account}: its phase, and V1 compared with V2, for the orders that either touched on a "
            "day, those that differed before, and those of an earlier day: orders that only one of them has, fields, "
            "documents, care cases and stock locks that differ, and who is right, as the marketplace says; which of "
            "them saw an order first, and the API calls of both. The jobs `cutover_begin`, `cutover_advance` and "
            "`cutover_back` move it. `orders-sync cutover differences --csv FILE` writes all differences to a file."
        ),
        metadata={
            "dagster/column_schema": column_schema(tables.cutover.migration_comparisons),
            "dagster/table_name": "migration_comparisons",
        },
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, description=f"Whether V1 can be switched off: {what}.")
            for name, what in CHECKS.items()
        ],
    )
    def v1_v2_comparison(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> Any:
        """Compares each day of the range. Raises CutoverError where V1 can't be read."""
        from orders_sync.cutover.comparison import STATEMENT_SECONDS, compare_day
        from orders_sync.cutover.v1_database import V1Database

        settings = load_cutover_settings()
        window = context.partition_time_window
        verdicts: list[tuple[Any, ...]] = []
        with orders_database.connect("comparison") as connection, V1Database(settings, STATEMENT_SECONDS) as v1:
            for day in _days(window.start, window.end):
                made = compare_day(connection, v1, settings, account, day, by=by_hand(context.run, context.instance))
                verdicts.append((day, f"{made.agreement:.2f} %", f"{made.correct:.2f} %", made.verdict))
                context.log.info(f"{account} {day}: {made.verdict}")
            metadata = _metadata(connection, settings, account)
            checks = {check.name: check for check in checks_to_live(connection, settings, [account])}
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "verdicts": rows_table(["day", "agreement", "agree or V2 right", "verdict"], verdicts),
                **metadata,
            },
        )
        for name, what in CHECKS.items():
            check = checks[what]
            yield dg.AssetCheckResult(
                passed=check.passed, check_name=name, asset_key=key, severity=dg.AssetCheckSeverity.WARN,
                metadata={"result": check.what},
            )  # fmt: skip

    return v1_v2_comparison


comparisons = [_comparison_of(account) for account in accounts_of(load_cutover_settings())]


def _days(start: datetime, end: datetime) -> list[date]:
    return [start.date() + timedelta(days=n) for n in range(max(1, (end - start).days))]


def _metadata(connection: Connection, settings: CutoverSettings, account: str) -> dict[str, Any]:
    import pandas as pd

    from orders_sync.reports.plots import agreement_plot

    cursor = connection.execute(
        "SELECT DISTINCT ON (day) account, day, agreement, correct, v2_later_seconds, calls_v1, calls_v2, only_in_v1, "
        "only_in_v2, differing, locks_differing FROM migration_comparisons WHERE account = %s "
        "ORDER BY day DESC, comparison_id DESC LIMIT 100",
        [account],
    )
    names = [column.name for column in cursor.description or []]
    compared = pd.DataFrame(cursor.fetchall(), columns=names)
    differences = connection.execute(
        "SELECT order_id, item_id, kind, field, v1, v2, right_side FROM migration_differences "
        "WHERE NOT in_flight AND comparison_id = (SELECT max(comparison_id) FROM migration_comparisons "
        "WHERE account = %s) ORDER BY order_id, item_id, field LIMIT %s",
        [account, SHOWN],
    ).fetchall()
    of_account = current_authority(connection).of(account)
    metadata: dict[str, Any] = {
        "phase": of_account.phase.value,
        "days_still_needed": days_still_needed(connection, settings, [account], datetime.now(UTC).date()),
    }
    if of_account.since is not None:
        metadata["phase since"] = dg.MetadataValue.timestamp(of_account.since)
    if not compared.empty:
        latest = compared.iloc[0]
        metadata |= {
            "agreement": float(latest["agreement"]),
            "agree or V2 right": float(latest["correct"]),
            "calls_v2": int(latest["calls_v2"]),
            "locks_differing": int(latest["locks_differing"]),
            "plot": plot("agreement and lag by day", agreement_plot(compared, settings.readiness.agreement)),
        }
        if pd.notna(latest["calls_v1"]):
            metadata["calls_v1"] = int(latest["calls_v1"])
    if differences:
        columns = ["order", "item", "kind", "field", "V1", "V2", "right"]
        metadata["differences"] = rows_table(columns, differences)
    return metadata
