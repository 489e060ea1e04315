"""`orders-sync flaws`: what is wrong with records that are stored nevertheless."""

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.database.opened import orders_database

APPLICATION = "orders_sync flaws"


@click.command()
@click.option("--account", type=ACCOUNT, help="Only records of this account.")
@click.option("--list", "as_list", is_flag=True, help="List each flaw, instead of a group for equal ones.")
@format_options
def flaws(account: str | None, as_list: bool, as_json: bool, as_csv: bool) -> None:
    """Show the flaws of stored records.

    A flaw is a wrong value in a record that is stored nevertheless: where it is, what was found, and what is stored
    instead. Equal flaws are one group, with the record that had it last. A record's flaws are gone once it is right.
    """
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.sync.record_flaws import grouped_flaws, listed_flaws

    with orders_database(APPLICATION) as connection:
        if as_list:
            names = ["account", "kind", "id", "field", "found", "stored", "first", "last"]
            rows = [list(flaw) for flaw in listed_flaws(connection, account)]
        else:
            names = ["account", "kind", "field", "found", "stored", "records", "example"]
            rows = [list(group) for group in grouped_flaws(connection, account)]
    if not rows and account is not None:  # a removed account may have rows; a misspelled one has none
        check_account_name(account)
    if not rows and not as_json and not as_csv:
        console.print("No flaws.")
        return
    print_rows(f"{len(rows)} flaws" if as_list else "Flaws", names, rows, as_json=as_json, as_csv=as_csv)
