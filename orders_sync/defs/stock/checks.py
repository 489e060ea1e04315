"""The rules of stock as asset checks that read all open items. The stock job runs its own ones, in assets.py."""

import dagster as dg

from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.row_checks import rows_check_result
from orders_sync.marketplaces.kit.accounts import overselling_accounts
from orders_sync.stock.queries import OnHandMismatch, on_hand_mismatches
from orders_sync.stock.wrong_locks import WrongLock, wrong_locks


@dg.asset_check(
    asset="stock_locks",
    description=(
        "No lock holds pieces for an item that was released or has left, and no open item is without its lock. "
        "`orders-sync stock repair` and the job `repair_locks` mend what is listed."
    ),
)
def locks_are_what_items_need(orders_database: OrdersDatabase) -> dg.AssetCheckResult:
    """Lists the wrong locks. Items that the stock job has yet to look at are left out."""
    with orders_database.read_stock("check") as stock:
        rows = wrong_locks(stock, overselling_accounts())
    return rows_check_result(list(WrongLock._fields), rows, dg.AssetCheckSeverity.ERROR)


@dg.asset_check(
    asset="stock_levels", description="The pieces on hand of each SKU are the sum of its movements: none is lost."
)
def on_hand_is_what_moved(orders_database: OrdersDatabase) -> dg.AssetCheckResult:
    """Lists the SKUs whose pieces on hand are not the sum of their movements."""
    with orders_database.read_stock("check") as stock:
        rows = on_hand_mismatches(stock)
    return rows_check_result(list(OnHandMismatch._fields), rows, dg.AssetCheckSeverity.ERROR)
