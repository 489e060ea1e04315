"""Which asset and job is which lane, and the days that backfills can choose."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from orders_sync.config.schedules import check_schedules
from orders_sync.dagster_instance.lane_assets import ASSET_NAMES, days, is_partitioned, job_name, lane_key
from orders_sync.model.lane import Lane, SyncType


@pytest.mark.parametrize(
    ("sync_type", "asset", "job"),
    [
        (SyncType.NEW, "new_orders", "sync_new_orders"),
        (SyncType.MODIFIED, "modified_orders", "sync_modified_orders"),
        (SyncType.CARE, "care_records", "sync_care_records"),
        (SyncType.INCOMPLETE, "incomplete_orders", "sync_incomplete_orders"),
    ],
)
def test_a_lane_has_an_asset_in_its_account_and_a_job_across_accounts(
    sync_type: SyncType, asset: str, job: str
) -> None:
    assert lane_key(Lane("shop", sync_type)) == dg.AssetKey(["shop", asset])
    assert job_name(sync_type) == job


def test_every_sync_type_has_a_name_of_its_own() -> None:
    assert set(ASSET_NAMES) == set(SyncType)
    assert len(set(ASSET_NAMES.values())) == len(SyncType)


def test_partitions_are_days_from_the_first_one_set_to_today() -> None:
    partitions = days(check_schedules({"partitions_start": "2026-03-01"}, "defs.yaml"))
    keys = partitions.get_partition_keys(current_time=datetime(2026, 3, 3, 0, 30, tzinfo=UTC))
    assert list(keys) == ["2026-03-01", "2026-03-02", "2026-03-03"]


def test_only_incomplete_has_no_days() -> None:
    assert {sync_type for sync_type in SyncType if not is_partitioned(sync_type)} == {SyncType.INCOMPLETE}
