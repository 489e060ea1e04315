"""The component behind defs/sync/defs.yaml: the four sync jobs and their schedules."""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import dagster as dg
from pydantic import BaseModel

from orders_sync.components.free_attributes import attributes_of
from orders_sync.components.stand_ins import stand_ins
from orders_sync.config.account import SellerAccount
from orders_sync.config.environment import schedules_file
from orders_sync.config.schedules import (
    ScheduleSettings,
    check_schedules,
    keep_valid_schedules,
    schedules_in_force,
)
from orders_sync.dagster_instance.lane_assets import ACCOUNT_TAG, SYNC_TYPE_TAG, job_name, schedule_name
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.run_requests import requests_of_tick
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import SyncType

DESCRIPTIONS = {
    SyncType.NEW: "New orders of all accounts, in business hours.",
    SyncType.MODIFIED: "All orders modified in the last three months, nightly.",
    SyncType.CARE: "The latest care records (replacements, returns), nightly.",
    SyncType.INCOMPLETE: "Missing delivery notes and labels, all day.",
}
FREQUENT_DESCRIPTION = "New orders sooner, between the ticks of their schedule."
NO_ACCOUNT = "No account ticks with this schedule: add one in defs/accounts, or remove its own cron expressions."


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
    """The four sync jobs and their schedules, those of single accounts included."""
    accounts, _ = load_accounts()
    jobs = {sync_type: _job(sync_type) for sync_type in SyncType}
    schedules: list[dg.ScheduleDefinition] = []
    for sync_type, job in jobs.items():
        schedules += _schedules(job, _Ticks(sync_type, frequent=False), settings, accounts)
    schedules += _schedules(jobs[SyncType.NEW], _Ticks(SyncType.NEW, frequent=True), settings, accounts)
    return dg.Definitions(jobs=list(jobs.values()), schedules=schedules)


def _job(sync_type: SyncType) -> Any:
    return dg.define_asset_job(
        job_name(sync_type),
        selection=dg.AssetSelection.tag(SYNC_TYPE_TAG, sync_type.value),
        description=DESCRIPTIONS[sync_type],
        tags={SYNC_TYPE_TAG: sync_type.value},
        executor_def=dg.in_process_executor,
    )


class _Ticks(NamedTuple):
    """Which ticks of a sync type: its own, or those of its further passes."""

    sync_type: SyncType
    frequent: bool

    @property
    def description(self) -> str:
        return FREQUENT_DESCRIPTION if self.frequent else DESCRIPTIONS[self.sync_type]


def _schedules(
    job: Any, ticks: _Ticks, settings: ScheduleSettings, accounts: Mapping[str, SellerAccount]
) -> list[dg.ScheduleDefinition]:
    """The schedule of all accounts, and one of each account that has cron expressions of its own.

    Which accounts have some was read with the definitions: a tick of the schedule of all leaves out just these.
    """
    sync_type, frequent = ticks
    own = {
        name: crons
        for name, account in accounts.items()
        if (crons := account.settings.schedules.of(sync_type, frequent=frequent)) is not None
    }
    found: list[dg.ScheduleDefinition] = []
    if crons := settings.crons(sync_type, frequent=frequent):
        found.append(_schedule(job, ticks, crons, settings, lambda name: name not in own))
    for name, crons in own.items():
        if crons:  # also while its sync is off: it may be switched on without a reload, and a tick says that it is off
            found.append(_schedule(job, ticks, crons, settings, partial(operator.eq, name), account=name))
    return found


def _schedule(
    job: Any,
    ticks: _Ticks,
    crons: Sequence[str],
    settings: ScheduleSettings,
    is_meant: Callable[[str], bool],
    account: str | None = None,
) -> dg.ScheduleDefinition:
    """A schedule that requests a run for each account that is meant and whose lane is free.

    `account`: whose own schedule it is; None: that of all others.
    """
    sync_type, frequent = ticks
    whose = "" if account is None else f"Of account {account}. "

    @dg.schedule(
        name=schedule_name(sync_type, frequent=frequent, account=account),
        job=job,
        cron_schedule=crons[0] if len(crons) == 1 else list(crons),
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"{whose}{ticks.description} {settings.cost(sync_type, crons)}. A tick skips a lane that is busy; the "
            "reason names the run."
        ),
        tags={SYNC_TYPE_TAG: sync_type.value} | ({} if account is None else {ACCOUNT_TAG: account}),
    )
    def tick(
        context: dg.ScheduleEvaluationContext, orders_database: OrdersDatabase
    ) -> list[dg.RunRequest] | dg.SkipReason:
        with orders_database.connect("schedule") as connection:
            requests = requests_of_tick(
                context.instance, connection, sync_type, context.scheduled_execution_time, settings, is_meant
            )
        for reason in requests.skipped:
            context.log.info(reason)
        if requests.runs:
            return requests.runs
        return dg.SkipReason("\n".join(requests.skipped) or NO_ACCOUNT)

    return tick
