"""Stock: the levels, and the locks that order events make, consume and release."""

from typing import Any

import dagster as dg

from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.dagster_support.row_checks import run_rows_check
from orders_sync.dagster_support.table_assets import column_schema
from orders_sync.database import tables
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.authority import Phase, current_phase
from orders_sync.lanes.liveness import alive
from orders_sync.marketplaces.kit.accounts import overselling_accounts
from orders_sync.stock.actions import as_markdown
from orders_sync.stock.connection import stock_connection
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
    description="Pieces by SKU: on hand (imported by `orders-sync stock import`) and reserved.",
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
    description=("Applies pending order events to the locks: each event once, each item one lock.\n\n" + as_markdown()),
    metadata={
        "dagster/column_schema": column_schema(tables.stock_locks),
        "dagster/table_name": "stock_locks",
    },
    check_specs=[
        dg.AssetCheckSpec("no_shortages", asset="stock_locks", description="Items whose stock can't be locked."),
        dg.AssetCheckSpec(
            "reserved_is_what_is_locked",
            asset="stock_locks",
            description="Of each SKU, the reserved pieces are those of its active locks.",
        ),
        dg.AssetCheckSpec(
            "every_event_could_be_applied",
            asset="stock_locks",
            description="Events that failed and wait for another try or for a person.",
        ),
    ],
)
def stock_locks(context: dg.AssetExecutionContext) -> Any:
    upgrade_schema()
    with alive(context.run_id), stock_connection(f"orders_sync stock {context.run_id}") as connection:
        phase = current_phase(connection)
        applied = apply_pending(connection, overselling_accounts())
        states = dict(connection.execute("SELECT state, count(*) FROM stock_locks GROUP BY state").fetchall())
        latest = connection.execute(LATEST_STEPS).fetchall()
    yield dg.MaterializeResult(
        metadata={
            "phase": phase.value if phase is Phase.LIVE else f"{phase} (in shadow: V1 is the truth)",
            "events_applied": applied.events,
            "events_failed": applied.failed,
            **{f"steps_to_{state}": count for state, count in applied.steps.items()},
            **{f"locks_{state}": count for state, count in states.items()},
            "latest steps": _steps_table(latest),
        }
    )
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    for name, query, severity in (
        ("no_shortages", SHORTAGES, warn),
        ("reserved_is_what_is_locked", RESERVED, error),
        ("every_event_could_be_applied", FAILED_EVENTS, error),
    ):
        yield run_rows_check(query, severity, stock_connection)._replace(
            check_name=name, asset_key=dg.AssetKey("stock_locks")
        )


def _steps_table(rows: list[tuple[Any, ...]]) -> dg.MarkdownMetadataValue:
    columns = ["at", "account", "item", "SKU", "pieces", "cause", "before", "after"]
    hint = "The job `explain_lock`, or `orders-sync stock explain ITEM`, tells one lock whole."
    return dg.MetadataValue.md(as_markdown_table(columns, rows) + "\n\n" + hint)


apply_order_events = dg.define_asset_job(
    "apply_order_events",
    selection=dg.AssetSelection.assets("stock_locks"),
    description="Applies pending order events to the stock locks.",
    executor_def=dg.in_process_executor,
)
