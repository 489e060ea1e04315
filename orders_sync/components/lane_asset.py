"""The asset of a lane: each of its runs is a pass, and shows what the pass did."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.config.account_files import FILE_NAME
from orders_sync.config.environment import accounts_folder
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.lane_assets import (
    days,
    is_partitioned,
    lane_key,
    passes_key,
    starts_at_watermark,
)
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.dagster_support.days_of_passes import days_to_mark, figures_of_days, shown
from orders_sync.dagster_support.failures import failure
from orders_sync.dagster_support.freshness import freshness_of
from orders_sync.dagster_support.markdown import as_code
from orders_sync.dagster_support.next_steps import next_steps
from orders_sync.dagster_support.order_rules import broken_rules
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.pass_events import LANES_LINK, OWNERS, figures, point_of_pass
from orders_sync.lanes.lock import LaneBusyError
from orders_sync.model.control_characters import safe_text
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import PassFailedError, run_pass
from orders_sync.sync.pass_request import PassRequest

DESCRIPTIONS = {
    SyncType.NEW: (
        "Fetches the orders created since the watermark, and those that wait for the merchant. Checks each record. "
        "Stores new orders, their items and an `OrderCreated` event in one transaction. Then accepts the waiting "
        "orderlines at the marketplace, if the account allows it."
    ),
    SyncType.MODIFIED: (
        "Fetches every order modified in the last three months. Updates the orders and items that have changed and "
        "ignores copies older than the stored ones. Writes an `OrderStatusChanged` event for each change of a status."
    ),
    SyncType.CARE: (
        "Fetches the care records (replacements, returns, refunds) since the watermark. The latest care record of an "
        "item becomes its `care_id`."
    ),
    SyncType.INCOMPLETE: (
        "Fetches the orders of the last days whose delivery note or label is missing although it is due. Stores the "
        "two URLs, and writes neither a status nor an event. With `store_documents`, it also fetches each document "
        "once, and stores its content."
    ),
}
LANE_WAIT_SECONDS = 900.0
"""How long a run waits for a lane that a run outside Dagster's queue (the CLI, another deployment) holds."""
PROGRESS_SECONDS = 5.0
"""How often a pass reports its progress in the log of its run."""
NOTHING_PUT_OFF = "nothing_put_off"
NOTHING_PUT_OFF_DESCRIPTION = (
    "The last pass fetched every record, and every document that is to be stored. A record that could not be "
    "fetched is kept among the rejected records; a later pass fetches it, and such a document."
)
MAX_PROBLEMS_LOGGED = 20


class SyncConfig(dg.Config):
    """What a person can choose in the UI before launching a sync."""

    reread: bool = Field(
        default=False,
        description=(
            "Compare every record with the stored one, value by value, instead of skipping the unchanged ones: after "
            "rows were damaged or changed by hand."
        ),
    )


def lane_asset(
    lane: Lane, account: SellerAccount | AccountConfigError, schedules: ScheduleSettings
) -> dg.AssetsDefinition:
    """The asset of one lane. Each of its runs is a pass; those of an account that can't be used fail."""
    sync_type = lane.sync_type
    description = DESCRIPTIONS[sync_type]
    owners = list(OWNERS)
    kinds = {"python", "postgres"}
    if isinstance(account, AccountConfigError):
        description = f"**This account can't be used:**\n\n{as_code(str(account))}\n\n{description}"
    else:
        owners = account.settings.owners
        schedules = schedules.for_account(account.settings.schedules)
        if not account.has_on(sync_type):
            description = f"**Switched off** by `syncs` in the account's file: only a person runs it.\n\n{description}"
        kinds.add(account.settings.marketplace)
    is_on = isinstance(account, AccountConfigError) or account.has_on(sync_type)
    key = lane_key(lane)
    links: dict[str, dg.MetadataValue[Any]] = {**LANES_LINK}
    if is_partitioned(sync_type):
        links["figures of its passes"] = dg.MetadataValue.asset(passes_key(lane))

    @dg.asset(
        key=key,
        group_name=lane.account,
        description=description,
        owners=owners,
        kinds=kinds,
        tags={"orders_sync/sync_type": sync_type.value, "orders_sync/account": lane.account},
        metadata={"dagster/code_references": _links_to_code(lane.account), **links},
        partitions_def=days(schedules) if is_partitioned(sync_type) else None,
        backfill_policy=dg.BackfillPolicy.single_run() if is_partitioned(sync_type) else None,
        pool=str(lane),
        freshness_policy=freshness_of(sync_type, schedules) if is_on else None,
        check_specs=[dg.AssetCheckSpec(NOTHING_PUT_OFF, asset=key, description=NOTHING_PUT_OFF_DESCRIPTION)],
    )
    def sync(
        context: dg.AssetExecutionContext, config: SyncConfig, orders_database: OrdersDatabase
    ) -> dg.MaterializeResult:  # pyright: ignore[reportMissingTypeArgument]  Dagster compares it with the bare class
        if isinstance(account, AccountConfigError):
            raise failure(account)
        run = _Run(context, orders_database, account, lane, schedules)
        began = datetime.now(UTC)
        summary = run.sync(reread=config.reread)
        if summary.is_partial:
            context.log.warning(
                f"Partial: {summary.put_off_in_words()} could not be fetched; a later pass tries again."
            )
        for problem in summary.problems[:MAX_PROBLEMS_LOGGED]:
            context.log.warning(safe_text(problem))
        metadata = run.show(summary, began)
        check = dg.AssetCheckResult(
            passed=not summary.is_partial,
            check_name=NOTHING_PUT_OFF,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"put_off": summary.put_off, "documents_put_off": summary.documents_put_off},
        )
        return dg.MaterializeResult(metadata=metadata, check_results=[check])

    return sync


