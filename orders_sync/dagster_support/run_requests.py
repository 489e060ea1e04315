"""Which runs a tick of a sync schedule requests, and what such a run covers."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg

from orders_sync.config.code_location import waits_for_reload
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.lane_runs import lane_run
from orders_sync.dagster_support.busy_lanes import busy_with, runs_under_way
from orders_sync.database.engine import Connection
from orders_sync.lanes.pauses import pause_of
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import Lane, SyncType

RETAKE_AFTER = timedelta(minutes=5)
"""When another daemon may take a tick again: the one that took it died before its run existed."""


class TickRequests(NamedTuple):
    """What a tick requests, and for each account that it skips the reason."""

    runs: list[dg.RunRequest]
    skipped: list[str]


def requests_of_tick(
    instance: dg.DagsterInstance,
    connection: Connection,
    sync_type: SyncType,
    tick_at: datetime,
    settings: ScheduleSettings,
    is_meant: Callable[[str], bool] = lambda _: True,
) -> TickRequests:
    """Requests a run for each account that the tick is meant for, by its name, whose lane is free, and does not pause.

    The reason for a busy lane names the run that holds it, that for a lane that pauses why its credential was refused.
    """
    accounts, problems = load_accounts()
    skipped = [f"Account {name} can't be used: {problem}" for name, problem in problems.items() if is_meant(name)]
    under_way = runs_under_way(instance)
    requests: list[dg.RunRequest] = []
    for name, account in accounts.items():
        lane = Lane(name, sync_type)
        if not is_meant(name):
            continue
        if waits_for_reload(name):
            skipped.append(f"Account {name} is new, or was corrected: reload the code location in the UI.")
            continue
        if not account.has_on(sync_type):
            skipped.append(f"Lane {lane} is switched off by `syncs` in the account's file.")
            continue
        who = busy_with(lane, under_way, connection)
        if who is not None:
            skipped.append(f"Lane {lane} is busy: {who} works on it.")
        elif (pause := pause_of(connection, account, sync_type)) is not None:
            skipped.append(str(pause))
        elif not _take(connection, lane, tick_at):
            skipped.append(f"Lane {lane}: another daemon has taken this tick.")
        else:
            run_key = f"{lane}/{tick_at.isoformat()}"
            requests.append(request_of(connection, lane, account.settings.marketplace, settings, run_key))
    return TickRequests(requests, skipped)


def request_of(
    connection: Connection, lane: Lane, marketplace: str, settings: ScheduleSettings, run_key: str | None
) -> dg.RunRequest:
    """A run of one lane, as `lane_run` describes it."""
    run = lane_run(connection, lane, marketplace, settings)
    return dg.RunRequest(run_key=run_key, asset_selection=[run.asset], tags=run.tags)


def _take(connection: Connection, lane: Lane, tick_at: datetime) -> bool:
    """Takes a tick for this daemon; False when another daemon has it. So two daemons request one run per tick."""
    row = connection.execute(
        """
        INSERT INTO schedule_ticks AS taken (account, sync_type, tick_at) VALUES (%s, %s, %s)
        ON CONFLICT (account, sync_type, tick_at) DO UPDATE SET taken_at = now()
          WHERE taken.taken_at < now() - %s::interval
        RETURNING 1
        """,
        [*lane, tick_at, RETAKE_AFTER],
    ).fetchone()
    return row is not None
