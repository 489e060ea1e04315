"""`orders-sync stock settings`: the settings of stock that are stored in the orders database."""

from typing import TYPE_CHECKING

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.output import console
from orders_sync.cli.rows import json_option, print_json
from orders_sync.cli.user import by_user
from orders_sync.model.time_words import moment

if TYPE_CHECKING:
    from orders_sync.stock.settings import StockSettings

APPLICATION = "orders_sync stock settings"


@click.command("settings")
@click.option(
    "--sku-case",
    type=click.Choice(["exact", "ignore"]),
    help="ignore: SKUs that differ only in upper and lower case are one. By default, they are different: exact.",
)
@click.option(
    "--unknown-shipping-time",
    type=click.Choice(["as_seen", "before_count"]),
    help="When pieces left of which the marketplace gives no time (refurbed). as_seen: when a pass saw it. "
    "before_count: before any count of the shelf since the last `modified` pass.",
)
@json_option
def settings(sku_case: str | None, unknown_shipping_time: str | None, as_json: bool) -> None:
    """Show or change the settings of stock.

    With --sku-case ignore, all SKUs of the stock list come into upper case, and those that differ only in case are
    merged. Back to exact, they stay in upper case.
    """
    from orders_sync.stock.settings import UnknownShippingTime, set_unknown_shipping_time, stored_settings

    if sku_case is not None:
        _change_sku_case(sku_case)
    if unknown_shipping_time is not None:
        with stock_database(APPLICATION) as connected:
            set_unknown_shipping_time(connected, UnknownShippingTime(unknown_shipping_time), by_user())
    with read_stock_database(APPLICATION) as connected:
        stored = stored_settings(connected)
    if as_json:
        print_json(stored)
    else:
        _show(stored)


def _change_sku_case(name: str) -> None:
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.settings import set_sku_case
    from orders_sync.stock.sku_case import SkuCase

    with stock_database(APPLICATION) as connected:
        change = set_sku_case(connected, SkuCase(name), by_user(), overselling_accounts())
    if change is None:
        return
    for sku, spellings in change.merged.items():
        console.print(f"SKU {sku}: merged from {', '.join(spellings)}.", markup=False)
    if name == SkuCase.EXACT:
        console.print(
            "The SKUs of the stock list, of aliases and of buffers stay in upper case. Items whose SKU is spelled "
            "otherwise wait for stock, until you import a stock list or aliases with their spelling."
        )
    console.print(f"The stock job looks at {change.rechecked} items again.", markup=False)


def _show(stored: "StockSettings") -> None:
    console.print(f"sku_case: {stored.sku_case}\nunknown_shipping_time: {stored.unknown_shipping_time}", markup=False)
    if stored.changed_at is not None:
        console.print(f"changed by {stored.changed_by} at {moment(stored.changed_at)} UTC", markup=False)
