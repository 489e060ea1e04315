"""Stock: the levels, and the locks that order events create, consume and release."""

from typing import Any

import dagster as dg

from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.row_checks import run_rows_check
from orders_sync.dagster_support.table_assets import column_schema
from orders_sync.database import tables
from orders_sync.lanes.authority import Phase, current_phase
from orders_sync.marketplaces.kit.accounts import overselling_accounts
from orders_sync.stock.actions import as_markdown
from orders_sync.stock.locks import apply_pending

GROUP = "stock"
OWNERS = ["team:warehouse"]

SHORTAGES = """
SELECT lock.account, lock.order_id, lock.item_id, lock.sku, lock.quantity, lock.problem, lock.since::text
FROM stock_locks lock WHERE lock.state = 'short' ORDER BY lock.since
"""
LATEST_STEPS = """
SELECT step.at::text, step.account, step.item_id, step.sku, step.quantity, step.cause,
       coalesce(step.from_state, '') AS before, step.to_state AS after
FROM stock_lock_history step ORDER BY step.entry_id DESC LIMIT 25
"""
RESERVED = """
SELECT level.sku, level.reserved, coalesce(sum(lock.quantity), 0) AS locked
FROM stock_levels level LEFT JOIN stock_locks lock ON lock.sku = level.sku AND lock.state = 'locked'
GROUP BY level.sku, level.reserved HAVING level.reserved <> coalesce(sum(lock.quantity), 0)
"""
FAILED_EVENTS = """
SELECT event_id, account, order_id, kind, problem, attempts FROM order_events
WHERE applied_at IS NULL AND attempts > 0
"""

stock_levels = dg.AssetSpec(
    "stock_levels",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table", "postgres"},
    description="Pieces of each SKU: on hand (imported by `orders-sync stock import`) and reserved.",
    metadata={
        "dagster/column_schema": column_schema(tables.stock_levels),
        "dagster/table_name": "stock_levels",
    },
)


@dg.asset(
    deps=["order_events", "order_items", stock_levels],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres"},
    pool="stock",
    description=(
        "Applies pending order events to the locks: each event once, and one lock for each item.\n\n" + as_markdown()
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.stock_locks),
        "dagster/table_name": "stock_locks",
    },
    check_specs=[
        dg.AssetCheckSpec("no_shortages", asset="stock_locks", description="Items whose stock can't be locked."),
        dg.AssetCheckSpec(
            "reserved_is_what_is_locked",
            asset="stock_locks",
            description="The reserved pieces of each SKU are the pieces of its active locks.",
        ),
        dg.AssetCheckSpec(
            "every_event_could_be_applied",
            asset="stock_locks",
            description="Events that could not be applied; the next run tries them again.",
        ),
    ],
)
def stock_locks(orders_database: OrdersDatabase) -> Any:
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    with orders_database.connect_to_stock("stock") as connection:
        phase = current_phase(connection)
        applied = apply_pending(connection, overselling_accounts())
        states = dict(connection.execute("SELECT state, count(*) FROM stock_locks GROUP BY state").fetchall())
        latest = connection.execute(LATEST_STEPS).fetchall()
        checks = {
            "no_shortages": run_rows_check(connection, SHORTAGES, warn),
            "reserved_is_what_is_locked": run_rows_check(connection, RESERVED, error),
            "every_event_could_be_applied": run_rows_check(connection, FAILED_EVENTS, error),
        }
    yield dg.MaterializeResult(
        metadata={
            "phase": phase.value if phase is Phase.LIVE else f"{phase} (shadow tables: V1 is the truth)",
            "events_applied": applied.events,
            "events_failed": applied.failed,
            **{f"steps_to_{state}": count for state, count in applied.steps.items()},
            **{f"locks_{state}": count for state, count in states.items()},
            "latest steps": _steps_table(latest),
        }
    )
    for name, result in checks.items():
        yield result._replace(check_name=name, asset_key=dg.AssetKey("stock_locks"))


def _steps_table(rows: list[tuple[Any, ...]]) -> dg.MarkdownMetadataValue:
    columns = ["at", "account", "item", "SKU", "pieces", "cause", "before", "after"]
    hint = "The job `explain_lock`, or `orders-sync stock explain ITEM`, shows all steps of one lock."
    return dg.MetadataValue.md(as_markdown_table(columns, rows) + "\n\n" + hint)
