"""The component behind defs/accounts/<name>/defs.yaml: one account, its lanes as assets."""

from typing import Any

import dagster as dg
from pydantic import BaseModel

from orders_sync.components.account_scaffolder import AccountScaffolder
from orders_sync.components.free_attributes import attributes_of
from orders_sync.components.lane_asset import lane_asset
from orders_sync.components.stand_ins import stand_ins
from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.config.account_files import FILE_NAME, check_name, is_account_name
from orders_sync.config.code_location import note_loaded_accounts
from orders_sync.config.environment import accounts_folder
from orders_sync.config.schedules import ScheduleSettings, load_schedules
from orders_sync.config.yaml_files import read_settings_only
from orders_sync.dagster_instance.lane_assets import is_partitioned
from orders_sync.dagster_support.pass_events import passes_spec
from orders_sync.marketplaces.kit.accounts import account_from, load_accounts
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names
from orders_sync.model.lane import Lane, SyncType


@dg.scaffold_with(AccountScaffolder)
class Account(dg.Component):
    """One seller account at one marketplace: four sync assets and what plots their passes, in a group of its name.

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
    note_loaded_accounts(accounts)
    schedules = load_schedules()
    named = {name: account for name, account in {**accounts, **problems}.items() if is_account_name(name)}
    parts = [account_assets(name, account, schedules) for name, account in named.items()]
    odd = {accounts_folder() / name: str(problem) for name, problem in problems.items() if not is_account_name(name)}
    return dg.Definitions.merge(*parts, dg.Definitions(assets=stand_ins(odd)))


def account_assets(
    name: str, account: SellerAccount | AccountConfigError, schedules: ScheduleSettings
) -> dg.Definitions:
    """The four assets of an account, which say so if it can't be used, and those that plot their passes."""
    lanes = [Lane(name, sync_type) for sync_type in SyncType]
    passes = [passes_spec(lane) for lane in lanes if is_partitioned(lane.sync_type)]
    return dg.Definitions(assets=[*(lane_asset(lane, account, schedules) for lane in lanes), *passes])
