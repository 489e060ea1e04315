"""Assets that stand in the catalog for what can't be used, with the reason in their description."""

import re
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from orders_sync.config.environment import PROJECT_ROOT, defs_folder
from orders_sync.dagster_support.markdown import as_code

GROUP = "unusable_settings"


def stand_ins(reasons: Mapping[Path, str]) -> list[dg.AssetSpec]:
    """An asset for each path, named after the path in defs/, with the reason why it can't be used."""
    specs: dict[str, dg.AssetSpec] = {}
    for path, reason in reasons.items():
        name = re.sub(r"[^A-Za-z0-9_]+", "_", str(_within_defs(path)))[:100]
        while name in specs:
            name += "_"
        specs[name] = dg.AssetSpec(
            [GROUP, name],
            group_name=GROUP,
            description=f"**Can't be used:**\n\n{as_code(reason)}",
            owners=["team:orders"],
        )
    return list(specs.values())


def _within_defs(path: Path) -> Path:
    """The path within the folder of definitions that it is in: that of the project, or that of the package."""
    folders = (defs_folder(), PROJECT_ROOT / "orders_sync" / "defs")
    return next((path.relative_to(folder) for folder in folders if path.is_relative_to(folder)), Path(path.name))
