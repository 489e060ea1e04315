"""Housekeeping of the stored data: the retention of buyers' data."""

from typing import Any

import dagster as dg

from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.privacy.retention import blank_buyers_data


@dg.asset(
    deps=["orders", "care_records"],
    group_name="operations",
    owners=["team:orders"],
    kinds={"python", "postgres"},
    pool="retention",
    description=(
        "Blanks the buyers' names, addresses, mails and phones of orders older than the `retention_days` of their "
        "account, and erases the stored contents of their documents. Off for accounts without that setting, which is "
        "the default. Each run reports how many records it blanked."
    ),
)
def buyer_data_retention(
    context: dg.AssetExecutionContext, orders_database: OrdersDatabase
) -> dg.MaterializeResult[Any]:
    """Blanks the old buyers' data of each usable account."""
    accounts, _ = load_accounts()
    problems: list[str] = []
    metadata: dict[str, Any] = {"orders": 0, "care_records": 0, "rejected_records": 0, "documents": 0}
    with orders_database.connect("retention") as connection:
        if (by := by_hand(context.run, context.instance)) is not None:
            note_act(connection, by, Act.BLANK_BUYERS_DATA)
        for account in accounts.values():
            blanked = blank_buyers_data(connection, account)
            for name in ("orders", "care_records", "rejected_records", "documents"):
                metadata[name] += getattr(blanked, name)
            problems += blanked.problems
    for problem in problems:
        context.log.warning(problem)
    if problems:
        metadata["problems"] = dg.MetadataValue.md("\n".join(f"* {problem}" for problem in problems))
    metadata["accounts with a retention"] = ", ".join(
        f"{name} ({account.settings.retention_days} days)"
        for name, account in accounts.items()
        if account.settings.retention_days is not None
    ) or "none"  # fmt: skip
    return dg.MaterializeResult(metadata=metadata)
