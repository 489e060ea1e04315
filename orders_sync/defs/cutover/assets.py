"""V1 beside V2: the phase, the daily comparison, and whether V2 is ready to be the truth."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from orders_sync.config.schedules import load_schedules
from orders_sync.config.v1 import load_cutover_settings
from orders_sync.cutover.phases import MEANING, moves
from orders_sync.cutover.readiness import checks_to_live, days_still_needed
from orders_sync.dagster_support.lane_assets import days
from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.dagster_support.table_assets import column_schema
from orders_sync.database import tables
from orders_sync.database.engine import Connection, connect
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.authority import Phase, current_phase
from orders_sync.lanes.liveness import alive

GROUP = "migration"
OWNERS = ["team:orders"]
SHOWN = 25
CHECKS = {
    "days_compared": "days compared",
    "agreement": "agreement",
    "nothing_missing_in_v2": "nothing missing",
    "no_lock_differs": "locks",
    "within_api_budget": "API budget",
    "lanes_are_fresh": "lanes",
    "v1_is_readable": "V1",
}
"""The checks of readiness as Dagster shows them, and what they are called in the core."""

migration_phase = dg.AssetSpec(
    "migration_phase",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table", "postgres"},
    description=(
        "Whether V1 or V2 is the truth. Moved by `orders-sync migration begin`, `advance` and `back`; each move is an "
        "event here.\n\n" + "\n".join(f"* `{phase}`: {meaning}" for phase, meaning in MEANING.items())
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.migration_moves),
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
        "V1 and V2 compared, for the orders created on a day: which only one has, which differ and in what, who saw "
        "them first, whose stock locks differ, API calls of each. `orders-sync migration differences --csv FILE` has "
        "every differing row."
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.migration_comparisons),
        "dagster/table_name": "migration_comparisons",
    },
    check_specs=[
        dg.AssetCheckSpec(name, asset="v1_v2_comparison", description=f"Readiness to switch V1 off: {what}.")
        for name, what in CHECKS.items()
    ],
)
def v1_v2_comparison(context: dg.AssetExecutionContext) -> Any:
    from orders_sync.cutover.comparison import compare_day
    from orders_sync.cutover.v1_database import V1Database

    upgrade_schema()
    settings = load_cutover_settings()
    window = context.partition_time_window
    verdicts: list[tuple[Any, ...]] = []
    with alive(context.run_id), connect(application=f"orders_sync comparison {context.run_id}") as connection:
        v1 = V1Database(settings)
        try:
            for account in sorted(set(settings.marketplaces.values())):
                for day in _days(window.start, window.end):
                    made = compare_day(connection, v1, settings, account, day)
                    verdicts.append((account, day, f"{made.agreement:.2f} %", made.verdict))
                    context.log.info(f"{account} {day}: {made.verdict}")
        finally:
            v1.close()
        metadata = _metadata(connection, settings.readiness.agreement)
        checks = {check.name: check for check in checks_to_live(connection, settings)}
    yield dg.MaterializeResult(
        metadata={
            "verdicts": dg.MetadataValue.md(as_markdown_table(["account", "day", "agreement", "verdict"], verdicts)),
            **metadata,
        }
    )
    for name, what in CHECKS.items():
        check = checks[what]
        yield dg.AssetCheckResult(
            passed=check.passed, check_name=name, asset_key="v1_v2_comparison", severity=dg.AssetCheckSeverity.WARN,
            metadata={"told": check.what},
        )  # fmt: skip


def _days(start: datetime, end: datetime) -> list[date]:
    return [start.date() + timedelta(days=n) for n in range(max(1, (end - start).days))]


def _metadata(connection: Connection, wanted: float) -> dict[str, Any]:
    import pandas as pd

    from orders_sync.reports.plots import agreement_plot

    settings = load_cutover_settings()
    needed = days_still_needed(connection, settings, datetime.now(UTC).date())
    cursor = connection.execute(
        "SELECT account, day, agreement, v2_later_seconds, calls_v1, calls_v2, only_in_v1, only_in_v2, differing, "
        "locks_differing FROM migration_comparisons ORDER BY day DESC, account LIMIT 200"
    )
    names = [column.name for column in cursor.description or []]
    found = pd.DataFrame(cursor.fetchall(), columns=names)
    differences = connection.execute(
        "SELECT account, order_id, item_id, kind, field, v1, v2 FROM migration_differences WHERE NOT in_flight "
        "ORDER BY day DESC, account, order_id LIMIT %s",
        [SHOWN],
    ).fetchall()
    phase = current_phase(connection)
    metadata: dict[str, Any] = {"phase": phase.value, "days_still_needed": needed}
    if not found.empty:
        latest = found[found["day"] == found["day"].max()]
        metadata |= {
            "agreement": float(latest["agreement"].min()),
            "calls_v2": int(latest["calls_v2"].sum()),
            "locks_differing": int(latest["locks_differing"].sum()),
            "plot": dg.MetadataValue.md(f"![agreement and lag by day]({agreement_plot(found, wanted)})"),
        }
        if latest["calls_v1"].notna().any():
            metadata["calls_v1"] = int(latest["calls_v1"].fillna(0).sum())
    if differences:
        columns = ["account", "order", "item", "kind", "field", "V1", "V2"]
        metadata["differences"] = dg.MetadataValue.md(as_markdown_table(columns, differences))
    return metadata


compare_v1_and_v2 = dg.define_asset_job(
    "compare_v1_and_v2",
    selection=dg.AssetSelection.assets("v1_v2_comparison"),
    description="Compares V1 and V2 for a day.",
    executor_def=dg.in_process_executor,
)


@dg.schedule(
    job=compare_v1_and_v2,
    cron_schedule="30 5 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares yesterday's orders, after the night's syncs, while V1 and V2 run side by side.",
)
def compare_v1_and_v2_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    upgrade_schema()
    with connect(application="orders_sync schedule") as connection:
        if current_phase(connection) is Phase.LIVE:
            return dg.SkipReason("V2 is live, or there never was a V1: nothing to compare.")
    yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
    return dg.RunRequest(run_key=str(yesterday), partition_key=str(yesterday))


@dg.asset_check(
    asset="migration_phase",
    name="v1_stays_off",
    description="Once V2 is live: V1's schedules are off, and V1 writes no order any more.",
)
def v1_stays_off(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    from orders_sync.config.v1 import CutoverError
    from orders_sync.cutover.v1_database import V1Database
    from orders_sync.dagster_instance.v1_schedules import v1_schedules_on

    upgrade_schema()
    with alive(context.run.run_id), connect(application="orders_sync check") as connection:
        all_moves = moves(connection)
    if not all_moves or all_moves[-1].to_phase is not Phase.LIVE:
        return dg.AssetCheckResult(passed=True, metadata={"told": "V2 did not take over from a V1."})
    running = v1_schedules_on(context.instance)
    try:
        v1 = V1Database(load_cutover_settings())
        written = v1.written_since(all_moves[-1].moved_at)
        v1.close()
    except CutoverError as problem:
        return dg.AssetCheckResult(passed=not running, metadata={"told": f"V1 can't be read any more: {problem}"})
    told = f"schedules on: {', '.join(running) or 'none'}; orders that V1 wrote since: {written}"
    return dg.AssetCheckResult(passed=not running and written == 0, metadata={"told": told})
