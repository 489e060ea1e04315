"""Which lanes lack a pass that should have succeeded: requested again, with longer and longer pauses between the tries.

A lane lacks a pass if it has never succeeded, if its last run did not succeed, if a tick requested a run of which
nothing came, e.g. since it could not be launched, or if its last tick came to nothing, e.g. since the database did not
answer.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import LiteralString, NamedTuple

import dagster as dg

from orders_sync.config.account import SellerAccount
from orders_sync.config.code_location import waits_for_reload
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.automation import stopped_instigators
from orders_sync.dagster_instance.lane_assets import ACCOUNT_TAG, SYNC_TYPE_TAG, schedule_name
from orders_sync.dagster_support.busy_lanes import busy_with, runs_under_way
from orders_sync.dagster_support.run_requests import request_of
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import LaneState, lane_states
from orders_sync.lanes.next_try import BACKOFF, next_try
from orders_sync.lanes.pauses import pause_of
from orders_sync.lanes.progress import failures_in_row
from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts
from orders_sync.marketplaces.kit.rate_limits import pause_end
from orders_sync.model.lane import Lane, SyncType

BEFORE_TICK = timedelta(minutes=1)
"""A lane whose next tick comes so soon, or has come so lately, is left to its schedule."""
TICK_GRACE = timedelta(minutes=10)
"""So long after a tick its run must be there: requested, queued and begun."""
RETRY_WAIT = timedelta(minutes=10)
"""How long Dagster's own retry of a run is waited for."""
_WILL_RETRY_TAG = "dagster/will_retry"
_RETRIED_BY_TAG = "dagster/auto_retry_run_id"


class MissingPasses(NamedTuple):
    """What is requested now, why other lanes that lack a pass must wait, and the cursor from now on."""

    requests: list[dg.RunRequest]
    waiting: list[str]
    cursor: str


class _Tries(NamedTuple):
    """How often, and when last, a pass of a lane was tried since its last success."""

    number: int
    last_at: datetime | None


def missing_passes(
    instance: dg.DagsterInstance, connection: Connection, settings: ScheduleSettings, cursor: str | None, now: datetime
) -> MissingPasses:
    """Requests what is missing and due.

    The cursor: lane → the moments (epoch) of its latest requests since its last success.
    """
    accounts = {name: each for name, each in load_accounts()[0].items() if not waits_for_reload(name)}
    states = {state.lane: state for state in lane_states(connection, lanes_on(accounts))}
    requested = {
        lane: [at for at in times if _is_since_success(states[lane], at)]
        for lane, times in _requests_in(cursor).items()
        if lane in states
    }
    taken = _ticks_taken(connection)
    of_account = {name: settings.for_account(each.settings.schedules) for name, each in accounts.items()}
    lacking = [
        lane
        for lane, state in states.items()
        if _lacks_pass(state, has_tick=lane in taken)
        or _has_lost_tick(state, of_account[lane.account].last_tick(lane.sync_type, now - TICK_GRACE))
    ]
    failures = failures_in_row(connection, lacking) if lacking else {}
    runs = runs_under_way(instance) if lacking else []
    stopped = frozenset(stopped_instigators(instance)) if lacking else frozenset()
    requests: list[dg.RunRequest] = []
    waiting: list[str] = []
    for lane in lacking:
        tries = _tries(states[lane], failures.get(lane, 0), requested.get(lane, []), taken.get(lane))
        if busy_with(lane, runs, connection) is not None or _waits_for_orders(states, lane):
            continue
        reason = (
            pause_of(connection, accounts[lane.account], lane.sync_type)
            or _why_not_now(tries, of_account[lane.account], lane, now)
            or _why_not(instance, connection, states[lane], now, is_stopped=_schedule_of(lane, accounts) in stopped)
        )
        if reason is not None:
            waiting.append(str(reason))
            continue
        requested[lane] = [*requested.get(lane, []), now.timestamp()][-len(BACKOFF) :]
        basis = tries.last_at or now.replace(second=0, microsecond=0)
        marketplace = accounts[lane.account].settings.marketplace
        run_key = f"{lane}/missing/{basis.isoformat()}"
        requests.append(request_of(connection, lane, marketplace, settings, run_key))
    return MissingPasses(
        requests, waiting, json.dumps({str(lane): times for lane, times in requested.items() if times})
    )


def _lacks_pass(state: LaneState, *, has_tick: bool) -> bool:
    """Whether a pass should have succeeded. `has_tick`: a tick has requested a run since the last success."""
    if state.last_succeeded_at is None or state.last_outcome == "failed":
        return True
    # The sensor `dead_runs` fails a run that is still `running` there though its process died.
    return state.last_outcome != "running" and has_tick


