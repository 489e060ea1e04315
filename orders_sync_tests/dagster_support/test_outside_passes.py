"""Passes of the command line in Dagster: each is shown once, with its figures, in the days that it covers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_support.outside_passes import MAX_SHOWN, OutsidePass, is_shown, passes_to_show, show
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import finished, started
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import run_pass
from orders_sync.sync.pass_request import PassRequest
from orders_sync.testing.marketplace import Marketplace, an_order

NEW, INCOMPLETE = Lane("shop", SyncType.NEW), Lane("shop", SyncType.INCOMPLETE)
SETTINGS = ScheduleSettings()
ORDERS, PASSES = dg.AssetKey(["shop", "new_orders"]), dg.AssetKey(["shop", "new_passes"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def by_hand(account: SellerAccount, sync_type: SyncType = SyncType.NEW, run_id: str = "cli-1") -> None:
    run_pass(PassRequest(account, sync_type, run_id))


def tick(connection: Connection, instance: dg.DagsterInstance, cursor: str) -> tuple[list[str], str]:
    """What a tick of the sensor shows, by run id, and its next cursor."""
    made, cursor = passes_to_show(connection, cursor)
    new = [each for each in made if not is_shown(instance, each)]
    for each in new:
        show(instance, connection, each, SETTINGS)
    return [each.run_id for each in new], cursor


def events(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[dg.AssetMaterialization]:
    records = instance.fetch_materializations(key, limit=200).records
    return [event for record in records if (event := record.asset_materialization) is not None]


def test_a_pass_of_the_command_line_is_one_point_and_marks_its_days(
    connection: Connection, instance: dg.DagsterInstance, account: SellerAccount, marketplace: Marketplace
) -> None:
    _, cursor = passes_to_show(connection, None)
    an_order(marketplace, 1, age=timedelta(days=2))
    by_hand(account)
    shown, cursor = tick(connection, instance, cursor)
    assert shown == ["cli-1"]
    (point,) = events(instance, PASSES)
    assert (point.metadata["created"].value, point.description) == (1, "`orders-sync sync`, run cli-1")
    days = {event.partition: event.metadata["dagster/partition_row_count"].value for event in events(instance, ORDERS)}
    assert datetime.now(UTC).strftime("%Y-%m-%d") in days
    assert sum(int(str(rows)) for rows in days.values()) == 1
    assert tick(connection, instance, cursor)[0] == []


def test_a_pass_is_shown_once_although_the_tick_that_showed_it_kept_no_cursor(
    connection: Connection, instance: dg.DagsterInstance, account: SellerAccount
) -> None:
    _, cursor = passes_to_show(connection, None)
    by_hand(account)
    assert tick(connection, instance, cursor)[0] == ["cli-1"]
    assert tick(connection, instance, cursor)[0] == []
    assert len(events(instance, PASSES)) == 1


def test_a_long_pass_is_shown_although_a_later_one_ended_before_it(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    _, cursor = passes_to_show(connection, None)
    long = started(connection, NEW, "cli-long")
    short = started(connection, INCOMPLETE, "cli-short")
    finished(connection, INCOMPLETE, short, PassSummary(documents_found=3), None)
    connection.execute("UPDATE lane_runs SET started_at = started_at - interval '1 hour'")
    shown, cursor = tick(connection, instance, cursor)
    assert shown == ["cli-short"]
    (point,) = events(instance, dg.AssetKey(["shop", "incomplete_orders"]))
    assert point.metadata["documents_found"].value == 3
    finished(connection, NEW, long, PassSummary(created=1), None)
    shown, cursor = tick(connection, instance, cursor)
    assert shown == ["cli-long"]
    assert json.loads(cursor) == {"after": short, "shown": []}


def test_runs_of_dagster_and_failed_passes_and_those_before_the_first_tick_are_left_alone(
    connection: Connection, instance: dg.DagsterInstance, account: SellerAccount, marketplace: Marketplace
) -> None:
    by_hand(account, run_id="cli-before")
    _, cursor = passes_to_show(connection, None)
    by_hand(account, run_id="1a2b")
    finished(connection, NEW, started(connection, NEW, "cli-failed"), PassSummary(), "no")
    assert tick(connection, instance, cursor)[0] == []


def test_a_pass_makes_days_of_a_failed_run_green_again(
    connection: Connection, instance: dg.DagsterInstance, account: SellerAccount
) -> None:
    today = datetime.now(UTC)
    day_before = (today - timedelta(days=1)).strftime("%Y-%m-%d")
    instance.report_runless_asset_event(dg.AssetMaterialization(ORDERS, partition=day_before))
    summary = {
        "range_start": (today - timedelta(days=1)).isoformat(),
        "range_end": today.isoformat(),
        "watermark": today.isoformat(),
    }
    made = OutsidePass(NEW, "cli-2", today, today, summary)
    show(instance, connection, made, SETTINGS)
    assert {event.partition for event in events(instance, ORDERS)} == {day_before, today.strftime("%Y-%m-%d")}


def test_many_passes_are_shown_over_several_ticks_and_each_once(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    _, cursor = passes_to_show(connection, None)
    for number in range(MAX_SHOWN * 2 + 3):
        finished(connection, INCOMPLETE, started(connection, INCOMPLETE, f"cli-{number}"), PassSummary(), None)
    ticks: list[list[str]] = []
    for _ in range(4):
        made, cursor = tick(connection, instance, cursor)
        ticks.append(made)
    assert [len(made) for made in ticks] == [MAX_SHOWN, MAX_SHOWN, 3, 0]
    assert len({run_id for made in ticks for run_id in made}) == MAX_SHOWN * 2 + 3


def test_a_pass_that_is_shown_late_has_not_changed_what_later_passes_stored(
    connection: Connection, instance: dg.DagsterInstance, account: SellerAccount, marketplace: Marketplace
) -> None:
    _, cursor = passes_to_show(connection, None)
    by_hand(account, SyncType.MODIFIED)
    an_order(marketplace, 1)
    by_hand(account, SyncType.NEW, "1a2b")
    assert tick(connection, instance, cursor)[0] == ["cli-1"]
    marked = events(instance, dg.AssetKey(["shop", "modified_orders"]))
    assert sum(int(str(event.metadata["changed_orders"].value)) for event in marked) == 0


def test_a_pass_across_midnight_shows_what_yesterday_got(
    connection: Connection, instance: dg.DagsterInstance, account: SellerAccount, marketplace: Marketplace
) -> None:
    now = datetime.now(UTC)
    yesterday = (now - timedelta(days=1)).strftime("%Y-%m-%d")
    an_order(marketplace, 1, age=timedelta(days=1))
    by_hand(account, run_id="1a2b")
    instance.report_runless_asset_event(dg.AssetMaterialization(ORDERS, partition=yesterday))
    window = {"range_start": (now - timedelta(days=1, hours=1)).isoformat(), "range_end": now.isoformat()}
    show(instance, connection, OutsidePass(NEW, "cli-2", now, now, {**window, "watermark": now.isoformat()}), SETTINGS)
    counts = [
        event.metadata["dagster/partition_row_count"].value
        for event in events(instance, ORDERS)
        if event.partition == yesterday and "dagster/partition_row_count" in event.metadata
    ]
    assert counts == [1]
