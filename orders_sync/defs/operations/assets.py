"""What is done to the stored data by itself: the retention of buyers' data."""

from typing import Any

import dagster as dg

from orders_sync.database.engine import connect
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.liveness import alive
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.privacy.retention import blank_buyers_data


@dg.asset(
    deps=["orders", "care_records"],
    group_name="operations",
    owners=["team:orders"],
    kinds={"python", "postgres"},
    pool="retention",
    description=(
        "Blanks buyers' names, addresses, mails and phones of orders older than their account's `retention_days`; "
        "off where an account has none, which is the default. Each run tells how many records it blanked."
    ),
)
def buyer_data_retention(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    upgrade_schema()
    accounts, _ = load_accounts()
    metadata: dict[str, Any] = {"orders": 0, "care_records": 0, "rejected_records": 0}
    with alive(context.run_id), connect(application=f"orders_sync retention {context.run_id}") as connection:
        for account in accounts.values():
            blanked = blank_buyers_data(connection, account)
            for name, count in vars(blanked).items():
                metadata[name] += count
    metadata["accounts with a retention"] = ", ".join(
        f"{name} ({account.settings.retention_days} days)"
        for name, account in accounts.items()
        if account.settings.retention_days is not None
    ) or "none"  # fmt: skip
    return dg.MaterializeResult(metadata=metadata)


retention_job = dg.define_asset_job(
    "blank_old_buyer_data",
    selection=dg.AssetSelection.assets("buyer_data_retention"),
    description="Blanks buyers' data that is older than its account's retention.",
    executor_def=dg.in_process_executor,
)


blank_old_buyer_data_schedule = dg.ScheduleDefinition(
    job=retention_job,
    cron_schedule="45 4 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The retention of buyers' data, after the night's syncs.",
)
