"""`orders-sync acts`: what people did by hand."""

from datetime import datetime

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console
from orders_sync.cli.past_time import PastTime
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.database.opened import orders_database

SHOWN = 100


@click.command()
@click.option("--account", type=ACCOUNT, help="Only acts on this account.")
@click.option("--order", "order_id", metavar="ID", help="Only acts on this order, and on its items.")
@click.option("--sku", help="Only acts on this SKU, of the stock list or of an item.")
@click.option("--actor", metavar="TEXT", help="Only acts by a person whose name has this text, e.g. ann.")
@click.option(
    "--since", type=PastTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="Only acts from this moment (UTC) on."
)  # fmt: skip
@click.option("--all", "show_all", is_flag=True, help=f"Show all of them, not only the latest {SHOWN}.")
@format_options
def acts(
    account: str | None,
    order_id: str | None,
    sku: str | None,
    actor: str | None,
    since: datetime | None,
    show_all: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show who did what by hand.

    Commands and Dagster's jobs write each act with who did it, where from, on what, why and when, together with what it
    changes. With --json and --csv, all acts are printed.

    An import of a stock list is one act without a SKU; `orders-sync stock explain SKU` shows what it changed.
    """
    from orders_sync.acts.manual_acts import ManualAct, Selection, stored_acts
    from orders_sync.marketplaces.kit.accounts import check_account_name

    limit = None if show_all or as_json or as_csv else SHOWN
    with orders_database("orders_sync acts") as connection:
        found = stored_acts(connection, Selection(account, order_id, sku, actor, since), limit)
    if not found and account is not None:  # a removed account may have acts; a misspelled one has none
        check_account_name(account)
    if not found and not as_json and not as_csv:
        console.print("No acts by hand.")
        return
    print_rows("Acts by hand", ManualAct._fields, [list(act) for act in found], as_json=as_json, as_csv=as_csv)
