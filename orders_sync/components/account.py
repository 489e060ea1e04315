"""The component behind accounts/<name>/defs.yaml: one account, four assets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import BaseModel

from orders_sync.components.account_scaffolder import AccountScaffolder
from orders_sync.components.free_attributes import attributes_of
from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.config.schedules import ScheduleSettings, load_schedules
from orders_sync.dagster_support.freshness import freshness_of
from orders_sync.dagster_support.lane_assets import FROM_WATERMARK_TAG, RANGE_START_TAG, days, is_partitioned, lane_key
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.liveness import alive
from orders_sync.lanes.lock import LaneBusyError
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import PassFailedError, run_pass
from orders_sync.passes.sync_log import log_to_file
from orders_sync.sync.pass_request import PassRequest

DESCRIPTIONS = {
    SyncType.NEW: (
        "Orders created since the watermark, and those that wait for the merchant. Each record is checked; new "
        "orders, their items and an `OrderCreated` event are stored in one transaction; waiting orderlines are "
        "then accepted at the marketplace if the account says so."
    ),
    SyncType.MODIFIED: (
        "Every order modified in the last three months. Changed orders and items are updated, older copies left "
        "aside, and each change of a status becomes an `OrderStatusChanged` event."
    ),
    SyncType.CARE: (
        "The latest care records (replacements, returns, refunds) since the watermark; the latest one of an item "
        "is its `care_id`."
    ),
    SyncType.INCOMPLETE: (
        "Orders of the last days that lack a delivery note or label they should have by now; fills in the two "
        "URLs, and writes neither status nor event."
    ),
}
LANE_WAIT_SECONDS = 900.0
"""How long a run waits for a lane that a run outside Dagster's queue (the CLI, another deployment) holds."""
PROGRESS_SECONDS = 5.0


@dg.scaffold_with(AccountScaffolder)
class Account(dg.Component):
    """One seller account at one marketplace: four sync assets, in a group of the account's name.

    The folder's name is the account's name. A setting that can't be used is told in the log and in the assets'
    description, and every run of the account fails with it; other accounts go on.
    """

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return attributes_of(*(find_marketplace(name).settings for name in marketplace_names()))

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "Account":
        return cls(dict(attributes.model_extra or {}) if attributes is not None else {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        name = context.path.name
        file = str(context.path / "defs.yaml")
        try:
            account: SellerAccount | AccountConfigError = account_from(name, self.attributes, file)
        except AccountConfigError as problem:
            dg.get_dagster_logger().error("Account %s can't be used: %s", name, problem)
            account = problem
        schedules = load_schedules()
        return dg.Definitions(assets=[_lane_asset(Lane(name, t), account, schedules) for t in SyncType])


def _lane_asset(
    lane: Lane, account: SellerAccount | AccountConfigError, schedules: ScheduleSettings
) -> dg.AssetsDefinition:
    description = DESCRIPTIONS[lane.sync_type]
    owners = ["team:orders"]
    kinds = {"python", "postgres"}
    if isinstance(account, AccountConfigError):
        description = f"**This account can't be used:** {account}\n\n{description}"
    else:
        owners = account.settings.owners
        kinds.add(account.settings.marketplace)
    sync_type = lane.sync_type
    key = lane_key(lane)

    @dg.asset(
        key=key,
        group_name=lane.account,
        description=description,
        owners=owners,
        kinds=kinds,
        tags={"orders_sync/sync_type": sync_type.value, "orders_sync/account": lane.account},
        partitions_def=days(schedules) if is_partitioned(sync_type) else None,
        backfill_policy=dg.BackfillPolicy.single_run() if is_partitioned(sync_type) else None,
        pool=str(lane),
        freshness_policy=freshness_of(sync_type, schedules),
        op_tags={"dagster/priority": "1" if sync_type is SyncType.NEW else "0"},
    )
    def sync(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        if isinstance(account, AccountConfigError):
            raise dg.Failure(description=str(account), allow_retries=False)
        return _materialize(context, account, sync_type)

    return sync


def _materialize(
    context: dg.AssetExecutionContext, account: SellerAccount, sync_type: SyncType
) -> dg.MaterializeResult[Any]:
    upgrade_schema()
    with alive(context.run_id), log_to_file():
        request = PassRequest(
            account,
            sync_type,
            context.run_id,
            start=_start(context, sync_type),
            lane_wait_seconds=LANE_WAIT_SECONDS,
            progress=_Progress(context),
        )
        try:
            summary = run_pass(request)
        except (PassFailedError, LaneBusyError) as problem:
            raise dg.Failure(description=str(problem), allow_retries=False) from None
    for problem in summary.problems[:20]:
        context.log.warning(problem)
    _report_tables(context)
    return dg.MaterializeResult(metadata=metadata_of(summary))


def _start(context: dg.AssetExecutionContext, sync_type: SyncType) -> datetime | None:
    """Where the chosen partitions begin; None for runs that go by the watermark."""
    if not is_partitioned(sync_type) or context.run.tags.get(FROM_WATERMARK_TAG) == "watermark":
        if sync_type is SyncType.MODIFIED and RANGE_START_TAG in context.run.tags:
            return datetime.fromisoformat(context.run.tags[RANGE_START_TAG]).replace(tzinfo=UTC)
        return None
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    return context.partition_time_window.start


def metadata_of(summary: PassSummary) -> dict[str, Any]:
    """A pass's numbers as Dagster's metadata: numeric ones are plotted over time by the UI."""
    metadata: dict[str, Any] = dict(summary.numbers())
    for name in ("range_start", "range_end", "watermark"):
        at = getattr(summary, name)
        if at is not None:
            metadata[name] = dg.MetadataValue.timestamp(at)
    if summary.problems:
        metadata["problems"] = dg.MetadataValue.md("\n".join(f"* {p}" for p in summary.problems[:50]))
    return metadata


def _report_tables(context: dg.AssetExecutionContext) -> None:
    """The pass has changed the tables: the lineage shows it on their assets, with their sizes."""
    from orders_sync.dagster_support.table_assets import table_sizes

    for table, rows in table_sizes().items():
        context.log_event(dg.AssetMaterialization(asset_key=table, metadata={"dagster/row_count": rows}))


class _Progress:
    """Tells the run's log how far a pass is, every few seconds."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self.context = context
        self.told = datetime.now(UTC)

    def __call__(self, summary: PassSummary) -> None:
        now = datetime.now(UTC)
        if now - self.told >= timedelta(seconds=PROGRESS_SECONDS):
            self.told = now
            numbers = ", ".join(f"{name} {value}" for name, value in summary.numbers().items() if value)
            self.context.log.info(f"So far: {numbers}")
