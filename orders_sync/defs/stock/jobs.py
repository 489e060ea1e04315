"""The job that applies order events, and the one that explains a lock (`orders-sync stock explain` in the UI)."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orders_sync.acts.manual_acts import ManualAct
from orders_sync.dagster_support.failures import one_line_failures
from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.model.control_characters import safe_text
from orders_sync.stock.explain import (
    MAX_SHOWN,
    Explanation,
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
            description=f"The transitions of the lock of {safe_text(config.item_or_sku)}",
            metadata={
                "explained": config.item_or_sku,
                **_tables(found),
            },
        )
    )


def _tables(found: Explanation) -> dict[str, dg.TableMetadataValue]:
    """What was found, by kind; nothing of a kind of which there is none."""
    kinds: dict[str, tuple[Any, Sequence[tuple[Any, ...]]]] = {
        "levels": (SkuLevel, found.levels),
        "active locks": (Holder, found.holders),
        "events pending": (PendingItem, found.pending),
        "order items": (OrderedItem, found.items),
        "aliases and bundles": (StockSku, found.stock_skus),
        "acts by hand": (ManualAct, found.acts),
        "decisions": (StoredDecision, found.decisions),
        "transitions": (StoredTransition, found.transitions),
        "movements": (StoredMovement, found.movements),
        "returns": (StoredReturn, found.returns),
        "received": (Receipt, found.received),
    }
    return {kind: rows_table(row_type._fields, rows) for kind, (row_type, rows) in kinds.items() if rows}


@dg.job(
    description="Explains the lock of an item, or all locks of a SKU. Set `item_or_sku` in the launchpad.",
    executor_def=dg.in_process_executor,
)
def explain_lock() -> None:
    """The one op `explain_lock_transitions`."""
    explain_lock_transitions()