def _links_to_code(account: str) -> dg.CodeReferencesMetadataValue:
    """The link of an asset's page to the account's file; definitions.py adds that to this module."""
    file = accounts_folder() / account / FILE_NAME
    return dg.CodeReferencesMetadataValue(
        code_references=[dg.LocalFileCodeReference(file_path=str(file), label=f"{account}/{FILE_NAME}")]
    )


class _Run:
    """A run of Dagster that is a pass of a lane."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        orders_database: OrdersDatabase,
        account: SellerAccount,
        lane: Lane,
        schedules: ScheduleSettings,
    ) -> None:
        self._context = context
        self._orders_database = orders_database
        self._account = account
        self._lane = lane
        self._schedules = schedules
        self._has_days = is_partitioned(lane.sync_type) and (
            context.has_partition_key or context.has_partition_key_range
        )
        self._is_selection = self._has_days and not starts_at_watermark(context.run)
        """Whether a person selected the days; else the pass has its own window, which may be longer than the days."""

    def sync(self, *, reread: bool) -> PassSummary:
        """Runs the pass. Its errors become a failure of the run that says what happens next."""
        context = self._context
        request = PassRequest(
            self._account,
            self._lane.sync_type,
            context.run.run_id,
            start=context.partition_time_window.start if self._is_selection else None,
            reread=reread,
            lane_wait_seconds=LANE_WAIT_SECONDS,
            by=by_hand(context.run, context.instance),
            progress=_Progress(context),
            why_stopped=self._who_stopped,
        )
        try:
            return run_pass(request)
        except (PassFailedError, LaneBusyError) as problem:
            raise failure(f"{problem}\n\n{self._next_steps()}") from None

    def _who_stopped(self) -> str | None:
        run = self._context.instance.get_run_by_id(self._context.run.run_id)
        if run is None or run.status not in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
            return None
        return f"terminated by a person at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"

    def _next_steps(self) -> str:
        with self._orders_database.connect("next steps") as connection:
            return next_steps(
                connection,
                self._account,
                self._lane.sync_type,
                datetime.now(UTC),
                is_selection=self._is_selection,
            )

    def show(self, summary: PassSummary, began: datetime) -> dict[str, Any]:
        """Reports the pass to Dagster. Returns the metadata of the lane's own materialization.

        That of a lane with partitions has none: what belongs to one of its days is that day's alone.
        """
        context, lane = self._context, self._lane
        finished_at = datetime.now(UTC)
        is_order_lane = lane.sync_type in (SyncType.NEW, SyncType.MODIFIED)
        with self._orders_database.connect("what a pass shows") as connection:
            if is_order_lane and summary.created + summary.changed:
                for evaluation in broken_rules(connection, lane, context.run.run_id, began):
                    context.instance.report_runless_asset_event(evaluation)
            if not is_partitioned(lane.sync_type):
                return figures(lane.sync_type, summary.as_json(), finished_at)
            if self._has_days:
                keys = context.partition_keys
                of_days = figures_of_days(connection, lane, context.run.run_id, keys[0], keys[-1])
                for key in keys:
                    context.add_asset_metadata(shown(of_days, lane, key), partition_key=key)
                for event in self._further_days(summary, of_days):
                    context.log_event(event)
        context.log_event(point_of_pass(lane, context.run.run_id, summary.as_json(), finished_at))
        return {}

    def _further_days(
        self, summary: PassSummary, of_days: dict[str, dict[str, int]]
    ) -> Iterator[dg.AssetMaterialization]:
        """Each day before those of the run that a scheduled pass of `modified` changed, or was the first to cover."""
        lane, context = self._lane, self._context
        if lane.sync_type is not SyncType.MODIFIED or self._is_selection:
            return
        if summary.range_start is None or summary.range_end is None:
            return
        key, window = lane_key(lane), (summary.range_start, summary.range_end)
        covered = context.instance.get_materialized_partitions(key)
        for day in days_to_mark(of_days, window, self._schedules, context.partition_keys, covered):
            yield dg.AssetMaterialization(asset_key=key, partition=day, metadata=shown(of_days, lane, day))


class _Progress:
    """Logs the progress of a pass in its run, every PROGRESS_SECONDS."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self.context = context
        self.logged_at = datetime.now(UTC)

    def __call__(self, summary: PassSummary) -> None:
        now = datetime.now(UTC)
        if now - self.logged_at >= timedelta(seconds=PROGRESS_SECONDS):
            self.logged_at = now
            numbers = ", ".join(f"{name} {value}" for name, value in summary.numbers().items() if value)
            self.context.log.info(f"So far: {numbers}")
