"""`orders-sync drift`: where an account's records differ from what its adapter knows."""

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.user import by_user
from orders_sync.database.opened import orders_database
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync drift"


@click.group(invoke_without_command=True)
@click.option("--account", type=ACCOUNT, help="Only this account.")
@click.option("--all", "with_noted", is_flag=True, help="Also what was noted as seen.")
@format_options
@click.pass_context
def drift(context: click.Context, account: str | None, with_noted: bool, as_json: bool, as_csv: bool) -> None:
    """Show what adapters don't know of their records.

    Contract drift is a field, a type or a state that an adapter does not know. Each pass compares a few new or changed
    records with what their adapter reads. A difference is reported once, until a person notes it as seen; it stops
    nothing. Names and types only, no values but those of states.
    """
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.sync.contract_drift import Drift, stored_drift

    if context.invoked_subcommand is not None:
        if account or with_noted or as_json or as_csv:
            raise click.UsageError(f"Give the options after the command: {context.invoked_subcommand} …")
        return
    with orders_database(APPLICATION) as connection:
        rows = stored_drift(connection, account, with_noted=with_noted)
    if not rows and account is not None:  # a removed account may have rows; a misspelled one has none
        check_account_name(account)
    if not rows and not as_json and not as_csv:
        console.print("No contract drift.")
        return
    names = Drift._fields if with_noted else Drift._fields[:-2]
    print_rows("Contract drift", names, [row[: len(names)] for row in rows], as_json=as_json, as_csv=as_csv)


@drift.command("seen")
@click.argument("account", type=ACCOUNT)
@click.argument("field", required=False)
def seen(account: str, field: str | None) -> None:
    """Note contract drift of an account as seen.

    All of it, or that of one FIELD. The check `contract_is_known` passes when nothing is left. Stores who did it and
    when.
    """
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.sync.contract_drift import note_seen

    with orders_database(APPLICATION) as connection:
        count = note_seen(connection, account, field, by_user())
    if count == 0:
        check_account_name(account)
        raise UserFacingError(f"Account {account} has no contract drift{f' of {field}' if field else ''} to be seen.")
    console.print(f"{account}: {count} differences are noted as seen.", markup=False)


@drift.command("fields")
@click.argument("account", type=ACCOUNT)
@format_options
def fields(account: str, as_json: bool, as_csv: bool) -> None:
    """List the fields of an account's records, with their types.

    As far as the sampled records show them: whether the adapter reads a field, how many sampled records had it, and
    how many in a row have lacked it since.
    """
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.sync.contract_drift import SeenField, seen_fields

    with orders_database(APPLICATION) as connection:
        rows = seen_fields(connection, account)
    if not rows:
        check_account_name(account)
    print_rows(f"Fields of {account}", SeenField._fields, rows, as_json=as_json, as_csv=as_csv)
