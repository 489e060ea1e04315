"""The entry point of Dagster: loads everything in defs/, and adds what concerns all of it."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orders_sync.components.load_defs import load_defs
from orders_sync.components.unusable_settings import unusable_settings
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
from orders_sync.dagster_support.orders_database import OrdersDatabase


@dg.definitions
def defs() -> dg.Definitions:
    provide_sandbox_credentials()
    found = load_defs("orders_sync.defs", PROJECT_ROOT)
    for part in found.left_out:
        dg.get_dagster_logger().error("%s is left out: %s", part.path, part.reason)
    loaded = dg.Definitions.merge(found.definitions, unusable_settings(found))
    return dg.Definitions(
        assets=_with_links_to_code(loaded.assets or []),
        asset_checks=loaded.asset_checks,
        jobs=loaded.jobs,
        schedules=loaded.schedules,
        sensors=loaded.sensors,
        resources={"orders_database": OrdersDatabase()},
        # One process for each asset would double what a run pays for importing Dagster.
        executor=dg.in_process_executor,
        metadata=loaded.metadata,
        component_tree=loaded.component_tree,
    )


def _with_links_to_code(assets: Any) -> Sequence[Any]:
    """The page of each asset in the UI links to its code."""
    return dg.with_source_code_references(assets)
