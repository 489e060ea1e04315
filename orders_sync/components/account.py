"""The component behind defs/accounts/<name>/defs.yaml: one account, four assets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from orders_sync.components.account_scaffolder import AccountScaffolder
from orders_sync.components.free_attributes import attributes_of
from orders_sync.components.stand_ins import stand_ins
from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.config.account_files import FILE_NAME, check_name, is_account_name
from orders_sync.config.environment import accounts_folder
from orders_sync.config.schedules import ScheduleSettings, load_schedules
from orders_sync.config.yaml_files import read_settings_only
from orders_sync.dagster_instance.lane_assets import (
    days,
    is_partitioned,
    lane_key,
    starts_at_watermark,
)
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.dagster_support.days_to_mark import days_to_mark
from orders_sync.dagster_support.failures import failure
from orders_sync.dagster_support.freshness import freshness_of
from orders_sync.dagster_support.markdown import as_code
from orders_sync.dagster_support.metadata import texts_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.table_assets import table_sizes
from orders_sync.lanes.lock import LaneBusyError
from orders_sync.marketplaces.kit.accounts import account_from, load_accounts
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names
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
MAX_PROBLEMS_SHOWN = 50


class SyncConfig(dg.Config):
    """What a person can choose in the UI before launching a sync."""

    reread: bool = Field(
        default=False,
        description=(
            "Compare every record with the stored one, value by value, instead of skipping the unchanged ones: after "
            "rows were damaged or changed by hand."
        ),
    )


@dg.scaffold_with(AccountScaffolder)
class Account(dg.Component):
    """One seller account at one marketplace: four sync assets, in a group with the account's name.

    The name of the folder is the name of the account. What is wrong with its file is shown in the log and in the
    description of the assets, and every run of the account fails with it. Other accounts are not affected.

    Dagster's own loader does not read these files: a file of another component, or with a template, could show any
    environment variable in the UI. `all_accounts` does.
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
        name, file = context.path.name, context.path / FILE_NAME
        try:
            check_name(context.path)
            if file.is_file():
                read_settings_only(file, AccountConfigError)
        except AccountConfigError as problem:
            dg.get_dagster_logger().error("Account %s is left out: %s", name, problem)
            return dg.Definitions()  # Dagster would still let the rest of the file change the assets
        try:
            return account_assets(name, account_from(name, self.attributes, str(file)), load_schedules())
        except AccountConfigError as problem:
            return account_assets(name, problem, load_schedules())


def all_accounts() -> dg.Definitions:
    """The assets of all accounts of the accounts folder.

    An account that can't be used keeps its assets, which fail with the reason; an asset stands in for one whose name
    can't be that of an account.
    """
    accounts, problems = load_accounts()
    for name, problem in problems.items():
        dg.get_dagster_logger().error("Account %s can't be used: %s", name, problem)
    schedules = load_schedules()
    named = {name: account for name, account in {**accounts, **problems}.items() if is_account_name(name)}
    parts = [account_assets(name, account, schedules) for name, account in named.items()]
    odd = {accounts_folder() / name: str(problem) for name, problem in problems.items() if not is_account_name(name)}
    return dg.Definitions.merge(*parts, dg.Definitions(assets=stand_ins(odd)))


def account_assets(
    name: str, account: SellerAccount | AccountConfigError, schedules: ScheduleSettings
) -> dg.Definitions:
    """The four assets of an account; they say so if it can't be used."""
    return dg.Definitions(assets=[lane_asset(Lane(name, t), account, schedules) for t in SyncType])


