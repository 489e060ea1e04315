"""Passes that are missing: requested with longer and longer pauses; not where the credential is refused."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from orders_sync.acts.by import By
from orders_sync.config import code_location
from orders_sync.config.schedules import ScheduleSettings, check_schedules
from orders_sync.dagster_instance.internals import InstigatorStatus, InstigatorType
from orders_sync.dagster_support.missing_passes import missing_passes
from orders_sync.dagster_support.run_requests import requests_of_tick
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import finished, started
from orders_sync.lanes.lock import hold
from orders_sync.lanes.pauses import pause_account, resume_account
from orders_sync.lanes.progress import fail_dead_passes
from orders_sync.marketplaces.kit import accounts
from orders_sync.marketplaces.kit.accounts import find_account
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import STOPPED, PassFailedError, run_pass
from orders_sync.sync.pass_request import PassRequest
from orders_sync.testing.deployment import write_account
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import add_account
from orders_sync_tests.dagster_instance.test_automation import switch

NEW = Lane("shop", SyncType.NEW)
YEARLY = {sync_type.value: "0 0 1 1 *" for sync_type in SyncType}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path, marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Path:
    """The project's accounts folder, with the one account `shop`."""
    add_account(tmp_path, marketplace, "shop")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    return tmp_path


class Sensor:
    """The sensor, evaluated at any moment; its ticks are a year apart unless said otherwise."""

    def __init__(self, instance: dg.DagsterInstance, connection: Connection, **crons: str) -> None:
        self.instance = instance
        self.connection = connection
        self.settings: ScheduleSettings = check_schedules({"schedules": {**YEARLY, **crons}}, "defs.yaml")
        self.cursor: str | None = None
        self.waiting: list[str] = []

    def evaluate(self, now: datetime) -> list[str]:
        """The lanes that are requested."""
        found = missing_passes(self.instance, self.connection, self.settings, self.cursor, now)
        self.cursor, self.waiting = found.cursor, found.waiting
        return [str(run.run_key).rpartition("/missing/")[0] for run in found.requests]


@pytest.fixture
def sensor(instance: dg.DagsterInstance, connection: Connection, folder: Path) -> Sensor:
    return Sensor(instance, connection)


def record(connection: Connection, lane: Lane, problem: str | None) -> datetime:
    """Stores a pass that has ended; returns when."""
    with hold(lane, "run") as holding:
        finished(holding, lane, started(holding, lane, "run"), PassSummary(), problem)
    return datetime.now(UTC)


def all_succeeded(connection: Connection) -> None:
    for sync_type in SyncType:
        record(connection, Lane("shop", sync_type), None)


def test_a_new_account_begins_with_its_orders_and_the_other_lanes_follow(
    sensor: Sensor, connection: Connection
) -> None:
    now = datetime.now(UTC)
    assert sensor.evaluate(now) == ["shop/new"]
    assert sensor.evaluate(now) == []
    record(connection, NEW, None)
    assert sensor.evaluate(now) == ["shop/modified", "shop/care", "shop/incomplete"]


