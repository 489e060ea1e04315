"""The names and partitions that assets, jobs, schedules and sensors share: which asset is which lane."""

from datetime import UTC, datetime, time

import dagster as dg

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.first_day import first_day
from orders_sync.model.lane import Lane, SyncType

#: The asset of a sync type, within its account.
ASSET_NAMES = {
    SyncType.NEW: "new_orders",
    SyncType.MODIFIED: "modified_orders",
    SyncType.CARE: "care_records",
    SyncType.INCOMPLETE: "incomplete_orders",
}

ACCOUNT_TAG = "orders_sync/account"
SYNC_TYPE_TAG = "orders_sync/sync_type"
MARKETPLACE_TAG = "orders_sync/marketplace"
"""On runs of schedules and sensors. dagster.yaml limits how many runs of one marketplace execute at once."""
IN_TURN_TAG = "orders_sync/in_turn"
"""On runs of `care` and `incomplete`, with the account: dagster.yaml lets them run one after the other. Both tick at
4:00, and `care` is queued first: a tick of several schedules takes them by name."""
IN_TURN = (SyncType.CARE, SyncType.INCOMPLETE)
FROM_WATERMARK_TAG = ".dagster/orders_sync_from"
"""`watermark` on runs of schedules and sensors: they start at the watermark, `modified` three months ago. Their
partitions are the days since the watermark. The UI does not show tags that begin with `.dagster/`: this one says
nothing to a person."""
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"


def lane_key(lane: Lane) -> dg.AssetKey:
    """The asset of a lane."""
    return dg.AssetKey([lane.account, ASSET_NAMES[lane.sync_type]])


def passes_key(lane: Lane) -> dg.AssetKey:
    """The asset of which each pass of a lane is one materialization, with the figures of the pass.

    A lane whose asset has no partitions needs none of its own.
    """
    name = f"{lane.sync_type.value}_passes" if is_partitioned(lane.sync_type) else ASSET_NAMES[lane.sync_type]
    return dg.AssetKey([lane.account, name])


def job_name(sync_type: SyncType) -> str:
    """The job of a sync type, for all accounts."""
    return f"sync_{ASSET_NAMES[sync_type]}"


def schedule_name(sync_type: SyncType, *, frequent: bool = False, account: str | None = None) -> str:
    """The schedule of a sync type's job. `frequent`: of its further passes. `account`: whose own schedule it is."""
    name = f"{job_name(sync_type)}{'_frequent' if frequent else ''}_schedule"
    return name if account is None else f"{account}_{name}"


def days(settings: ScheduleSettings) -> dg.DailyPartitionsDefinition:
    """One partition per day (UTC), up to today. All lanes share it: the assets of a job need one definition."""
    start = datetime.combine(first_day(settings), time(), UTC)
    return dg.DailyPartitionsDefinition(start_date=start, end_offset=1)


def is_partitioned(sync_type: SyncType) -> bool:
    """Whether the assets have a partition per day. Those of `incomplete` have none: it fetches what is missing now."""
    return sync_type is not SyncType.INCOMPLETE


def starts_at_watermark(run: dg.DagsterRun) -> bool:
    """Whether the passes of a run have their own windows; else they cover the partitions that a person selected."""
    return run.tags.get(FROM_WATERMARK_TAG) == "watermark"
