"""What keeps the house running by itself: first passes of new accounts, and runs that died."""

import json
import time
from functools import reduce
from operator import or_

import dagster as dg

from orders_sync.components.sync_schedules import request_of
from orders_sync.config.environment import dead_run_seconds
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_support.busy_lanes import busy_with, runs_under_way
from orders_sync.dagster_support.lane_assets import SYNC_TYPE_TAG
from orders_sync.database.engine import connect
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.history import lane_states
from orders_sync.lanes.liveness import is_alive
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import Lane, SyncType

FIRST_PASS_AGAIN_SECONDS = 600


@dg.sensor(
    asset_selection=reduce(or_, (dg.AssetSelection.tag(SYNC_TYPE_TAG, sync_type.value) for sync_type in SyncType)),
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs the lanes of a new account at once, instead of at their next ticks.",
)
def first_passes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    upgrade_schema()
    accounts, _ = load_accounts()
    settings = load_schedules()
    runs = runs_under_way(context.instance)
    asked: dict[str, float] = json.loads(context.cursor or "{}")
    requests: list[dg.RunRequest] = []
    with connect(application="orders_sync first passes") as connection:
        for name in accounts:
            known = {state.lane.sync_type: state for state in lane_states(connection, [name])}
            for sync_type in SyncType:
                lane = Lane(name, sync_type)
                if known[sync_type].last_succeeded_at is not None or busy_with(lane, runs, connection):
                    continue
                if sync_type is not SyncType.NEW and known[SyncType.NEW].last_succeeded_at is None:
                    continue  # the other lanes build on the orders
                if time.time() - asked.get(str(lane), 0) < FIRST_PASS_AGAIN_SECONDS:
                    continue
                asked[str(lane)] = time.time()
                requests.append(request_of(connection, lane, settings, None))
    if not requests:
        return dg.SkipReason("Every lane has had its first pass, or is at it.")
    return dg.SensorResult(run_requests=requests, cursor=json.dumps(asked))


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Fails runs whose process is gone, so that they don't hold their lane in the queue: a living run holds a "
        "database lock that bears its id."
    ),
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    upgrade_schema()
    silent_since: dict[str, float] = json.loads(context.cursor or "{}")
    now = time.time()
    silent: dict[str, float] = {}
    failed: list[str] = []
    started = [r for r in runs_under_way(context.instance) if r.status == dg.DagsterRunStatus.STARTED]
    with connect(application="orders_sync dead runs") as connection:
        for run in started:
            if is_alive(connection, run.run_id):
                continue
            since = silent_since.get(run.run_id, now)
            if now - since < dead_run_seconds():
                silent[run.run_id] = since
                continue
            context.instance.report_run_failed(
                run, "The run's process is gone (killed, or its machine died). Its lane is free again."
            )
            failed.append(run.run_id[:8])
    context.update_cursor(json.dumps(silent))
    return dg.SkipReason(f"Failed dead runs: {', '.join(failed)}." if failed else "No dead runs.")
