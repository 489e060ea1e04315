"""Settings that can't be used stay in the catalog, with the reason: their assets, or one that stands for them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from orders_sync.components.account import account_assets
from orders_sync.components.load_defs import LoadedDefs, Unloadable
from orders_sync.components.sync_schedules import sync_schedules
from orders_sync.config.account import AccountConfigError
from orders_sync.config.account_files import is_account_name
from orders_sync.config.environment import accounts_folder, schedules_file
from orders_sync.config.schedules import load_schedules, schedules_problem
from orders_sync.dagster_support.lane_assets import job_name, lane_key
from orders_sync.dagster_support.markdown import as_code
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import Lane, SyncType

GROUP = "unusable_settings"


def unusable_settings(loaded: LoadedDefs) -> dg.Definitions:
    """What belongs to settings that can't be used and is not among the definitions that were loaded.

    An account keeps its four assets, which fail. The sync jobs keep their last valid schedules. Whatever has no assets
    of its own gets one in the group `unusable_settings`.
    """
    _, problems = load_accounts()
    there = {spec.key for asset in loaded.definitions.assets or () for spec in _specs(asset)}
    missing = {name: problem for name, problem in problems.items() if lane_key(Lane(name, SyncType.NEW)) not in there}
    parts = [account_assets(name, problem) for name, problem in missing.items() if is_account_name(name)]
    accounts = {accounts_folder() / name: str(it) for name, it in missing.items() if not is_account_name(name)}
    others = {part.path: part.reason for part in loaded.left_out if not _is_of(part, problems)}
    schedules = {schedules_file(): str(problem)} if (problem := schedules_problem()) is not None else {}
    if not any(_name(job) == job_name(SyncType.NEW) for job in loaded.definitions.jobs or ()):
        parts.append(sync_schedules(load_schedules()))
    parts.append(dg.Definitions(assets=_assets_that_stand_for(accounts | others | schedules)))
    return dg.Definitions.merge(*parts)


def _specs(asset: object) -> Sequence[dg.AssetSpec]:
    if isinstance(asset, dg.AssetsDefinition):
        return list(asset.specs)
    return [asset] if isinstance(asset, dg.AssetSpec) else []


def _name(job: object) -> str | None:
    return getattr(job, "name", None)


def _is_of(part: Unloadable, problems: dict[str, AccountConfigError]) -> bool:
    """Whether a part is reported otherwise: as an account that can't be used, or with the schedules."""
    return (
        part.path.parent == accounts_folder() and part.path.name in problems
    ) or part.path == schedules_file().parent


def _assets_that_stand_for(reasons: Mapping[Path, str]) -> list[dg.AssetSpec]:
    """An asset for each path, with the reason in its description. It is named after the path in defs/."""
    defs = accounts_folder().parent
    specs: dict[str, dg.AssetSpec] = {}
    for path, reason in reasons.items():
        name = re.sub(r"[^A-Za-z0-9_]+", "_", str(path.relative_to(defs)))
        while name in specs:
            name += "_"
        specs[name] = dg.AssetSpec(
            [GROUP, name],
            group_name=GROUP,
            description=f"**Can't be used:**\n\n{as_code(reason)}",
            owners=["team:orders"],
        )
    return list(specs.values())
