"""Assets that stand in the catalog for what can't be used, with the reason in their description."""

import re
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from orders_sync.config.environment import accounts_folder
from orders_sync.dagster_support.markdown import as_code

GROUP = "unusable_settings"


def stand_ins(reasons: Mapping[Path, str]) -> list[dg.AssetSpec]:
    """An asset for each path, named after the path in defs/, with the reason why it can't be used."""
    defs = accounts_folder().parent
    specs: dict[str, dg.AssetSpec] = {}
    for path, reason in reasons.items():
        name = re.sub(r"[^A-Za-z0-9_]+", "_", str(path.relative_to(defs)))[:100]
        while name in specs:
            name += "_"
        specs[name] = dg.AssetSpec(
            [GROUP, name],
            group_name=GROUP,
            description=f"**Can't be used:**\n\n{as_code(reason)}",
            owners=["team:orders"],
        )
    return list(specs.values())
