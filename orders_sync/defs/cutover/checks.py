"""The check that V1 stays off once V2 is live."""

import dagster as dg

from orders_sync.config.v1 import CutoverError, load_cutover_settings
from orders_sync.cutover.phases import moves
from orders_sync.dagster_instance.automation import v1_schedules_on
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.lanes.authority import Phase


@dg.asset_check(
    asset="migration_phase",
    name="v1_stays_off",
    description="Once V2 is live, V1's schedules are off and V1 writes no orders.",
)
def v1_stays_off(context: dg.AssetCheckExecutionContext, orders_database: OrdersDatabase) -> dg.AssetCheckResult:
    """Fails if a schedule of V1 is on, or V1 has written an order, since V2 went live."""
    from orders_sync.cutover.v1_database import V1Database

    with orders_database.connect("check") as connection:
        all_moves = moves(connection)
    if not all_moves or all_moves[-1].to_phase is not Phase.LIVE:
        return dg.AssetCheckResult(passed=True, metadata={"result": "V2 has not taken over from a V1."})
    running = v1_schedules_on(context.instance)
    try:
        with V1Database(load_cutover_settings()) as v1:
            written = v1.written_since(all_moves[-1].moved_at)
    except CutoverError as problem:
        return dg.AssetCheckResult(passed=not running, metadata={"result": f"V1 can no longer be read: {problem}"})
    result = f"schedules on: {', '.join(running) or 'none'}; orders that V1 wrote since: {written}"
    return dg.AssetCheckResult(passed=not running and written == 0, metadata={"result": result})
