"""The job that runs the checks."""

import dagster as dg

from orders_sync.defs.orders import checks

check_orders = dg.define_asset_job(
    "check_orders",
    selection=dg.AssetSelection.checks(
        checks.every_item_has_its_order,
        checks.every_order_has_items,
        checks.totals_add_up,
        checks.states_are_known,
        checks.no_late_orders,
        checks.no_rejected_records,
        checks.every_order_created_once,
        checks.every_record_is_linked,
    )
    | dg.AssetSelection.checks_for_assets("migration_phase"),
    description="Runs all checks of the synced tables, and the check that V1 stays off once V2 is live.",
    executor_def=dg.in_process_executor,
)
