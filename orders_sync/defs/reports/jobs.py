"""The job of the reports."""

import dagster as dg

daily_reports = dg.define_asset_job(
    "daily_reports",
    # The group, so that a new report runs without a further line.
    selection=dg.AssetSelection.groups("reports"),
    description="Makes the daily reports.",
    executor_def=dg.in_process_executor,
)
