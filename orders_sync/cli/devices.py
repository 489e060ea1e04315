"""`orders-sync devices`: the IMEIs and serial numbers of what was sold."""

from collections.abc import Sequence
from typing import Any

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.user import by_user
from orders_sync.database.opened import orders_database

APPLICATION = "orders_sync devices"


@click.group()
def devices() -> None:
    """List IMEIs and serial numbers of what was sold.

    As far as the marketplace names them. The account's retention blanks them with the buyer's data.
    """


@devices.command("list")
@click.option("--account", type=ACCOUNT, help="Only this account.")
@click.option("--order", "order_id", metavar="ID", help="Only this order.")
@click.option("--number", help="Only items with this IMEI or serial number.")
@format_options
def list_devices(account: str | None, order_id: str | None, number: str | None, as_json: bool, as_csv: bool) -> None:
    """List the items with their IMEIs and serial numbers.

    These identify what a buyer has: listing them is an act (`orders-sync acts`).
    """
    from orders_sync.acts.manual_acts import Act, On, note_act
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.reports.devices import Device, Selection
    from orders_sync.reports.devices import devices as find_devices

    with orders_database(APPLICATION) as connection:
        found = find_devices(connection, Selection(account, order_id, number and number.strip()))
        if found:
            note_act(connection, by_user(), Act.LIST_DEVICES, On(account, order_id), f"{len(found)} items")
    if not found and account is not None:  # a removed account may have orders; a misspelled one has none
        check_account_name(account)
    rows = [[*each[:-2], _one_text(each.imeis), _one_text(each.serial_numbers)] for each in found]
    _print("Devices", Device._fields, rows, as_json=as_json, as_csv=as_csv)


def _one_text(numbers: list[str] | None) -> str:
    return ", ".join(numbers or ())


@devices.command("missing")
@format_options
def missing(as_json: bool, as_csv: bool) -> None:
    """List what shipped without IMEI or serial number.

    Of the accounts with `require_device_numbers: true`. Enter the numbers at the marketplace: the next `modified` pass
    reads them.
    """
    from orders_sync.marketplaces.kit.accounts import load_accounts
    from orders_sync.reports.devices import ShippedWithout, shipped_without

    accounts, _ = load_accounts()
    with orders_database(APPLICATION) as connection:
        found = shipped_without(connection, accounts)
    if not any(account.settings.require_device_numbers for account in accounts.values()):
        click.echo("No account has `require_device_numbers: true`.", err=True)
    _print("Shipped without IMEI or serial number", ShippedWithout._fields, found, as_json=as_json, as_csv=as_csv)


@devices.command("duplicates")
@format_options
def duplicates(as_json: bool, as_csv: bool) -> None:
    """List IMEIs that several items have.

    Items that came back, or have a care record, are left out: such a device may be sold again.
    """
    from orders_sync.reports.devices import SoldTwice, sold_twice

    with orders_database(APPLICATION) as connection:
        found = sold_twice(connection)
    _print("IMEIs that several items have", SoldTwice._fields, found, as_json=as_json, as_csv=as_csv)


def _print(title: str, names: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool, as_csv: bool) -> None:
    if not rows and not as_json and not as_csv:
        console.print("None.")
        return
    print_rows(title, names, rows, as_json=as_json, as_csv=as_csv)
