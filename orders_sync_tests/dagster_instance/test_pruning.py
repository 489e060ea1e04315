"""Old runs of Dagster are deleted with their events and output; what the catalog shows stays."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from orders_sync.dagster_instance.pruning import prune_runs


@dg.asset
def stock() -> None:
    print("a line of output")


@dg.op
def fails() -> None:
    raise dg.Failure("on purpose")


@dg.job
def failing() -> None:
    fails()


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(str(tmp_path))


def test_old_runs_go_with_their_events_and_output_and_the_last_materialization_stays(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    first, last = (dg.materialize([stock], instance=instance).run_id for _ in range(2))
    failed = failing.execute_in_process(instance=instance, raise_on_error=False).run_id
    output = {path.name for path in tmp_path.rglob("storage/*")}
    assert {first, last} <= output
    assert prune_runs(instance, timedelta(days=1)) == 0
    assert prune_runs(instance, timedelta(seconds=-1)) == 2
    assert instance.get_run_ids() == [last]
    assert instance.all_logs(first) == instance.all_logs(failed) == []
    assert first not in {path.name for path in tmp_path.rglob("storage/*")}
    event = instance.get_latest_materialization_event(dg.AssetKey("stock"))
    assert event is not None
    assert event.run_id == last


def test_a_run_that_is_not_finished_stays(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(failing, status=dg.DagsterRunStatus.STARTED)
    assert prune_runs(instance, timedelta(seconds=-1)) == 0
    assert instance.get_run_ids() == [run.run_id]
