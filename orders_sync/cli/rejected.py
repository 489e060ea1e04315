"""`orders-sync rejected`: records that failed validation, or that could not be fetched."""

import json
import sys
import uuid
from collections.abc import Callable, Collection
from typing import Any

import click
import psycopg
from rich.text import Text

from orders_sync.cli.names import ACCOUNT, REJECTED_ID
from orders_sync.cli.output import (
    EXIT_BUSY,
    EXIT_DONE,
    EXIT_FAILED,
    beside,
    console,
    print_as_it_is,
    print_error,
)
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.user import by_user
from orders_sync.database.engine import Connection
from orders_sync.database.opened import orders_database
from orders_sync.database.problems import problem_of
from orders_sync.lanes.lock import LaneBusyError
from orders_sync.model.errors import UserFacingError
from orders_sync.model.time_words import moment
from orders_sync.sync.rejected_records import KeptRecord, Selection, on_rejected, title_of

APPLICATION = "orders_sync rejected"
_kind_option = click.option(
    "--kind", type=click.Choice(["order", "care"]), help="Needed if an order and a care record have this id."
)


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that select records, as the parameters `account`, `kind` and `reason`."""
    for option in (
        click.option("--reason", help="Only records with this text in a reason, e.g. 'quantity' or '404'."),
        click.option("--kind", type=click.Choice(["order", "care"]), help="Only records of this kind."),
        click.option("--account", type=ACCOUNT, help="Only records of this account."),
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@selection_options
@click.option("--list", "as_list", is_flag=True, help="List each record, instead of a group for each reason.")
@click.option("--dismissed", is_flag=True, help="Only dismissed records, which are left out otherwise.")
@format_options
@click.pass_context
def rejected(
    context: click.Context,
    account: str | None,
    kind: str | None,
    reason: str | None,
    as_list: bool,
    dismissed: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show, retry and dismiss rejected records.

    A record that fails validation, or that can't be fetched, is rejected, and kept whole until it passes. Without a
    command, the records are grouped by reason; one with several reasons is in several groups.
    """
    if context.invoked_subcommand is not None:
        if account or kind or reason or as_list or dismissed or as_json or as_csv:
            raise click.UsageError(f"Give the options after the command: {context.invoked_subcommand} …")
        return
    selection = Selection(account, kind, None, reason, dismissed)
    _print(selection, as_list=as_list, as_json=as_json, as_csv=as_csv)


@rejected.command("list")
@selection_options
@click.option("--dismissed", is_flag=True, help="Only dismissed records, which are left out otherwise.")
@format_options
def list_rejected(
    account: str | None, kind: str | None, reason: str | None, dismissed: bool, as_json: bool, as_csv: bool
) -> None:
    """List the rejected records with every reason.

    The same as `orders-sync rejected --list`.
    """
    _print(Selection(account, kind, None, reason, dismissed), as_list=True, as_json=as_json, as_csv=as_csv)


def _print(selection: Selection, *, as_list: bool, as_json: bool, as_csv: bool) -> None:
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.sync.rejected_records import grouped, selected

    with orders_database(APPLICATION) as connection:
        if as_list:
            records = selected(connection, selection)
            names, rows = [*_LIST_COLUMNS, *_DISMISSAL_COLUMNS], [_row(record) for record in records]
            if not selection.is_dismissed and not as_json and not as_csv:
                names, rows = [*_LIST_COLUMNS], [row[: len(_LIST_COLUMNS)] for row in rows]
            title = f"{len(rows)} rejected records"
        else:
            groups = grouped(connection, selection)
            names = ["account", "kind", "reason", "allowed", "records", "first", "last", "example"]
            rows = [list(group) for group in groups]
            title = "Rejected records by reason"
    if not rows and selection.account is not None:  # a removed account may have rows; a misspelled one has none
        check_account_name(selection.account)
    if not rows and not as_json and not as_csv:
        console.print("No rejected records.")
        return
    print_rows(title, names, rows, as_json=as_json, as_csv=as_csv)


_LIST_COLUMNS = ("account", "kind", "id", "reasons", "attempts", "first", "last")
_DISMISSAL_COLUMNS = ("dismissed_at", "dismissed_by", "dismissed_reason")


def _row(record: KeptRecord) -> list[Any]:
    reasons = "\n".join(f"{reason.where}: {reason.what} ({reason.allowed})" for reason in record.reasons)
    return [
        record.account, record.kind, record.key, reasons, record.attempts, record.first_seen_at, record.last_seen_at,
        record.dismissed_at, record.dismissed_by, record.dismissed_reason,
    ]  # fmt: skip


@rejected.command("show")
@click.argument("account", type=ACCOUNT)
@click.argument("record_id", type=REJECTED_ID)
@_kind_option
def show(account: str, record_id: str, kind: str | None) -> None:
    """Print one rejected record and its reasons.

    The record is printed whole, as received; it may hold buyers' data: showing it is an act (`orders-sync acts`).
    """
    from orders_sync.acts.manual_acts import Act, note_act
    from orders_sync.marketplaces.kit.accounts import check_account_name

    with orders_database(APPLICATION) as connection:
        rows = connection.execute(
            "SELECT kind, raw, reasons FROM rejected_records WHERE account = %s AND record_id = %s",
            [account, record_id],
        )
        found = {row[0]: row[1:] for row in rows}
        if not found:
            check_account_name(account)
        meant = _only_kind(account, record_id, kind, found.keys())
        note_act(connection, by_user(), Act.SHOW_REJECTED, on_rejected(account, meant, record_id))
    raw, reasons = found[meant]
    print_as_it_is(bytes(raw).decode(errors="replace"))
    click.echo(json.dumps(reasons, indent=2))


