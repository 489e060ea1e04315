"""The jobs that run the checks: what is quick all day, what reads whole tables in the night."""

import dagster as dg

from orders_sync.dagster_support.row_checks import check_name
from orders_sync.health.examinations import EXAMINATIONS, SLOW

_ALL = (
    # All checks of these assets, so that a new check runs without a further line.
    dg.AssetSelection.checks_for_assets(
        "orders", "order_items", "order_events", "care_records", "stock_levels", "migration_phase"
    )
    # The other checks of this asset are run by the stock job itself.
    | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("stock_locks"), "locks_are_what_items_need"))
)
_OF_WHOLE_TABLES = dg.AssetSelection.checks(
    *(
        dg.AssetCheckKey(dg.AssetKey(asset), name)
        for asset, name in (
            ("orders", "every_order_has_items"),
            ("orders", "totals_add_up"),
            ("orders", "states_are_known"),
            ("order_items", "every_item_has_its_order"),
            ("order_items", "shipped_with_device_numbers"),
            ("order_items", "no_device_sold_twice"),
            ("order_events", "every_order_created_once"),
            ("stock_levels", "on_hand_is_what_moved"),
            *(("doctor", check_name(name)) for name in EXAMINATIONS if name in SLOW),
        )
    )
)

check_orders = dg.define_asset_job(
    "check_orders",
    selection=(_ALL - _OF_WHOLE_TABLES)
    | dg.AssetSelection.assets("orders", "order_items", "order_events", "care_records").without_checks(),
    description=(
        "Runs the checks of the synced tables and of stock that are quick. Shows how many rows the tables have."
    ),
    executor_def=dg.in_process_executor,
)
check_whole_tables = dg.define_asset_job(
    "check_whole_tables",
    selection=_OF_WHOLE_TABLES,
    description="Runs the checks that read whole tables.",
    executor_def=dg.in_process_executor,
)
