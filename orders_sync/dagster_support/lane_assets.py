"""The names and partitions that assets, jobs, schedules and sensors share: one place says which asset is which lane."""

from datetime import UTC, datetime, time

import dagster as dg

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.model.lane import Lane, SyncType

#: The asset of a sync type, within its account.
ASSET_NAMES = {
    SyncType.NEW: "new_orders",
    SyncType.MODIFIED: "modified_orders",
    SyncType.CARE: "care_records",
    SyncType.INCOMPLETE: "incomplete_orders",
}
SYNC_TYPES = {name: sync_type for sync_type, name in ASSET_NAMES.items()}

ACCOUNT_TAG = "orders_sync/account"
SYNC_TYPE_TAG = "orders_sync/sync_type"
FROM_WATERMARK_TAG = "orders_sync/from"
"""`watermark` on runs that a schedule or sensor asks for: their partitions say what they cover, not where to start."""
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"


def lane_key(lane: Lane) -> dg.AssetKey:
    """The asset of a lane."""
    return dg.AssetKey([lane.account, ASSET_NAMES[lane.sync_type]])


def job_name(sync_type: SyncType) -> str:
    """The job of a sync type across accounts."""
    return f"sync_{ASSET_NAMES[sync_type]}"


def days(settings: ScheduleSettings) -> dg.DailyPartitionsDefinition:
    """One partition a day (UTC), today included; the same for all lanes, as an asset job needs."""
    start = datetime.combine(settings.partitions_start, time(), UTC)
    return dg.DailyPartitionsDefinition(start_date=start, end_offset=1)


def is_partitioned(sync_type: SyncType) -> bool:
    """`incomplete` looks at what is missing now; the others at days."""
    return sync_type is not SyncType.INCOMPLETE
