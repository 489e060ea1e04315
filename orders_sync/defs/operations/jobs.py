"""The jobs of housekeeping."""

import dagster as dg

blank_old_buyer_data = dg.define_asset_job(
    "blank_old_buyer_data",
    selection=dg.AssetSelection.assets("buyer_data_retention"),
    description="Blanks buyers' data that is older than the retention of its account.",
    executor_def=dg.in_process_executor,
)

prune_old_history = dg.define_asset_job(
    "prune_old_history",
    selection=dg.AssetSelection.assets("pruned_history"),
    description="Deletes old runs, passes, ticks and applied order events.",
    executor_def=dg.in_process_executor,
)
