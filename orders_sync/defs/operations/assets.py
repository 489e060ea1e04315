"""Housekeeping of the stored data: the retention of buyers' data, and of what only grows."""

from typing import Any

import dagster as dg

from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.config.environment import keep_events, keep_runs
from orders_sync.dagster_instance.pruning import prune_runs
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.pruning import prune_rows
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.privacy.retention import blank_buyers_data

_COUNTS = ("orders", "care_records", "rejected_records", "documents", "error_answers")
"""What is reported of a retention run: names of fields of `Blanked`."""


@dg.asset(
    deps=["orders", "care_records"],
    group_name="operations",
    owners=["team:orders"],
    kinds={"python", "postgres"},
    pool="retention",
    description=(
        "Blanks the buyers' data of orders older than the `retention_days` of their account, in all tables, and erases "
        "the stored contents of their documents and the kept error answers. Off for accounts without that setting, "
        "which is the default; what `orders-sync buyer erase` erased stays erased there, too. Each run reports how "
        "many records it blanked."
    ),
)
def buyer_data_retention(
    context: dg.AssetExecutionContext, orders_database: OrdersDatabase
) -> dg.MaterializeResult[Any]:
    """Blanks the old buyers' data of each usable account."""
    accounts, _ = load_accounts()
    metadata: dict[str, Any] = dict.fromkeys(_COUNTS, 0)
    with orders_database.connect("retention") as connection:
        if (by := by_hand(context.run, context.instance)) is not None:
            note_act(connection, by, Act.BLANK_BUYERS_DATA)
        for account in accounts.values():
            blanked = blank_buyers_data(connection, account)
            for name in _COUNTS:
                metadata[name] += getattr(blanked, name)
    metadata["accounts with a retention"] = ", ".join(
        f"{name} ({account.settings.retention_days} days)"
        for name, account in accounts.items()
        if account.settings.retention_days is not None
    ) or "none"  # fmt: skip
    return dg.MaterializeResult(metadata=metadata)


@dg.asset(
    group_name="operations",
    owners=["team:orders"],
    kinds={"python", "postgres"},
    pool="pruning",
    description=(
        "Deletes old history, which would grow for ever: Dagster's runs with their events and output, passes, ticks, "
        "error answers and applied order events. Orders, stock and acts by hand stay. ORDERS_SYNC_KEEP_RUNS_DAYS and "
        "ORDERS_SYNC_KEEP_EVENTS_DAYS say how long it is kept. Each run reports how much it deleted."
    ),
)
def pruned_history(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> dg.MaterializeResult[Any]:
    """Deletes what is older than the settings say."""
    runs, events = keep_runs(), keep_events()
    with orders_database.connect("pruning") as connection:
        if (by := by_hand(context.run, context.instance)) is not None:
            note_act(connection, by, Act.PRUNE_HISTORY)
        rows = prune_rows(connection, runs=runs, events=events)
    deleted = prune_runs(context.instance, runs, lambda number: context.log.info(f"{number} runs deleted so far"))
    return dg.MaterializeResult(
        metadata={**rows._asdict(), "runs": deleted, "runs kept (days)": runs.days, "events kept (days)": events.days}
    )
