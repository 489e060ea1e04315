"""The one entry: everything that Dagster sees is loaded from defs/; what cuts across is added here."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials


@dg.definitions
def defs() -> dg.Definitions:
    provide_sandbox_credentials()
    loaded = dg.load_from_defs_folder(path_within_project=PROJECT_ROOT / "orders_sync" / "defs")
    return dg.Definitions(
        assets=_with_links_to_code(loaded.assets or []),
        asset_checks=loaded.asset_checks,
        jobs=loaded.jobs,
        schedules=loaded.schedules,
        sensors=loaded.sensors,
        # A step process an asset would double what importing Dagster costs each run.
        executor=dg.in_process_executor,
        metadata=loaded.metadata,
        component_tree=loaded.component_tree,
    )


def _with_links_to_code(assets: Any) -> Sequence[Any]:
    """Each asset's page in the UI links to the code that makes it."""
    return dg.with_source_code_references(assets)
