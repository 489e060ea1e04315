"""The job that applies order events, and the one that explains a lock (`orders-sync stock explain` in the UI)."""

from typing import Any

import dagster as dg

from orders_sync.acts.manual_acts import ManualAct
from orders_sync.dagster_support.failures import one_line_failures
from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.stock.explain import (
    MAX_SHOWN,
    OrderedItem,
    PendingItem,
    StoredDecision,
    StoredMovement,
    StoredReturn,
    explain,
)
from orders_sync.stock.queries import Holder, SkuLevel, StoredTransition
from orders_sync.stock.received import Receipt
from orders_sync.stock.stock_skus import StockSku

apply_order_events = dg.define_asset_job(
    "apply_order_events",
    selection=dg.AssetSelection.assets("stock_locks", "stock_available"),
    description="Applies pending order events to the stock locks, and computes what is available to sell.",
    # Ahead of all lanes that are due: one run applies all events, and no second one is queued meanwhile.
    tags={"dagster/priority": "1"},
    executor_def=dg.in_process_executor,
)


class ExplainLockConfig(dg.Config):
    """What to explain."""

    item_or_sku: str
    """A SKU of the stock list or of a marketplace, or the id of an order or of an order item, also as `account/id`."""
    all: bool = False
    """Show all transitions and movements, not only the latest."""


@dg.op(
    description="Shows the transitions of a lock and the events that caused them, in order, as metadata of this run."
)
def explain_lock_transitions(
    context: dg.OpExecutionContext, config: ExplainLockConfig, orders_database: OrdersDatabase
) -> None:
    """Logs the transitions as an observation of stock_locks. Raises dg.Failure where there is no such item or SKU."""
    with one_line_failures(), orders_database.read_stock("explain") as stock:
        found = explain(stock, config.item_or_sku, None if config.all else MAX_SHOWN)
    if found.is_empty():
        raise dg.Failure(f"There is no SKU, order or item named {config.item_or_sku.strip()!r}.", allow_retries=False)
    context.log_event(
        dg.AssetObservation(
            "stock_locks",
            description=f"The transitions of the lock of {config.item_or_sku}",
            metadata={
                "explained": config.item_or_sku,
                "levels": _table(SkuLevel, found.levels),
                "active locks": _table(Holder, found.holders),
                "events pending": _table(PendingItem, found.pending),
                "order items": _table(OrderedItem, found.items),
                "aliases and bundles": _table(StockSku, found.stock_skus),
                "acts by hand": _table(ManualAct, found.acts),
                "decisions": _table(StoredDecision, found.decisions),
                "transitions": _table(StoredTransition, found.transitions),
                "movements": _table(StoredMovement, found.movements),
                "returns": _table(StoredReturn, found.returns),
                "received": _table(Receipt, found.received),
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
