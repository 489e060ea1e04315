"""The job that applies order events, and the one that explains a lock (`orders-sync stock explain` in the UI)."""

from typing import Any

import dagster as dg

from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.stock.explain import explain
from orders_sync.stock.queries import SkuLevel, StoredTransition

apply_order_events = dg.define_asset_job(
    "apply_order_events",
    selection=dg.AssetSelection.assets("stock_locks"),
    description="Applies pending order events to the stock locks.",
    executor_def=dg.in_process_executor,
)


class ExplainLockConfig(dg.Config):
    """What to explain."""

    item_or_sku: str
    """The id of an order item, `account/item id`, or a SKU."""


@dg.op(
    description="Shows the transitions of a lock and the events that caused them, in order, as metadata of this run."
)
def explain_lock_transitions(
    context: dg.OpExecutionContext, config: ExplainLockConfig, orders_database: OrdersDatabase
) -> None:
    """Logs the transitions as an observation of stock_locks. Raises dg.Failure where there is no such item or SKU."""
    with orders_database.read_stock("explain") as stock:
        levels, transitions = explain(stock, config.item_or_sku)
    if not levels and not transitions:
        raise dg.Failure(f"There is no lock of an item {config.item_or_sku}, and no such SKU.", allow_retries=False)
    context.log_event(
        dg.AssetObservation(
            "stock_locks",
            description=f"The transitions of the lock of {config.item_or_sku}",
            metadata={
                "explained": config.item_or_sku,
                "levels": _table(SkuLevel, levels),
                "transitions": _table(StoredTransition, transitions),
            },
        )
    )


def _table(row_type: Any, rows: Any) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(as_markdown_table(list(row_type._fields), rows))


@dg.job(
    description="Explains the lock of an item, or all locks of a SKU. Set `item_or_sku` in the launchpad.",
    executor_def=dg.in_process_executor,
)
def explain_lock() -> None:
    """The one op `explain_lock_transitions`."""
    explain_lock_transitions()
