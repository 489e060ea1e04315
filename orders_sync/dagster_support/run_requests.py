"""Which runs a tick of a sync schedule requests, and what such a run covers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_support.busy_lanes import busy_with, runs_under_way
from orders_sync.dagster_support.lane_assets import (
    ACCOUNT_TAG,
    FROM_WATERMARK_TAG,
    MARKETPLACE_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    SYNC_TYPE_TAG,
    days,
    is_partitioned,
    lane_key,
)
from orders_sync.database.engine import Connection
from orders_sync.lanes.pauses import pause_of
from orders_sync.lanes.watermark import watermark
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import Lane, SyncType

FIRST_PASS_DAYS = 92
"""How many days back the run of a lane without a watermark covers: three months."""
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
    """A run of one lane that starts at its watermark. Its partitions are the days since then.

    `marketplace`: the name of the account's adapter, e.g. `back_market`.
    `modified` starts earlier whatever these are, and marks the days before that it changed.
    """
    tags = {
        ACCOUNT_TAG: lane.account,
        SYNC_TYPE_TAG: lane.sync_type.value,
        MARKETPLACE_TAG: marketplace,
        FROM_WATERMARK_TAG: "watermark",
    }
    if is_partitioned(lane.sync_type):
        first, last = _partitions(connection, lane, settings)
        tags |= {RANGE_START_TAG: first, RANGE_END_TAG: last}
    return dg.RunRequest(run_key=run_key, asset_selection=[lane_key(lane)], tags=tags)


def _partitions(connection: Connection, lane: Lane, settings: ScheduleSettings) -> tuple[str, str]:
    """The first and the last partition of the next run."""
    now = datetime.now(UTC)
    since = watermark(connection, lane)
    if since is None:
        since = now - timedelta(days=FIRST_PASS_DAYS)
    keys = days(settings).get_partition_keys(current_time=now)
    first = max(min(since, now).strftime("%Y-%m-%d"), keys[0])
    return min(first, keys[-1]), keys[-1]


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
