"""The asset of `modified` in a real instance: what its runs cover, which days they mark, what they show and log."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from orders_sync.components.lane_asset import lane_asset
from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_instance.lane_assets import RANGE_END_TAG, RANGE_START_TAG, job_name
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.run_requests import request_of
from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.databases import a_database
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account

LANE = Lane("shop", SyncType.MODIFIED)
STORAGE = {"module": "orders_sync.dagster_instance.storage", "class": "OrdersSyncStorage", "config": {}}
MARKED = """
SELECT DISTINCT partition FROM event_logs
WHERE run_id = %s AND dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NOT NULL ORDER BY partition
"""
PLANNED = """
SELECT DISTINCT partition FROM event_logs
WHERE run_id = %s AND dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED' ORDER BY partition
"""
SIZE = "SELECT count(*), sum(octet_length(event)) FROM event_logs WHERE run_id = %s"


@pytest.fixture
def event_log(template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """Dagster's own database, as the project's dagster.yaml has it."""
    with a_database(template, f"dagster_{uuid.uuid4().hex[:16]}") as url:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
        with psycopg.connect(url, autocommit=True) as opened:
            yield opened


Run = Callable[[dict[str, str]], str]


@pytest.fixture
def instance(event_log: psycopg.Connection, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), {"storage": {"custom": STORAGE}}) as opened:
        yield opened


@pytest.fixture
def run(account: SellerAccount, instance: dg.DagsterInstance) -> Run:
    """Runs the job of `modified` for one account with these tags; gives the id of the run."""
    asset = lane_asset(LANE, account, load_schedules())
    job = dg.define_asset_job(job_name(LANE.sync_type), [asset.key], executor_def=dg.in_process_executor)
    definitions = dg.Definitions([asset], jobs=[job], resources={"orders_database": OrdersDatabase()})

    def launch(tags: dict[str, str]) -> str:
        made = definitions.resolve_job_def(job.name)
        return made.execute_in_process(instance=instance, tags=tags, raise_on_error=False).run_id

    return launch


@pytest.fixture
def nightly(run: Run, connection: Connection) -> Callable[[], str]:
    """Runs what a tick of the schedule requests."""
    return lambda: run(dict(request_of(connection, LANE, "back_market", load_schedules(), None).tags))


def test_an_asset_says_that_its_sync_is_switched_off(marketplace: Marketplace) -> None:
    account = sandbox_account(marketplace, syncs={"modified": False})
    asset = lane_asset(LANE, account, load_schedules())
    (spec,) = asset.specs
    assert str(spec.description).startswith("**Switched off** by `syncs` in the account's file")
    assert spec.freshness_policy is None


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d")


def days_between(first: int, last: int) -> list[str]:
    return [days_ago(number) for number in range(first, last - 1, -1)]


def partitions(event_log: psycopg.Connection, query: str, run_id: str) -> list[str]:
    return [day for (day,) in event_log.execute(query, [run_id])]  # pyright: ignore[reportArgumentType]


def marked_later(event_log: psycopg.Connection, run_id: str) -> list[str]:
    """The days that a later run marked, of those that the first one covered.

    In the first hour of a day (UTC) the overlap makes one day more of the past whole.
    """
    return [day for day in partitions(event_log, MARKED, run_id) if day >= days_ago(92)]


def set_watermark(connection: Connection, days: int) -> None:
    connection.execute("UPDATE lanes SET watermark = now() - make_interval(days => %s)", [days])


def range_start(connection: Connection) -> datetime:
    row = connection.execute(
        "SELECT (summary->>'range_start')::timestamptz FROM lane_runs ORDER BY lane_run_id DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    return row[0]


def test_a_nightly_run_marks_the_days_since_the_watermark_and_those_that_its_pass_changed(
    nightly: Callable[[], str], event_log: psycopg.Connection, connection: Connection, marketplace: Marketplace
) -> None:
    for number in (1, 2, 30, 60):
        an_order(marketplace, number, age=timedelta(days=number))
    first = nightly()
    assert partitions(event_log, MARKED, first) == days_between(92, 0)
    set_watermark(connection, 1)
    an_order(marketplace, 30, age=timedelta(days=30), price="99.00")  # its version of that day shows only now
    an_order(marketplace, 45, age=timedelta(days=45))
    later = nightly()
    assert partitions(event_log, PLANNED, later) == days_between(1, 0)
    assert marked_later(event_log, later) == [days_ago(45), days_ago(30), *days_between(1, 0)]
    assert range_start(connection) < datetime.now(UTC) - timedelta(days=92)


def test_a_nightly_run_of_a_quiet_lane_writes_little(
    nightly: Callable[[], str], event_log: psycopg.Connection, connection: Connection
) -> None:
    """It wrote 204 rows and 587 kB when it marked three months."""
    nightly()
    set_watermark(connection, 1)
    rows, size = event_log.execute(SIZE, [nightly()]).fetchone() or (0, 0)
    assert 0 < rows <= 26
    assert 0 < size < 50_000


def test_days_that_no_run_had_marked_are_marked_although_the_command_line_moved_the_watermark(
    nightly: Callable[[], str], event_log: psycopg.Connection, connection: Connection
) -> None:
    nightly()
    set_watermark(connection, 1)
    event_log.execute("DELETE FROM event_logs WHERE partition = ANY(%s)", [days_between(5, 3)])
    assert marked_later(event_log, nightly()) == [*days_between(5, 3), *days_between(1, 0)]


def test_a_backfill_covers_and_marks_the_days_that_a_person_selected(
    nightly: Callable[[], str],
    run: Run,
    event_log: psycopg.Connection,
    connection: Connection,
    marketplace: Marketplace,
    account: SellerAccount,
) -> None:
    nightly()
    an_order(marketplace, 1, age=timedelta(days=2))
    backfill = run({RANGE_START_TAG: days_ago(90), RANGE_END_TAG: days_ago(1)})
    assert partitions(event_log, PLANNED, backfill) == days_between(90, 1)
    assert partitions(event_log, MARKED, backfill) == days_between(90, 1)
    selected = datetime.fromisoformat(days_ago(90)).replace(tzinfo=UTC)
    assert selected - range_start(connection) == timedelta(minutes=account.settings.overlap_minutes)
    nothing_selected = run({RANGE_START_TAG: days_ago(3), RANGE_END_TAG: days_ago(3)})
    assert partitions(event_log, MARKED, nothing_selected) == [days_ago(3)], "one day, whatever else has changed"


def events_of(instance: dg.DagsterInstance, *key: str) -> list[dg.AssetMaterialization]:
    records = instance.fetch_materializations(dg.AssetKey(key), limit=200).records
    return [event for record in records if (event := record.asset_materialization) is not None]


def test_a_pass_over_three_months_is_one_point_and_a_day_shows_only_what_belongs_to_it(
    nightly: Callable[[], str], instance: dg.DagsterInstance, marketplace: Marketplace
) -> None:
    for number in (1, 2, 30):
        an_order(marketplace, number, age=timedelta(days=number))
    run_id = nightly()
    (point,) = events_of(instance, "shop", "modified_passes")
    assert (point.metadata["created"].value, point.metadata["changed"].value) == (3, 0)
    assert {"rejected", "flawed", "api_calls", "throttled_seconds", "lag_seconds", "seconds"} <= set(point.metadata)
    assert point.metadata["run"].value == run_id
    days = {event.partition: dict(event.metadata) for event in events_of(instance, "shop", "modified_orders")}
    assert len(days) == 93
    assert {tuple(metadata) for metadata in days.values()} == {("changed_orders",)}
    assert sum(int(str(metadata["changed_orders"].value)) for metadata in days.values()) == 3
    assert days[days_ago(30)]["changed_orders"].value == 1


def test_a_pass_reports_an_order_that_breaks_a_rule_at_once_and_nothing_of_one_that_keeps_them(
    nightly: Callable[[], str], instance: dg.DagsterInstance, marketplace: Marketplace, event_log: psycopg.Connection
) -> None:
    def broken() -> list[str]:
        return [text for (text,) in event_log.execute(EVALUATIONS)]

    an_order(marketplace, 1)
    nightly()
    assert broken() == []
    an_order(marketplace, 2, skus=("A", "B"))
    marketplace.change(2, price="5.00")
    nightly()
    (evaluation,) = broken()
    assert "totals_add_up" in evaluation
    assert "Among the orders that a pass of shop/modified stored." in evaluation
    nightly()
    assert len(broken()) == 1, "a pass that stores nothing says nothing"


EVALUATIONS = """
SELECT event FROM event_logs WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION' AND event NOT LIKE '%nothing_put_off%'
"""


def test_a_failed_run_says_once_why_and_what_happens_next_and_has_the_lines_of_its_pass(
    nightly: Callable[[], str], instance: dg.DagsterInstance, marketplace: Marketplace
) -> None:
    marketplace.fault("status", path="/ws/orders", status=401, times=1)
    run_id = nightly()
    failed = next(each for each in instance.all_logs(run_id) if is_step_failure(each))
    assert failed.dagster_event is not None
    data = failed.dagster_event.step_failure_data
    text = str(data.user_failure_data and data.user_failure_data.description)
    assert text.count("the credential is wrong or lacks a right") == 1
    assert "it runs again when the account's file or credential has changed" in text
    assert "Nothing is lost" in text
    lines = [each.user_message for each in instance.all_logs(run_id) if each.dagster_event is None]
    assert any("run " in line and line.endswith(" begins") for line in lines), lines
    assert not any("credential is wrong" in line for line in lines), "the failure says so"


def is_step_failure(entry: dg.EventLogEntry) -> bool:
    return entry.dagster_event is not None and entry.dagster_event.event_type_value == "STEP_FAILURE"


def test_a_failed_run_is_tried_again_and_one_of_selected_days_is_not(
    nightly: Callable[[], str], run: Run, instance: dg.DagsterInstance, marketplace: Marketplace
) -> None:
    def reason(run_id: str) -> str:
        failed = next(each for each in instance.all_logs(run_id) if is_step_failure(each))
        assert failed.dagster_event is not None
        data = failed.dagster_event.step_failure_data.user_failure_data
        return str(data and data.description)

    marketplace.fault("status", path="/ws/orders", status=404, times=0)
    assert "It is tried again in 1 min" in reason(nightly())
    assert "It is tried again in 5 min" in reason(nightly())
    selected = reason(run({RANGE_START_TAG: days_ago(3), RANGE_END_TAG: days_ago(3)}))
    assert "To fetch the selected days, launch them once more. The lane is tried again in 15 min" in selected