def lane_asset(
    lane: Lane, account: SellerAccount | AccountConfigError, schedules: ScheduleSettings
) -> dg.AssetsDefinition:
    """The asset of one lane. Each of its runs is a pass; those of an account that can't be used fail."""
    description = DESCRIPTIONS[lane.sync_type]
    owners = ["team:orders"]
    kinds = {"python", "postgres"}
    if isinstance(account, AccountConfigError):
        description = f"**This account can't be used:**\n\n{as_code(str(account))}\n\n{description}"
    else:
        owners = account.settings.owners
        schedules = schedules.for_account(account.settings.schedules)
        if not account.has_on(lane.sync_type):
            description = f"**Switched off** by `syncs` in the account's file: only a person runs it.\n\n{description}"
        kinds.add(account.settings.marketplace)
    sync_type = lane.sync_type
    is_on = isinstance(account, AccountConfigError) or account.has_on(sync_type)
    key = lane_key(lane)

    @dg.asset(
        key=key,
        group_name=lane.account,
        description=description,
        owners=owners,
        kinds=kinds,
        tags={"orders_sync/sync_type": sync_type.value, "orders_sync/account": lane.account},
        metadata={"dagster/code_references": _links_to_code(lane.account)},
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
        summary = _run_pass(context, account, sync_type, reread=config.reread)
        if summary.is_partial:
            context.log.warning(
                f"Partial: {summary.put_off_in_words()} could not be fetched; a later pass tries again."
            )
        for problem in summary.problems[:MAX_PROBLEMS_LOGGED]:
            context.log.warning(safe_text(problem))
        _report_tables(context, orders_database)
        if sync_type is SyncType.MODIFIED and starts_at_watermark(context.run):
            _mark_days(context, orders_database, lane, summary, schedules)
        check = dg.AssetCheckResult(
            passed=not summary.is_partial,
            check_name=NOTHING_PUT_OFF,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"put_off": summary.put_off, "documents_put_off": summary.documents_put_off},
        )
        return dg.MaterializeResult(metadata=metadata_of(summary), check_results=[check])

    return sync


def _links_to_code(account: str) -> dg.CodeReferencesMetadataValue:
    """The link of an asset's page to the account's file; definitions.py adds that to this module."""
    file = accounts_folder() / account / FILE_NAME
    return dg.CodeReferencesMetadataValue(
        code_references=[dg.LocalFileCodeReference(file_path=str(file), label=f"{account}/{FILE_NAME}")]
    )


def _run_pass(
    context: dg.AssetExecutionContext, account: SellerAccount, sync_type: SyncType, *, reread: bool
) -> PassSummary:
    """Runs the pass; its errors become a failure of the run in one line."""
    request = PassRequest(
        account,
        sync_type,
        context.run.run_id,
        start=_start(context, sync_type),
        reread=reread,
        lane_wait_seconds=LANE_WAIT_SECONDS,
        by=by_hand(context.run, context.instance),
        progress=_Progress(context),
    )
    try:
        return run_pass(request)
    except (PassFailedError, LaneBusyError) as problem:
        raise failure(problem) from None


def _start(context: dg.AssetExecutionContext, sync_type: SyncType) -> datetime | None:
    """Where the partitions that a person selected begin; None: the pass has its own window, which may be longer."""
    if not is_partitioned(sync_type) or starts_at_watermark(context.run):
        return None
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    return context.partition_time_window.start


def metadata_of(summary: PassSummary) -> dict[str, Any]:
    """The summary of a pass as metadata; the UI plots the numbers over time."""
    metadata: dict[str, Any] = dict(summary.numbers())
    for name in ("range_start", "range_end", "watermark"):
        at = getattr(summary, name)
        if at is not None:
            metadata[name] = dg.MetadataValue.timestamp(at)
    if summary.problems:
        metadata["problems"] = texts_table("problem", summary.problems[:MAX_PROBLEMS_SHOWN])
    return metadata


def _report_tables(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> None:
    """Reports a materialization of each table that the syncs write, with its number of rows."""
    with orders_database.connect("table sizes") as connection:
        sizes = table_sizes(connection)
    for table, rows in sizes.items():
        context.log_event(dg.AssetMaterialization(asset_key=table, metadata={"dagster/row_count": rows}))


def _mark_days(
    context: dg.AssetExecutionContext,
    orders_database: OrdersDatabase,
    lane: Lane,
    summary: PassSummary,
    schedules: ScheduleSettings,
) -> None:
    """Reports a materialization of each day that the pass changed, or was the first to cover, before its partitions."""
    if summary.range_start is None or summary.range_end is None:
        return
    key, window = lane_key(lane), (summary.range_start, summary.range_end)
    covered = context.instance.get_materialized_partitions(key)
    with orders_database.connect("days") as connection:
        found = days_to_mark(connection, lane, context.run.run_id, window, schedules, context.partition_keys, covered)
    for day, changed in found.items():
        metadata = {"changed_orders": changed}
        context.log_event(dg.AssetMaterialization(asset_key=key, partition=day, metadata=metadata))


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