def _only_kind(account: str, record_id: str, kind: str | None, found: Collection[str]) -> str:
    """The kind of the record that is meant, of those that have rejected records with its id.

    Raises UserFacingError if there is none, or if an order and a care record have the id and `kind` names neither.
    """
    if kind is None and len(found) > 1:
        raise UserFacingError(
            f"Account {account} has a rejected order {record_id} and a rejected care record {record_id}: name one of "
            "them by --kind order or --kind care."
        )
    meant = [one for one in found if kind in (None, one)]
    if not meant:
        raise UserFacingError(f"Account {account} has no rejected {title_of(kind or 'record')} {record_id}.")
    return meant[0]


@rejected.command("retry")
@click.argument("account", type=ACCOUNT, required=False)
@click.argument("record_id", type=REJECTED_ID, required=False)
@click.option("--account", "names", type=ACCOUNT, multiple=True, help="Only records of this account. May be repeated.")
@click.option("--kind", type=click.Choice(["order", "care"]), help="Only records of this kind.")
@click.option("--reason", help="Only records with this text in a reason, e.g. 'quantity' or '404'.")
def retry(
    account: str | None, record_id: str | None, names: tuple[str, ...], kind: str | None, reason: str | None
) -> None:
    """Fetch rejected records and try them again.

    All of them, those of an account, one record, or those with a reason. Dismissed records are left out. An account
    whose marketplace is down, or whose lane is busy, does not stop the others. Exit code 1 if one could not be tried; 3
    if it was the only one, and its lane is busy.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.passes.retry_rejected import retry_rejected_records
    from orders_sync.sync.rejected_records import selected

    check_schema()
    chosen = {name: None for name in (account, *names) if name}  # each once, in this order
    usable, problems = ({name: find_account(name) for name in chosen}, {}) if chosen else load_accounts()
    accounts = list(usable.values())
    exit_codes = [EXIT_FAILED for _ in problems]
    for problem in problems.values():
        print_error(problem)
    with orders_database(APPLICATION) as connection:
        if record_id is not None:
            _check_is_rejected(connection, accounts[0].name, record_id, kind)
        counts = {one.name: len(selected(connection, Selection(one.name, kind, record_id, reason))) for one in accounts}
    for one in accounts:
        if not counts[one.name]:  # neither its credential nor its lanes are needed
            console.print(f"{one.name}: 0 passed, 0 still rejected.", markup=False)
            continue
        run_id = f"cli-{uuid.uuid4().hex[:8]}"
        try:
            with beside.status(Text(f"{one.name}: fetching its rejected records")):
                passed, left = retry_rejected_records(
                    one, run_id, key=record_id, kind=kind, reason=reason, by=by_user(run_id=run_id)
                )
        except (UserFacingError, psycopg.Error) as error:
            # The next account may work.
            print_error(f"{one.name}: {problem_of(error) if isinstance(error, psycopg.Error) else error}")
            exit_codes.append(EXIT_BUSY if isinstance(error, LaneBusyError) else EXIT_FAILED)
        else:
            console.print(f"{one.name}: {passed} passed, {left} still rejected.", markup=False)
    if len(accounts) == 1 and not problems:
        sys.exit(max(exit_codes, default=EXIT_DONE))
    sys.exit(EXIT_FAILED if exit_codes else EXIT_DONE)


def _check_is_rejected(connection: Connection, account: str, record_id: str, kind: str | None) -> None:
    """Raises UserFacingError unless such a record, of any kind or this one, is rejected and not dismissed."""
    from orders_sync.sync.rejected_records import selected

    if not selected(connection, Selection(account, kind, record_id)):
        title = title_of(kind or "record")
        raise UserFacingError(f"Account {account} has no rejected {title} {record_id} that is not dismissed.")


@rejected.command("dismiss")
@click.argument("account", type=ACCOUNT)
@click.argument("record_id", type=REJECTED_ID)
@_kind_option
@click.option("--reason", required=True, help="Why; it is kept with your name and the time.")
def dismiss(account: str, record_id: str, kind: str | None, reason: str) -> None:
    """Dismiss a rejected record, with a reason.

    It is not tried again, and checks do not count it. It comes back if the marketplace sends a changed version.
    """
    from orders_sync.sync import dismissals, rejected_records

    by = by_user(reason)
    with orders_database(APPLICATION) as connection:
        kinds = rejected_records.unresolved_kinds(connection, account, record_id)
        only = _only_kind(account, record_id, kind, kinds)
        earlier = dismissals.dismiss(connection, account, only, record_id, by)
    if earlier is None:
        console.print(f"{account}: {record_id} is dismissed.", markup=False)
    else:
        console.print(
            f"{account}: {record_id} was dismissed already, by {earlier.by} at {moment(earlier.at)} UTC: "
            f"{earlier.reason}. Nothing changes.",
            markup=False,
        )