def _has_lost_tick(state: LaneState, tick: datetime) -> bool:
    """Whether nothing has come of the lane's last tick. One that came while a pass worked on the lane is not lost."""
    times = [at for at in (state.last_started_at, state.last_finished_at) if at is not None]
    return state.last_outcome != "running" and max(times, default=tick) < tick


def _waits_for_orders(states: dict[Lane, LaneState], lane: Lane) -> bool:
    """Whether a lane has never succeeded, and the first orders that it builds on are missing, too."""
    of_orders = states.get(Lane(lane.account, SyncType.NEW))  # None: the account's file switches that sync off
    return of_orders is not None and lane != of_orders.lane and of_orders.last_succeeded_at is None


def _tries(state: LaneState, failures: int, requested: list[float], taken_at: datetime | None) -> _Tries:
    """What was tried since the last success. A run that was never launched has left a request only."""
    times = [datetime.fromtimestamp(at, UTC) for at in requested] + ([taken_at] if taken_at is not None else [])
    count = max(failures, len(times))
    if failures:
        times += [at for at in (state.last_started_at, state.last_finished_at) if at is not None]
    return _Tries(count, max(times, default=None))


def _why_not_now(tries: _Tries, settings: ScheduleSettings, lane: Lane, now: datetime) -> str | None:
    """Why a lane is not tried at this moment; None if it is."""
    if tries.last_at is None:
        return None
    due = next_try(tries.number, tries.last_at)
    if now < due:
        return f"Lane {lane} is tried again at {due.astimezone(UTC):%H:%M:%S} UTC, after {tries.number} tries in a row."
    tick = settings.next_tick(lane.sync_type, now - BEFORE_TICK)
    if tick <= now + BEFORE_TICK:
        return f"Lane {lane} is left to its tick at {tick.astimezone(UTC):%H:%M:%S} UTC."
    return None


def _schedule_of(lane: Lane, accounts: Mapping[str, SellerAccount]) -> str:
    """The name of the schedule that ticks for a lane: that of all accounts, or its account's own."""
    has_own = accounts[lane.account].settings.schedules.of(lane.sync_type) is not None
    return schedule_name(lane.sync_type, account=lane.account if has_own else None)


def _why_not(
    instance: dg.DagsterInstance,
    connection: Connection,
    state: LaneState,
    now: datetime,
    *,
    is_stopped: bool,
) -> str | None:
    """Why a lane is not tried though it is due; None if it is. `is_stopped`: its schedule is switched off."""
    lane = state.lane
    until = pause_end(connection, lane.account)
    if until is not None and until > now:
        return f"Lane {lane}: the marketplace requested a pause until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
    if state.last_succeeded_at is not None and is_stopped:
        return f"Lane {lane}: its schedule is switched off."
    return _why_its_last_run_is_enough(instance, state, now)


def _why_its_last_run_is_enough(instance: dg.DagsterInstance, state: LaneState, now: datetime) -> str | None:
    """Why none is requested after the lane's last run: a person stopped it, or Dagster will retry it."""
    tags = {ACCOUNT_TAG: state.lane.account, SYNC_TYPE_TAG: state.lane.sync_type.value}
    for record in instance.get_run_records(dg.RunsFilter(tags=tags), limit=1):
        run = record.dagster_run
        if run.status == dg.DagsterRunStatus.CANCELED and run.run_id == state.last_run_id:
            return f"Lane {state.lane}: somebody stopped run {run.run_id[:8]}. It is left to its next tick."
        is_recent = now - record.update_timestamp.replace(tzinfo=UTC) < RETRY_WAIT
        # `run_retries` in dagster.yaml
        if run.tags.get(_WILL_RETRY_TAG) == "true" and _RETRIED_BY_TAG not in run.tags and is_recent:
            return f"Lane {state.lane}: Dagster retries run {run.run_id[:8]}."
    return None


def _requests_in(cursor: str | None) -> dict[Lane, list[float]]:
    requested: dict[Lane, list[float]] = {}
    for name, times in json.loads(cursor or "{}").items():
        account, _, sync_type = name.rpartition("/")
        requested[Lane(account, SyncType(sync_type))] = times
    return requested


def _is_since_success(state: LaneState, at: float) -> bool:
    return state.last_succeeded_at is None or at > state.last_succeeded_at.timestamp()


def _ticks_taken(connection: Connection) -> dict[Lane, datetime]:
    """When a tick of each lane last requested a run, if it has since the lane's last success."""
    return {Lane(account, SyncType(sync_type)): at for account, sync_type, at in connection.execute(_TAKEN)}


_TAKEN: LiteralString = """
SELECT account, sync_type, max(taken_at) FROM lanes JOIN schedule_ticks tick USING (account, sync_type)
WHERE tick_at > last_succeeded_at - interval '1 day' AND taken_at > last_succeeded_at
GROUP BY 1, 2
"""