def test_an_account_that_waits_for_a_reload_stops_no_other(
    sensor: Sensor, folder: Path, marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster would refuse all requests, since the definitions have no assets of it yet."""
    add_account(folder, marketplace, "newer")
    monkeypatch.setattr(code_location, "_loaded_accounts", frozenset(["shop"]))
    assert sensor.evaluate(datetime.now(UTC)) == ["shop/new"]
    tick = requests_of_tick(
        sensor.instance, sensor.connection, SyncType.NEW, datetime(2026, 1, 5, 12, tzinfo=UTC), sensor.settings
    )
    assert [each.tags["orders_sync/account"] for each in tick.runs] == ["shop"]
    assert "Account newer is new, or was corrected: reload the code location in the UI." in tick.skipped


def test_where_nothing_is_missing_nothing_is_requested(sensor: Sensor, connection: Connection) -> None:
    all_succeeded(connection)
    assert (sensor.evaluate(datetime.now(UTC)), sensor.waiting) == ([], [])


def test_a_lane_that_fails_is_tried_after_1_5_15_and_60_minutes_until_it_succeeds(
    sensor: Sensor, connection: Connection
) -> None:
    all_succeeded(connection)
    now = record(connection, NEW, "the marketplace is down")
    for minutes in (1, 5, 15, 60, 60):
        due = now + minutes * MINUTE
        assert sensor.evaluate(due - timedelta(seconds=5)) == []
        assert sensor.waiting[0].startswith("Lane shop/new is tried again at ")
        assert sensor.evaluate(due) == ["shop/new"]
        assert sensor.evaluate(due) == []
        record(connection, NEW, "the marketplace is down")
        now = due
    record(connection, NEW, None)
    assert (sensor.evaluate(now + timedelta(days=1)), sensor.waiting) == ([], [])


def test_a_pass_that_was_killed_is_a_failure_too(sensor: Sensor, connection: Connection) -> None:
    all_succeeded(connection)
    with hold(NEW, "doomed") as holding:
        started(holding, NEW, "doomed")
    fail_dead_passes(connection)
    now = datetime.now(UTC)
    assert sensor.evaluate(now) == []
    assert sensor.evaluate(now + MINUTE) == ["shop/new"]


def test_a_tick_whose_run_never_began_is_made_up(
    sensor: Sensor, instance: dg.DagsterInstance, connection: Connection
) -> None:
    """Dagster drops a run for good that it can't launch."""
    all_succeeded(connection)
    now = datetime.now(UTC)
    assert len(requests_of_tick(instance, connection, SyncType.NEW, now, sensor.settings).runs) == 1
    assert sensor.evaluate(now + timedelta(seconds=50)) == []
    assert sensor.evaluate(now + MINUTE * 1.1) == ["shop/new"]
    assert sensor.evaluate(now + MINUTE * 6) == []
    assert sensor.evaluate(now + MINUTE * 6.2) == ["shop/new"]


def test_a_tick_of_which_nothing_came_is_made_up(
    instance: dg.DagsterInstance, connection: Connection, folder: Path
) -> None:
    """As when the database did not answer at the tick, or the daemon was down."""
    sensor = Sensor(instance, connection, modified="0 2 * * *")
    all_succeeded(connection)
    tick = sensor.settings.next_tick(SyncType.MODIFIED, datetime.now(UTC))
    assert sensor.evaluate(tick + MINUTE * 9) == []
    assert sensor.evaluate(tick + MINUTE * 11) == ["shop/modified"]
    assert sensor.evaluate(tick + MINUTE * 11.5) == []


def test_a_tick_of_an_accounts_own_schedule_is_made_up(
    sensor: Sensor, connection: Connection, folder: Path, marketplace: Marketplace, instance: dg.DagsterInstance
) -> None:
    add_account(folder, marketplace, "shop", schedules={"new": "0 * * * *"})
    all_succeeded(connection)
    connection.execute(
        "UPDATE lanes SET last_started_at = now() - interval '2 hours', last_finished_at = last_started_at"
    )
    tick = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert sensor.evaluate(tick + 9 * MINUTE) == [] or tick + 9 * MINUTE < datetime.now(UTC)
    switch(instance, InstigatorType.SCHEDULE, "sync_new_orders_schedule", InstigatorStatus.STOPPED)
    assert sensor.evaluate(tick + 71 * MINUTE) == ["shop/new"], "another schedule is switched off, not its own"


def test_a_tick_that_came_while_a_pass_worked_on_the_lane_is_not_made_up(
    instance: dg.DagsterInstance, connection: Connection, folder: Path
) -> None:
    sensor = Sensor(instance, connection, new="0 * * * *")
    all_succeeded(connection)
    tick = sensor.settings.last_tick(SyncType.NEW, datetime.now(UTC))
    connection.execute("UPDATE lanes SET last_started_at = %s, last_finished_at = %s", [tick - MINUTE, tick + MINUTE])
    assert sensor.evaluate(max(datetime.now(UTC), tick + MINUTE * 11)) == []


def test_a_run_that_somebody_stopped_is_left_to_the_next_tick(
    sensor: Sensor, instance: dg.DagsterInstance, connection: Connection
) -> None:
    all_succeeded(connection)
    stopped = a_run(instance, DagsterRunStatus.CANCELED)
    with hold(NEW, stopped.run_id) as holding:
        finished(holding, NEW, started(holding, NEW, stopped.run_id), PassSummary(), STOPPED)
    assert sensor.evaluate(datetime.now(UTC) + MINUTE * 2) == []
    assert sensor.waiting == [f"Lane shop/new: somebody stopped run {stopped.run_id[:8]}. It is left to its next tick."]


def test_a_lane_is_left_to_its_next_tick(instance: dg.DagsterInstance, connection: Connection, folder: Path) -> None:
    sensor = Sensor(instance, connection, new="*/30 * * * *")
    all_succeeded(connection)
    for _ in range(3):
        record(connection, NEW, "the marketplace is down")
    failed_at = record(connection, NEW, "the marketplace is down")
    tick = sensor.settings.next_tick(SyncType.NEW, failed_at + timedelta(hours=2))
    assert sensor.evaluate(tick - timedelta(seconds=50)) == []
    assert sensor.waiting == [f"Lane shop/new is left to its tick at {tick:%H:%M:%S} UTC."]
    assert sensor.evaluate(tick + timedelta(seconds=50)) == []
    assert sensor.evaluate(tick + MINUTE * 2) == ["shop/new"]


def test_a_run_that_is_queued_already_is_not_doubled(
    sensor: Sensor, instance: dg.DagsterInstance, connection: Connection
) -> None:
    all_succeeded(connection)
    later = record(connection, NEW, "down") + MINUTE * 2
    retry = a_run(instance, DagsterRunStatus.NOT_STARTED)
    assert sensor.evaluate(later) == []
    instance.report_run_failed(retry)
    assert sensor.evaluate(later) == ["shop/new"]


@pytest.mark.parametrize(
    ("tags", "requested"),
    [
        ({"dagster/will_retry": "true"}, []),
        ({"dagster/will_retry": "true", "dagster/auto_retry_run_id": "another"}, ["shop/new"]),
        ({"dagster/will_retry": "false"}, ["shop/new"]),
    ],
)
def test_a_run_that_dagster_will_retry_is_not_doubled(
    sensor: Sensor, instance: dg.DagsterInstance, connection: Connection, tags: dict[str, str], requested: list[str]
) -> None:
    """Dagster marks a failed run at once, and requests its retry some seconds later."""
    all_succeeded(connection)
    later = record(connection, NEW, "its process died") + MINUTE * 2
    a_run(instance, DagsterRunStatus.FAILURE, **tags)
    assert sensor.evaluate(later) == requested
    assert any("Dagster retries run" in reason for reason in sensor.waiting) is not bool(requested)


def a_run(instance: dg.DagsterInstance, status: DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    lane = {"orders_sync/account": "shop", "orders_sync/sync_type": "new"}
    run = dg.DagsterRun(
        job_name="sync_new_orders", run_id=str(uuid.uuid4()), status=status, tags={**lane, **tags},
        asset_selection=frozenset({dg.AssetKey(["shop", "new_orders"])}),
    )  # fmt: skip
    return instance.add_run(run)


def test_a_lane_whose_schedule_is_switched_off_is_left_alone(
    sensor: Sensor, instance: dg.DagsterInstance, connection: Connection
) -> None:
    all_succeeded(connection)
    later = record(connection, NEW, "the marketplace is down") + MINUTE * 2
    switch(instance, InstigatorType.SCHEDULE, "sync_new_orders_schedule", InstigatorStatus.STOPPED)
    assert (sensor.evaluate(later), sensor.waiting) == ([], ["Lane shop/new: its schedule is switched off."])


def test_no_pass_is_tried_while_the_marketplace_has_requested_a_pause(sensor: Sensor, connection: Connection) -> None:
    all_succeeded(connection)
    later = record(connection, NEW, "a pause") + MINUTE * 2
    connection.execute(
        "INSERT INTO rate_limits (account, bucket, next_slot, blocked_until) "
        "VALUES ('shop', 'edge', now(), now() + interval '1 hour')"
    )
    assert sensor.evaluate(later) == []
    assert sensor.waiting[0].startswith("Lane shop/new: the marketplace requested a pause until ")
    assert sensor.evaluate(later + MINUTE * 60) == ["shop/new"]


def test_an_account_without_its_variable_makes_one_failed_run_a_day(
    sensor: Sensor, instance: dg.DagsterInstance, connection: Connection, folder: Path, marketplace: Marketplace
) -> None:
    add_account(folder, marketplace, "shop", token="NOT_SET_TOKEN")
    account = find_account("shop")
    began, failed, reasons = datetime.now(UTC), 0, list[str]()
    for minutes in range(0, 24 * 60, 10):
        now = began + minutes * MINUTE
        for _ in sensor.evaluate(now):
            with pytest.raises(PassFailedError, match="NOT_SET_TOKEN is not set"):
                run_pass(PassRequest(account, SyncType.NEW, "run"))
            failed += 1
        if minutes % 60 == 0:
            for sync_type in SyncType:
                tick = requests_of_tick(instance, connection, sync_type, now, sensor.settings)
                assert tick.runs == []
                reasons += tick.skipped
    assert failed == 1
    assert len(reasons) == 24 * len(SyncType)
    assert all(
        f"Lane shop/{t} pauses since" in reasons[n] and "NOT_SET_TOKEN is not set" in reasons[n]
        for n, t in enumerate(SyncType)
    )
    add_account(folder, marketplace, "shop")
    assert sensor.evaluate(began + timedelta(days=1)) == ["shop/new"]


def test_an_account_whose_file_has_an_error_does_not_stop_the_others(sensor: Sensor, folder: Path) -> None:
    write_account(folder, "broken", {"marketplace": "none"})
    assert sensor.evaluate(datetime.now(UTC)) == ["shop/new"]


def test_the_cursor_of_an_account_that_is_gone_is_left_out(sensor: Sensor) -> None:
    sensor.cursor = '{"gone/new": [1700000000.5]}'
    assert sensor.evaluate(datetime.now(UTC)) == ["shop/new"]


def test_what_a_paused_account_misses_is_requested_once_it_is_resumed(sensor: Sensor, connection: Connection) -> None:
    pause_account(connection, "shop", By("anna@desk", "it moves"))
    now = datetime.now(UTC)
    assert sensor.evaluate(now) == []
    assert all(reason.startswith("Account shop is paused since") for reason in sensor.waiting)
    resume_account(connection, "shop", By("anna@desk", "it has moved"))
    assert "shop/new" in sensor.evaluate(now + MINUTE)


def test_a_sync_that_is_switched_off_misses_nothing(
    sensor: Sensor, connection: Connection, folder: Path, marketplace: Marketplace
) -> None:
    add_account(folder, marketplace, "shop", syncs={"new": False, "care": False})
    assert sensor.evaluate(datetime.now(UTC)) == ["shop/modified", "shop/incomplete"]
