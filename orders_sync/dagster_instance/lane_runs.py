"""What a run of a lane is to Dagster: its asset, its tags, and the days that it covers."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.first_day import FIRST_PASS_DAYS
from orders_sync.dagster_instance.lane_assets import (
    ACCOUNT_TAG,
    FROM_WATERMARK_TAG,
    IN_TURN,
    IN_TURN_TAG,
    MARKETPLACE_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    SYNC_TYPE_TAG,
    days,
    is_partitioned,
    lane_key,
)
from orders_sync.database.engine import Connection
from orders_sync.lanes.watermark import watermark
from orders_sync.model.lane import Lane


class LaneRun(NamedTuple):
    """A run of one lane that starts at its watermark."""

    asset: dg.AssetKey
    tags: dict[str, str]


def lane_run(connection: Connection, lane: Lane, marketplace: str, settings: ScheduleSettings) -> LaneRun:
    """A run of one lane that starts at its watermark. Its partitions are the days since then.

    `marketplace`: the name of the account's adapter, e.g. `back_market`.
    `modified` starts earlier whatever these are, and marks the days before that it changed.
    """
    tags = {
        ACCOUNT_TAG: lane.account,
        SYNC_TYPE_TAG: lane.sync_type.value,
        MARKETPLACE_TAG: marketplace,
        FROM_WATERMARK_TAG: "watermark",
    }
    if lane.sync_type in IN_TURN:
        tags[IN_TURN_TAG] = lane.account
    if is_partitioned(lane.sync_type):
        first, last = _partitions(connection, lane, settings)
        tags |= {RANGE_START_TAG: first, RANGE_END_TAG: last}
    return LaneRun(lane_key(lane), tags)


def _partitions(connection: Connection, lane: Lane, settings: ScheduleSettings) -> tuple[str, str]:
    """The first and the last partition of the next run."""
    now = datetime.now(UTC)
    since = watermark(connection, lane)
    if since is None:
        since = now - timedelta(days=FIRST_PASS_DAYS)
    keys = days(settings).get_partition_keys(current_time=now)
    first = max(min(since, now).strftime("%Y-%m-%d"), keys[0])
    return min(first, keys[-1]), keys[-1]
