"""The job of the retention."""

import dagster as dg

blank_old_buyer_data = dg.define_asset_job(
    "blank_old_buyer_data",
    selection=dg.AssetSelection.assets("buyer_data_retention"),
    description="Blanks buyers' data that is older than the retention of its account.",
    executor_def=dg.in_process_executor,
)
