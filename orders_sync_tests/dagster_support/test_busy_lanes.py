"""Whether a lane is busy: by Dagster's runs however they were launched, else by the lock in the database."""

import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from orders_sync.dagster_support.busy_lanes import busy_with, runs_under_way
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType

LANE = Lane("shop", SyncType.NEW)
OTHERS = [Lane("shop", SyncType.CARE), Lane("other", SyncType.NEW)]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def a_run(
    instance: dg.DagsterInstance, status: DagsterRunStatus, *, job: str = "sync_new_orders", asset: str | None = None
) -> dg.DagsterRun:
    selection = None if asset is None else frozenset({dg.AssetKey(asset.split("/"))})
    run = dg.DagsterRun(job_name=job, run_id=str(uuid.uuid4()), status=status, asset_selection=selection)
    return instance.add_run(run)


def test_runs_under_way_are_those_not_ended_and_those_at_work_come_first(instance: dg.DagsterInstance) -> None:
    for status in DagsterRunStatus:
        if status not in (DagsterRunStatus.MANAGED, DagsterRunStatus.QUEUED):  # the latter needs a code server
            a_run(instance, status)
    found = [run.status for run in runs_under_way(instance)]
    assert found == [
        DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED,
    ]  # fmt: skip


def test_a_run_of_the_lanes_asset_makes_it_busy_whatever_its_job(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    run = a_run(instance, DagsterRunStatus.STARTED, job="__ASSET_JOB", asset="shop/new_orders")
    runs = runs_under_way(instance)
    assert busy_with(LANE, runs, connection) == f"run {run.run_id[:8]} (started)"
    assert [busy_with(lane, runs, connection) for lane in OTHERS] == [None, None]


def test_a_job_launched_whole_makes_the_lanes_of_all_accounts_busy(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    a_run(instance, DagsterRunStatus.STARTING)
    runs = runs_under_way(instance)
    for account in ("shop", "other"):
        assert str(busy_with(Lane(account, SyncType.NEW), runs, connection)).endswith("(starting)")
    assert busy_with(Lane("shop", SyncType.CARE), runs, connection) is None


def test_a_run_outside_dagster_makes_it_busy_while_it_holds_the_lane(connection: Connection) -> None:
    with hold(LANE, "cli-1") as holding:
        started(holding, LANE, "cli-1")
        assert busy_with(LANE, [], connection) == "run cli-1"
        assert [busy_with(lane, [], connection) for lane in OTHERS] == [None, None]
    assert busy_with(LANE, [], connection) is None
