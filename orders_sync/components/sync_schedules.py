"""The component behind defs/sync/defs.yaml: the four sync jobs and their schedules."""

from typing import Any

import dagster as dg
from pydantic import BaseModel

from orders_sync.components.free_attributes import attributes_of
from orders_sync.components.stand_ins import stand_ins
from orders_sync.config.environment import schedules_file
from orders_sync.config.schedules import (
    ScheduleSettings,
    check_schedules,
    keep_valid_schedules,
    schedules_in_force,
)
from orders_sync.dagster_support.lane_assets import SYNC_TYPE_TAG, job_name, schedule_name
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.run_requests import requests_of_tick
from orders_sync.model.lane import SyncType

DESCRIPTIONS = {
    SyncType.NEW: "New orders of all accounts, in business hours.",
    SyncType.MODIFIED: "All orders modified in the last three months, nightly.",
    SyncType.CARE: "The latest care records (replacements, returns), nightly.",
    SyncType.INCOMPLETE: "Missing delivery notes and labels, all day.",
}


class SyncSchedules(dg.Component):
    """The four sync jobs and their schedules: crons, time zone and first day of the partitions."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return attributes_of(ScheduleSettings)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "SyncSchedules":
        return cls(dict(attributes.model_extra or {}) if attributes is not None else {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return sync_schedules(check_schedules(self.attributes, str(context.path / "defs.yaml")))


def present_schedules() -> dg.Definitions:
    """The sync jobs, and the schedules that are in force; an asset stands in for their file while it can't be used."""
    settings, problem = schedules_in_force()
    if problem is None:
        keep_valid_schedules()
        return sync_schedules(settings)
    dg.get_dagster_logger().error(str(problem))
    stand_in = dg.Definitions(assets=stand_ins({schedules_file(): str(problem)}))
    return dg.Definitions.merge(sync_schedules(settings), stand_in)


def sync_schedules(settings: ScheduleSettings) -> dg.Definitions:
    """The four sync jobs and their schedules."""
    jobs = {sync_type: _job(sync_type) for sync_type in SyncType}
    schedules = [_schedule(sync_type, jobs[sync_type], settings) for sync_type in SyncType]
    if settings.frequent_new is not None:
        schedules.append(_frequent_schedule(jobs[SyncType.NEW], settings.frequent_new, settings))
    return dg.Definitions(jobs=list(jobs.values()), schedules=schedules)


def _job(sync_type: SyncType) -> Any:
    return dg.define_asset_job(
        job_name(sync_type),
        selection=dg.AssetSelection.tag(SYNC_TYPE_TAG, sync_type.value),
        description=DESCRIPTIONS[sync_type],
        tags={SYNC_TYPE_TAG: sync_type.value},
        executor_def=dg.in_process_executor,
    )


def _schedule(sync_type: SyncType, job: Any, settings: ScheduleSettings) -> dg.ScheduleDefinition:
    name, cron = schedule_name(sync_type), settings.schedules.of(sync_type)
    return _lane_schedule(name, sync_type, job, cron, settings, DESCRIPTIONS[sync_type])


def _frequent_schedule(job: Any, cron: str, settings: ScheduleSettings) -> dg.ScheduleDefinition:
    name = f"{job_name(SyncType.NEW)}_frequent_schedule"
    description = f"New orders sooner, between the ticks of their schedule: {settings.frequent_cost()}."
    return _lane_schedule(name, SyncType.NEW, job, cron, settings, description)


def _lane_schedule(
    name: str, sync_type: SyncType, job: Any, cron: str, settings: ScheduleSettings, description: str
) -> dg.ScheduleDefinition:
    """A schedule that requests a run for each account whose lane is free."""

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{description} A tick skips a lane that is busy; the reason names the run.",
        tags={SYNC_TYPE_TAG: sync_type.value},
    )
    def tick(
        context: dg.ScheduleEvaluationContext, orders_database: OrdersDatabase
    ) -> list[dg.RunRequest] | dg.SkipReason:
        with orders_database.connect("schedule") as connection:
            requests = requests_of_tick(
                context.instance, connection, sync_type, context.scheduled_execution_time, settings
            )
        for reason in requests.skipped:
            context.log.info(reason)
        if requests.runs:
            return requests.runs
        return dg.SkipReason("\n".join(requests.skipped) or "There is no account: add one in defs/accounts.")

    return tick
