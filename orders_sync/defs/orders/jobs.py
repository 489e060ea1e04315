"""The job that runs the checks."""

import dagster as dg

check_orders = dg.define_asset_job(
    "check_orders",
    # All checks of these assets, so that a new check runs without a further line.
    selection=dg.AssetSelection.checks_for_assets(
        "orders", "order_items", "order_events", "care_records", "stock_levels", "migration_phase"
    )
    # The other checks of this asset are run by the stock job itself.
    | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("stock_locks"), "locks_are_what_items_need")),
    description="Runs all checks of the synced tables and of stock, and that V1 stays off once V2 is live.",
    executor_def=dg.in_process_executor,
)
