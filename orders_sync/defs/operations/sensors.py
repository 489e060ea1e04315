"""What repairs itself: passes that are missing, and runs whose process has died."""

import json
import time
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import NamedTuple

import dagster as dg

from orders_sync.config.environment import dead_run_seconds, stalled_pass_seconds
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_instance.lane_assets import SYNC_TYPE_TAG
from orders_sync.dagster_support.busy_lanes import runs_under_way
from orders_sync.dagster_support.missing_passes import missing_passes
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.patient_ticks import look_until
from orders_sync.database.engine import Connection
from orders_sync.lanes.liveness import end_sign_of_life, is_alive, silent_for
from orders_sync.lanes.progress import EndedHolder, end_frozen_holders, end_stalled_passes, fail_dead_passes
from orders_sync.marketplaces.kit.accounts import account_names
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.sync_log import log_to_file

MINUTE = timedelta(minutes=1)
LOOK_SECONDS = 10.0
"""How often a tick looks for what is missing, or no longer works."""


@dg.sensor(
    name="missing_passes",
    asset_selection=reduce(or_, (dg.AssetSelection.tag(SYNC_TYPE_TAG, sync_type.value) for sync_type in SyncType)),
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Requests passes that are missing: of a new account at once, `new` first; of a lane whose last run did not "
        "succeed 1, 5, 15 and then 60 minutes after each failure in a row. A lane whose credential is refused pauses. "
        "A tick looks every 10 seconds, for up to 50."
    ),
)
def missing_passes_sensor(
    context: dg.SensorEvaluationContext, orders_database: OrdersDatabase
) -> dg.SensorResult | dg.SkipReason:
    """The cursor is that of `missing_passes`."""
    with orders_database.connect("missing passes") as connection:
        found = look_until(
            context,
            connection,
            lambda: missing_passes(context.instance, connection, load_schedules(), context.cursor, datetime.now(UTC)),
            lambda found: bool(found.requests),
            LOOK_SECONDS,
        )
    for reason in found.waiting:
        context.log.info(reason)
    if not found.requests:
        context.update_cursor(found.cursor)
        return dg.SkipReason("\n".join(found.waiting) or "No lane lacks a pass, or its run is under way.")
    return dg.SensorResult(run_requests=found.requests, cursor=found.cursor)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Fails runs whose process has died, so that they do not keep their lane busy: the process of a live run holds "
        "a database lock with the id of the run. Ends passes that make no progress, also those of the command line, "
        "and frozen commands that hold a lane. A tick looks every 10 seconds, for up to 50."
    ),
)
def dead_runs(context: dg.SensorEvaluationContext, orders_database: OrdersDatabase) -> dg.SkipReason:
    """Fails started runs without a sign of life, and what no longer works on a lane.

    The cursor: run id → since when it is silent (epoch).
    """
    silent: dict[str, float] = json.loads(context.cursor or "{}")
    with orders_database.connect("dead runs") as connection, log_to_file():

        def look() -> _Dead:
            nonlocal silent
            found = _dead(context.instance, connection, silent)
            silent = found.silent
            return found

        found = look_until(context, connection, look, lambda found: bool(found.to_fail or found.frozen), LOOK_SECONDS)
    for run_id, problem in found.to_fail.items():
        context.log.error(f"Run {run_id}: {problem}")
        if run_id in found.started:
            context.instance.report_run_failed(found.started[run_id], problem)
    context.update_cursor(json.dumps(found.silent))
    for each in found.frozen:
        context.log.error(f"{each.lane}: {each.holder}: {each.problem}. Its lane is free again.")
    done = [f"Failed dead runs: {', '.join(run_id[:12] for run_id in found.to_fail)}."] if found.to_fail else []
    done += [f"Ended {each.holder}." for each in found.frozen]
    return dg.SkipReason(" ".join(done) or "No dead runs.")


class _Dead(NamedTuple):
    """What no longer works on a lane."""

    started: dict[str, dg.DagsterRun]
    """All runs that have started, by their ids."""
    to_fail: dict[str, str]
    """Run id → what has become of it."""
    frozen: list[EndedHolder]
    """Commands whose hold on a lane was ended."""
    silent: dict[str, float]
    """Run id → since when it shows no sign of life (epoch): of runs that are not given up yet."""


def _dead(instance: dg.DagsterInstance, connection: Connection, silent_since: dict[str, float]) -> _Dead:
    """Ends what no longer works, and says which runs are to fail."""
    now = time.time()
    silent: dict[str, float] = {}
    started = {run.run_id: run for run in runs_under_way(instance) if run.status == dg.DagsterRunStatus.STARTED}
    patience = timedelta(seconds=stalled_pass_seconds())
    lanes = [Lane(name, sync_type) for name in account_names() for sync_type in SyncType]
    stalled = end_stalled_passes(connection, patience)
    frozen = end_frozen_holders(connection, lanes, patience)
    fail_dead_passes(connection)
    to_fail = {each.run_id: f"{each.lane}: {each.problem}. Its lane is free again." for each in stalled}
    for run_id in started.keys() - to_fail.keys():
        if is_alive(connection, run_id):
            if (silence := silent_for(connection, run_id)) > patience:
                end_sign_of_life(connection, run_id)
                to_fail[run_id] = (
                    f"The process of this run is frozen: it showed no sign of life for {silence // MINUTE} min, and "
                    "was ended."
                )
            continue
        since = silent_since.get(run_id, now)
        if now - since < dead_run_seconds():
            silent[run_id] = since
            continue
        to_fail[run_id] = (
            "The process of this run has died (it was killed, or its machine failed). Its lane is free again."
        )
    return _Dead(started, to_fail, frozen, silent)
