"""The job that runs the checks."""

import dagster as dg

check_orders = dg.define_asset_job(
    "check_orders",
    # All checks of these assets, so that a new check runs without a further line.
    selection=dg.AssetSelection.checks_for_assets(
        "orders", "order_items", "order_events", "care_records", "migration_phase"
    ),
    description="Runs all checks of the synced tables, and the check that V1 stays off once V2 is live.",
    executor_def=dg.in_process_executor,
)
