"""The component behind defs/sync/defs.yaml: the four jobs and the schedules that run them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import BaseModel

from orders_sync.components.free_attributes import attributes_of
from orders_sync.config.schedules import ScheduleSettings, check_schedules
from orders_sync.dagster_support.busy_lanes import busy_with, runs_under_way
from orders_sync.dagster_support.lane_assets import (
    ACCOUNT_TAG,
    FROM_WATERMARK_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    SYNC_TYPE_TAG,
    days,
    is_partitioned,
    job_name,
    lane_key,
)
from orders_sync.database.engine import Connection, connect
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.watermark import watermark
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import Lane, SyncType

DESCRIPTIONS = {
    SyncType.NEW: "New orders of all accounts, in business hours.",
    SyncType.MODIFIED: "All orders modified in the last three months, nightly.",
    SyncType.CARE: "The latest care records (replacements, returns), nightly.",
    SyncType.INCOMPLETE: "Missing delivery notes and labels, all day.",
}
RETAKE_AFTER = timedelta(minutes=5)
"""A tick that a daemon took and then died with, before its run existed, may be taken again after so long."""


class SyncSchedules(dg.Component):
    """The four sync jobs and their schedules: cron windows, time zone, first day of the partitions."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return attributes_of(ScheduleSettings)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "SyncSchedules":
        return cls(dict(attributes.model_extra or {}) if attributes is not None else {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        settings = check_schedules(self.attributes, str(context.path / "defs.yaml"))
        jobs = {sync_type: _job(sync_type) for sync_type in SyncType}
        return dg.Definitions(
            jobs=list(jobs.values()),
            schedules=[
                *(_schedule(sync_type, jobs[sync_type], settings) for sync_type in SyncType),
                *([_frequent_schedule(jobs[SyncType.NEW], settings)] if settings.frequent_new else []),
            ],
        )


def _job(sync_type: SyncType) -> Any:
    return dg.define_asset_job(
        job_name(sync_type),
        selection=dg.AssetSelection.tag(SYNC_TYPE_TAG, sync_type.value),
        description=DESCRIPTIONS[sync_type],
        tags={SYNC_TYPE_TAG: sync_type.value},
        executor_def=dg.in_process_executor,
    )


def _schedule(sync_type: SyncType, job: Any, settings: ScheduleSettings) -> dg.ScheduleDefinition:
    name, cron = f"{job_name(sync_type)}_schedule", settings.schedules.of(sync_type)
    return _ticking(name, sync_type, job, cron, settings, DESCRIPTIONS[sync_type])


def _frequent_schedule(job: Any, settings: ScheduleSettings) -> dg.ScheduleDefinition:
    name, cron = f"{job_name(SyncType.NEW)}_frequent_schedule", settings.frequent_new
    assert cron is not None
    description = f"New orders sooner, between the ticks of their schedule: {settings.frequent_cost()}."
    return _ticking(name, SyncType.NEW, job, cron, settings, description)


def _ticking(
    name: str, sync_type: SyncType, job: Any, cron: str, settings: ScheduleSettings, description: str
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{description} A tick on a busy lane is skipped; the skip names the run.",
        tags={SYNC_TYPE_TAG: sync_type.value},
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield from requests_of_tick(
            context.instance, sync_type, context.scheduled_execution_time, settings, context.log.info
        )

    return tick


def requests_of_tick(
    instance: dg.DagsterInstance,
    sync_type: SyncType,
    tick_at: datetime,
    settings: ScheduleSettings,
    told: Any = lambda _: None,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run for each account whose lane is free; for the others a reason that names who works on it."""
    upgrade_schema()
    accounts, problems = load_accounts()
    skipped = [f"Account {name} can't be used: {problem}" for name, problem in problems.items()]
    runs = runs_under_way(instance)
    requested = False
    with connect(application="orders_sync schedule") as connection:
        for name in accounts:
            lane = Lane(name, sync_type)
            who = busy_with(lane, runs, connection)
            if who is not None:
                skipped.append(f"Lane {lane} is busy: {who} works on it.")
            elif not _take(connection, lane, tick_at):
                skipped.append(f"Lane {lane}: another daemon has taken this tick.")
            else:
                requested = True
                yield request_of(connection, lane, settings, f"{lane}/{tick_at.isoformat()}")
    for reason in skipped:
        told(reason)
    if not requested:
        yield dg.SkipReason("\n".join(skipped) or "There are no accounts: add one in defs/accounts.")


def request_of(connection: Connection, lane: Lane, settings: ScheduleSettings, run_key: str | None) -> dg.RunRequest:
    """A run of one lane from its watermark on, covering the days since then."""
    tags = {
        ACCOUNT_TAG: lane.account,
        SYNC_TYPE_TAG: lane.sync_type.value,
        FROM_WATERMARK_TAG: "watermark",
    }
    if is_partitioned(lane.sync_type):
        first, last = _days_covered(connection, lane, settings)
        tags |= {RANGE_START_TAG: first, RANGE_END_TAG: last}
    return dg.RunRequest(run_key=run_key, asset_selection=[lane_key(lane)], tags=tags)


def _days_covered(connection: Connection, lane: Lane, settings: ScheduleSettings) -> tuple[str, str]:
    """The partitions that the next pass covers: since the watermark; `modified` and first passes three months."""
    now = datetime.now(UTC)
    mark = watermark(connection, lane)
    since = now - timedelta(days=92) if mark is None or lane.sync_type is SyncType.MODIFIED else mark
    keys = days(settings).get_partition_keys(current_time=now)
    first = max(min(since, now).strftime("%Y-%m-%d"), keys[0])
    return min(first, keys[-1]), keys[-1]


def _take(connection: Connection, lane: Lane, tick_at: datetime) -> bool:
    """Takes a tick for this daemon; False when another one has it (onOneServer of the brief)."""
    row = connection.execute(
        """
        INSERT INTO schedule_ticks AS known (account, sync_type, tick_at) VALUES (%s, %s, %s)
        ON CONFLICT (account, sync_type, tick_at) DO UPDATE SET taken_at = now()
          WHERE known.taken_at < now() - %s::interval
        RETURNING 1
        """,
        [*lane, tick_at, RETAKE_AFTER],
    ).fetchone()
    connection.execute("DELETE FROM schedule_ticks WHERE taken_at < now() - interval '30 days'")
    return row is not None
