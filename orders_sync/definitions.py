"""The entry point of Dagster: loads everything in defs/, and adds what concerns all of it."""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from orders_sync.components.account import all_accounts
from orders_sync.components.alerts import present_alerts
from orders_sync.components.load_defs import load_defs
from orders_sync.components.stand_ins import stand_ins
from orders_sync.components.subscription import present_subscriptions
from orders_sync.components.sync_schedules import present_schedules
from orders_sync.config.code_location import note_code_location
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
from orders_sync.config.v1 import has_v1
from orders_sync.dagster_instance.warm_workers import fork_workers
from orders_sync.dagster_support.orders_database import OrdersDatabase

# Each load, run and tick would log dozens of lines about parameters that we use knowingly; those about what is
# deprecated stay.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)


fork_workers([__name__])

OWN = ("cutover", "operations", "orders", "reports", "stock")
"""Our own folders of defs/; everything else in it is a user's."""


@dg.definitions
def defs() -> dg.Definitions:
    provide_sandbox_credentials()
    # Our own reader reads the files of settings: no mistake in one stops another, and none does more than set.
    hidden = ["accounts", "alerts", "subscriptions", "sync", *(() if has_v1() else ("cutover",))]
    subscriptions = present_subscriptions()
    base = dg.Definitions.merge(
        all_accounts(),
        present_schedules(),
        present_alerts(),
        subscriptions.definitions,
        # One process for each asset would double what a run pays for importing Dagster.
        dg.Definitions(resources={"orders_database": OrdersDatabase()}, executor=dg.in_process_executor),
    )
    found = load_defs("orders_sync.defs", PROJECT_ROOT, hidden, base, OWN)
    for part in found.left_out:
        dg.get_dagster_logger().error("%s is left out: %s", part.path, part.reason)
    reasons = {part.path: part.reason for part in found.left_out}
    loaded = dg.Definitions.merge(found.definitions, dg.Definitions(assets=stand_ins(reasons)))
    note_code_location(
        {**subscriptions.left_out, **reasons},
        [each.name for each in (*(loaded.schedules or ()), *(loaded.sensors or ()))],
    )
    return dg.Definitions(
        assets=_with_links_to_code(loaded.assets or []),
        asset_checks=loaded.asset_checks,
        jobs=loaded.jobs,
        schedules=loaded.schedules,
        sensors=loaded.sensors,
        resources=loaded.resources,
        executor=loaded.executor,
        metadata=loaded.metadata,
    )


def _with_links_to_code(assets: Any) -> Sequence[Any]:
    """The page of each asset in the UI links to its code."""
    return dg.with_source_code_references(assets)
