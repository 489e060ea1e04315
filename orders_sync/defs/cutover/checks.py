"""The check that V1 stays off once V2 is live."""

import dagster as dg

from orders_sync.config.v1 import CutoverError, load_cutover_settings
from orders_sync.cutover.phases import note_v1_writes
from orders_sync.cutover.readiness import accounts_of
from orders_sync.dagster_instance.automation import v1_schedules_on
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.lanes.authority import current_authority


@dg.asset_check(
    asset="migration_phase",
    name="v1_stays_off",
    description="V1 writes no orders of an account that V2 has taken over; once it has all, V1's schedules are off.",
)
def v1_stays_off(context: dg.AssetCheckExecutionContext, orders_database: OrdersDatabase) -> dg.AssetCheckResult:
    """Fails if V1 has written an order since V2 has the account, or a schedule of V1 is on since V2 has all."""
    from orders_sync.cutover.v1_database import V1Database

    settings = load_cutover_settings()
    with orders_database.connect("check") as connection:
        authority = current_authority(connection)
    taken_over = {
        name: since
        for name in accounts_of(settings)
        if authority.is_live(name) and (since := authority.of(name).since) is not None
    }
    if not taken_over:
        return dg.AssetCheckResult(passed=True, metadata={"result": "V2 has not taken over from a V1."})
    is_over = len(taken_over) == len(accounts_of(settings))
    running = v1_schedules_on(context.instance) if is_over else []
    try:
        with V1Database(settings) as v1:
            written = {name: v1.written_since(name, since) for name, since in taken_over.items()}
    except CutoverError as problem:
        return dg.AssetCheckResult(passed=is_over and not running, metadata={"result": f"V1 can't be read: {problem}"})
    with orders_database.connect("check") as connection:
        note_v1_writes(connection, written)
    orders = ", ".join(f"{name}: {count}" for name, count in written.items() if count) or "none"
    result = f"schedules on: {', '.join(running) or 'none'}; orders that V1 wrote since: {orders}"
    return dg.AssetCheckResult(passed=not running and not any(written.values()), metadata={"result": result})
