"""The job of the reports."""

import dagster as dg

daily_reports = dg.define_asset_job(
    "daily_reports",
    selection=dg.AssetSelection.assets("daily_summary"),
    description="Makes the daily reports.",
    executor_def=dg.in_process_executor,
)
