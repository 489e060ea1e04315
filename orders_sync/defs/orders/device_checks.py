"""Devices as asset checks: what shipped without IMEI or serial number, and IMEIs that several items have."""

import dagster as dg

from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.row_checks import rows_check_result
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.reports.devices import ShippedWithout, SoldTwice, shipped_without, sold_twice

WARN = dg.AssetCheckSeverity.WARN
_WITHOUT_IMEI = SoldTwice._fields[1:]
"""The columns that are shown: Dagster keeps them for ever, and the IMEI is blanked with the buyer's data."""


@dg.asset_check(
    asset="order_items",
    name="shipped_with_device_numbers",
    description="Goods of accounts with `require_device_numbers` that shipped without IMEI or serial number. Enter "
    "them at the marketplace; the next `modified` pass reads them.",
)
def shipped_with_device_numbers(orders_database: OrdersDatabase) -> dg.AssetCheckResult:
    """Passes where no account requires them."""
    accounts, _ = load_accounts()
    with orders_database.connect("check") as connection:
        found = shipped_without(connection, accounts)
    result = rows_check_result(list(ShippedWithout._fields), found, WARN)
    required = [name for name, account in accounts.items() if account.settings.require_device_numbers]
    return result._replace(
        metadata={**result.metadata, "accounts that require them": dg.MetadataValue.text(", ".join(required) or "none")}
    )


@dg.asset_check(
    asset="order_items",
    name="no_device_sold_twice",
    description="Items with an IMEI that another item has as well, none of which came back or has a care record. "
    "`orders-sync devices duplicates` shows the IMEIs.",
)
def no_device_sold_twice(orders_database: OrdersDatabase) -> dg.AssetCheckResult:
    """The first rows name the items, without the IMEI."""
    with orders_database.connect("check") as connection:
        found = sold_twice(connection)
    return rows_check_result(list(_WITHOUT_IMEI), [each[1:] for each in found], WARN)
