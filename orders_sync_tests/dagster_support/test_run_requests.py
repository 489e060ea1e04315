"""Which runs a tick requests: one for each account whose lane is free, each tick once; and the days they cover."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
import yaml

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.first_day import FIRST_PASS_DAYS
from orders_sync.dagster_instance.lane_assets import FROM_WATERMARK_TAG, IN_TURN_TAG, schedule_name
from orders_sync.dagster_support.run_requests import TickRequests, request_of, requests_of_tick
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import hold
from orders_sync.lanes.watermark import advance_watermark
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS

ACCOUNTS = tuple(SANDBOX_ACCOUNTS)
SETTINGS = ScheduleSettings()
TICK_AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def tick(instance: dg.DagsterInstance, connection: Connection, at: datetime = TICK_AT) -> TickRequests:
    return requests_of_tick(instance, connection, SyncType.NEW, at, SETTINGS)


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d")


def set_watermark(connection: Connection, lane: Lane, to: datetime) -> None:
    started(connection, lane, "a run")
    advance_watermark(connection, lane, to)


def test_a_tick_requests_a_run_for_each_account(instance: dg.DagsterInstance, connection: Connection) -> None:
    assert tuple(sorted(load_accounts()[0])) == ACCOUNTS
    requests = tick(instance, connection)
    assert requests.skipped == []
    assert sorted(str(run.run_key) for run in requests.runs) == [
        f"{account}/new/2026-03-01T06:00:00+00:00" for account in ACCOUNTS
    ]
    for run in requests.runs:
        assert run.asset_selection == [dg.AssetKey([run.tags["orders_sync/account"], "new_orders"])]
        assert run.tags["orders_sync/sync_type"] == "new"
        assert run.tags[FROM_WATERMARK_TAG] == "watermark"


def test_a_second_daemon_requests_nothing_for_the_same_tick(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    assert len(tick(instance, connection).runs) == 3
    again = tick(instance, connection)
    assert again.runs == []
    assert sorted(again.skipped) == [f"Lane {a}/new: another daemon has taken this tick." for a in ACCOUNTS]
    assert len(tick(instance, connection, TICK_AT + timedelta(hours=2)).runs) == 3


def test_a_tick_whose_daemon_died_is_taken_again(instance: dg.DagsterInstance, connection: Connection) -> None:
    assert len(tick(instance, connection).runs) == 3
    connection.execute("UPDATE schedule_ticks SET taken_at = now() - interval '4 minutes'")
    assert tick(instance, connection).runs == []
    connection.execute("UPDATE schedule_ticks SET taken_at = now() - interval '6 minutes'")
    assert len(tick(instance, connection).runs) == 3


def test_a_busy_lane_is_skipped_and_the_others_are_not(instance: dg.DagsterInstance, connection: Connection) -> None:
    lane = Lane("mirakl_sandbox", SyncType.NEW)
    with hold(lane, "cli-1") as holding:
        started(holding, lane, "cli-1")
        requests = tick(instance, connection)
    assert [run.tags["orders_sync/account"] for run in requests.runs] == ["back_market_sandbox", "refurbed_sandbox"]
    assert requests.skipped == ["Lane mirakl_sandbox/new is busy: run cli-1 works on it."]
    assert len(tick(instance, connection).runs) == 1  # a lane that was busy has not used up its tick


@pytest.mark.parametrize("sync_type", [SyncType.NEW, SyncType.CARE, SyncType.MODIFIED])
def test_a_first_pass_covers_three_months(connection: Connection, sync_type: SyncType) -> None:
    tags = request_of(connection, Lane("shop", sync_type), "back_market", SETTINGS, None).tags
    assert (tags[START], tags[END]) == (days_ago(FIRST_PASS_DAYS), days_ago(0))


@pytest.mark.parametrize("sync_type", [SyncType.NEW, SyncType.CARE, SyncType.MODIFIED])
def test_the_partitions_of_a_later_run_are_the_days_since_the_watermark(
    connection: Connection, sync_type: SyncType
) -> None:
    """Also of `modified`, which looks at three months: each partition costs two rows of the event log."""
    lane = Lane("shop", sync_type)
    set_watermark(connection, lane, datetime.now(UTC) - timedelta(days=3))
    tags = request_of(connection, lane, "back_market", SETTINGS, None).tags
    assert (tags[START], tags[END]) == (days_ago(3), days_ago(0))


def test_the_days_lie_within_the_partitions(connection: Connection) -> None:
    lane = Lane("shop", SyncType.NEW)
    set_watermark(connection, lane, datetime.now(UTC) + timedelta(days=2))  # a clock that went wrong
    tags = request_of(connection, lane, "back_market", SETTINGS, None).tags
    assert (tags[START], tags[END]) == (days_ago(0), days_ago(0))
    late = ScheduleSettings(partitions_start=date.fromisoformat(days_ago(10)))
    tags = request_of(connection, Lane("shop", SyncType.MODIFIED), "back_market", late, None).tags
    assert (tags[START], tags[END]) == (days_ago(10), days_ago(0))


def test_incomplete_has_no_days(connection: Connection) -> None:
    request = request_of(connection, Lane("shop", SyncType.INCOMPLETE), "back_market", SETTINGS, "a key")
    assert request.run_key == "a key"
    assert not {START, END} & set(request.tags)


def test_care_and_incomplete_of_an_account_run_in_turn_care_first(connection: Connection) -> None:
    """The brief lets both tick at 4:00. The scheduler takes the schedules of a tick by name, the queue the first one."""
    in_turn = {
        sync_type: request_of(connection, Lane("shop", sync_type), "back_market", SETTINGS, None).tags.get(IN_TURN_TAG)
        for sync_type in SyncType
    }
    assert in_turn == {
        SyncType.NEW: None, SyncType.MODIFIED: None, SyncType.CARE: "shop", SyncType.INCOMPLETE: "shop",
    }  # fmt: skip
    assert schedule_name(SyncType.CARE) < schedule_name(SyncType.INCOMPLETE)
    limits = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["concurrency"]["runs"][
        "tag_concurrency_limits"
    ]
    assert {"key": IN_TURN_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1} in limits
