"""What a pass shows in Dagster, whoever made it: a run of Dagster, or the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from orders_sync.config.pages import LANES_PAGE
from orders_sync.dagster_instance.lane_assets import ASSET_NAMES, lane_key, passes_key
from orders_sync.dagster_support.metadata import texts_table
from orders_sync.model.lane import Lane, SyncType

OWNERS = ("team:orders",)
LANES_LINK = {"all lanes": dg.MetadataValue.url(LANES_PAGE)}
"""For the metadata of an asset: the UI shows it as a link to the operator's page."""
_ONLY_OF: Mapping[str, SyncType] = {
    "accepted": SyncType.NEW,
    "refusals": SyncType.NEW,
    "refused": SyncType.NEW,
    "linked": SyncType.CARE,
    "documents_found": SyncType.INCOMPLETE,
    "documents_stored": SyncType.INCOMPLETE,
    "documents_put_off": SyncType.INCOMPLETE,
}
"""The figures that only the passes of one sync type can have: others would plot a line of zeros."""
_MOMENTS = ("range_start", "range_end", "watermark")


def passes_spec(lane: Lane) -> dg.AssetSpec:
    """The asset that plots the passes of a lane: the lane's own asset has an event for each day."""
    return dg.AssetSpec(
        passes_key(lane),
        deps=[lane_key(lane)],
        group_name=lane.account,
        owners=list(OWNERS),
        kinds={"postgres"},
        description=(
            f"The passes of `{lane.account}/{ASSET_NAMES[lane.sync_type]}`, one after the other, those of "
            "`orders-sync sync` included. The metadata of each are its figures, and its plots show them over time: "
            "records created, changed, rejected and flawed, API calls, seconds that it took, that it waited for rate "
            "limits, and that the watermark lies behind. A pass that failed is not shown here."
        ),
        metadata=LANES_LINK,
    )


def point_of_pass(
    lane: Lane, run_id: str, summary: Mapping[str, Any], finished_at: datetime, description: str | None = None
) -> dg.AssetMaterialization:
    """The one event that stands for a pass. `summary`: as it is stored in lane_runs."""
    metadata = {"run": dg.MetadataValue.text(run_id), **figures(lane.sync_type, summary, finished_at)}
    return dg.AssetMaterialization(passes_key(lane), description=description, metadata=metadata)


def figures(sync_type: SyncType, summary: Mapping[str, Any], finished_at: datetime) -> dict[str, Any]:
    """The figures of a pass as metadata, of which the UI plots the numbers. `summary`: as it is stored in lane_runs.

    `lag_seconds`: how far the watermark lies behind the end of the pass.
    """
    metadata: dict[str, Any] = {
        name: value
        for name, value in summary.items()
        if isinstance(value, int | float) and _ONLY_OF.get(name, sync_type) is sync_type
    }
    for name in _MOMENTS:
        if summary.get(name) is not None:
            metadata[name] = dg.MetadataValue.timestamp(datetime.fromisoformat(str(summary[name])))
    if summary.get("watermark") is not None:
        behind = finished_at - datetime.fromisoformat(str(summary["watermark"]))
        metadata["lag_seconds"] = round(behind.total_seconds(), 1)
    if problems := summary.get("problems"):
        metadata["problems"] = texts_table("problem", problems)
    return metadata
