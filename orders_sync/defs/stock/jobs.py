"""Explaining a lock from the UI: what `orders-sync stock explain` tells, as a job with one field to fill in."""

from typing import Any

import dagster as dg

from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.liveness import alive
from orders_sync.stock.connection import stock_connection
from orders_sync.stock.explain import explain
from orders_sync.stock.queries import LockHistoryEntry, SkuLevel


class Question(dg.Config):
    """What to explain."""

    item_or_sku: str
    """An order item's id, `account/item id`, or a SKU."""


@dg.op(description="Tells the events that made, consumed or released a lock, in order, as metadata of this run.")
def explain_lock_steps(context: dg.OpExecutionContext, config: Question) -> None:
    upgrade_schema()
    with alive(context.run_id), stock_connection(f"orders_sync explain {context.run_id}") as stock:
        levels, steps = explain(stock, config.item_or_sku)
    if not levels and not steps:
        raise dg.Failure(f"Neither an item with a lock nor a SKU is called {config.item_or_sku}.", allow_retries=False)
    context.log_event(
        dg.AssetObservation(
            "stock_locks",
            description=f"The lock of {config.item_or_sku}, explained",
            metadata={
                "explained": config.item_or_sku,
                "levels": _table(SkuLevel, levels),
                "steps": _table(LockHistoryEntry, steps),
            },
        )
    )


def _table(row_type: Any, rows: Any) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(as_markdown_table(list(row_type._fields), rows))


@dg.job(
    description="Explains the lock of an item, or all locks of a SKU: fill in `item_or_sku` in the launchpad.",
    executor_def=dg.in_process_executor,
)
def explain_lock() -> None:
    explain_lock_steps()
