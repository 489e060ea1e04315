"""`orders-sync export`: files for analysts and for the warehouse."""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from orders_sync.cli.names import ACCOUNT, STATUS
from orders_sync.cli.output import console, print_warning
from orders_sync.cli.past_time import PastTime
from orders_sync.cli.user import by_user
from orders_sync.database.engine import Connection
from orders_sync.model.statuses import Status

if TYPE_CHECKING:  # imported only by the commands
    from orders_sync.exports.row_writer import RowWriter
    from orders_sync.exports.selection import Export, Selection

APPLICATION = "orders_sync export"
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]


class Format(StrEnum):
    """The formats of files; each is the ending of their names, too."""

    CSV = "csv"
    PARQUET = "parquet"


@click.group()
def export() -> None:
    """Write orders, items or a pick list to a file.

    CSV, or Parquet with the extra `orders-sync[parquet]`. All rows are of one moment. A file is there as a whole or not
    at all: it takes the place of the one before at the end.
    """


def _file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the file and its format, as the parameters `file` and `format_`."""
    command = click.option(
        "--format", "format_", type=click.Choice([str(each) for each in Format]),
        help="Its format. By default, the ending of its name says it; CSV on standard output.",
    )(command)  # fmt: skip
    return click.option(
        "--to", "--output", "file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default="-",
        metavar="FILE", help="The file to write, which only you may open; standard output by default.",
    )(command)  # fmt: skip


def _selection_options(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the filters that all exports have. `what`: what a row is, as the help says it."""

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--until", type=PastTime(_TIMES), help=f"Only {what} ordered before this moment (UTC)."),
            click.option("--since", type=PastTime(_TIMES), help=f"Only {what} ordered at this moment (UTC) or later."),
            click.option(
                "--status", "statuses", type=STATUS, multiple=True, help=f"Only {what} with this status; repeatable."
            ),
            click.option(
                "--account", "accounts", type=ACCOUNT, multiple=True, help=f"Only {what} of this account; repeatable."
            ),
        ):
            command = option(command)
        return command

    return with_options


def _sku_option(help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--sku", "skus", multiple=True, help=f"{help_}; repeatable.")


def _without_sku(what: str, instead: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuses `--sku` where rows have no SKU, and says what has."""

    def refuse(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value is not None:
            raise click.UsageError(f"--sku does not apply to {what}: they have no SKU. {instead}", context)

    return click.option(
        "--sku", hidden=True, expose_value=False, callback=refuse, help="Does not apply: the rows have no SKU."
    )


@export.command("orders")
@_selection_options("orders")
@_without_sku("orders", "`orders-sync export items --sku SKU` exports the items of a SKU.")
@_file_options
def export_orders(file: Path, format_: str | None, **filters: Any) -> None:
    """Export the orders, without buyers' data.

    The columns are those of the view reporting.orders.
    """
    from orders_sync.exports.selection import Export

    _write(Export.ORDERS, _selection(**filters), file, format_)


@export.command("items")
@_selection_options("items")
@_sku_option("Only items of this SKU, as the marketplace names it")
@_file_options
def export_items(file: Path, format_: str | None, **filters: Any) -> None:
    """Export the order items, with their locks.

    The columns are those of the view reporting.order_items. Buyers' data is not among them.
    """
    from orders_sync.exports.selection import Export

    _write(Export.ITEMS, _selection(**filters), file, format_)


@export.command("pick-list")
@_selection_options("orders")
@_sku_option("Only this SKU of the stock list")
@click.option("--by-order", is_flag=True, help="A row for each item and SKU, the earliest dispatch first.")
@_file_options
def export_pick_list(file: Path, format_: str | None, by_order: bool, **filters: Any) -> None:
    """Export what has to be picked now, by SKU.

    Paid orders (pending or accepted) of goods: ordered pieces, less those that were cancelled or have left. Aliases and
    bundles are resolved into the SKUs of the stock list. docs/data.md explains the columns.
    """
    from orders_sync.exports.selection import Export
    from orders_sync.stock.pick_list import STATUSES

    selection = _selection(**filters)
    if not_picked := sorted({*(selection.statuses or ())} - {str(status) for status in STATUSES}):
        allowed = " and ".join(sorted(STATUSES))
        raise click.UsageError(
            f"--status {not_picked[0]} does not apply to the pick list: nothing of it is to be picked. Allowed are "
            f"{allowed}."
        )
    _write(Export.PICK_LIST_BY_ORDER if by_order else Export.PICK_LIST, selection, file, format_)
    _say_what_v1_picks(selection)


def _say_what_v1_picks(selection: "Selection") -> None:
    """Warns of the accounts in the list that V1 still has: the warehouse would send their orders twice."""
    from orders_sync.lanes.authority import current_authority
    from orders_sync.marketplaces.kit.accounts import account_names

    with _database(may_be_reader=False) as connection:
        authority = current_authority(connection)
    theirs = [name for name in selection.accounts or account_names() if not authority.is_live(name)]
    if theirs:
        print_warning(
            f"V1 still has {', '.join(theirs)}: its own list has these orders, too. Choose accounts with --account, so "
            "that nothing is sent twice."
        )


@export.command("documents")
@_selection_options("orders")
@_without_sku("documents", "Take the orders of a SKU from `orders-sync export items --sku SKU`.")
@_file_options
def export_documents(file: Path, format_: str | None, **filters: Any) -> None:
    """Export which documents orders have and lack.

    A row for each delivery note and label: its URL, what is stored of it, or that it is lacking. URLs lead to buyers'
    addresses: it is an act (`orders-sync acts`). Cancelled documents are left out.
    """
    from orders_sync.exports.selection import Export

    _write(Export.DOCUMENTS, _selection(**filters), file, format_)


def _selection(
    accounts: Sequence[str],
    statuses: Sequence[Status],
    since: datetime | None,
    until: datetime | None,
    skus: Sequence[str] = (),
) -> "Selection":
    from orders_sync.exports.selection import Selection

    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until: nothing was ordered between them.")
    return Selection(accounts or None, [str(each) for each in statuses] or None, since, until, skus or None)


def _write(what: "Export", selection: "Selection", file: Path, format_: str | None) -> None:
    from orders_sync.exports.selection import Export, accounts_without_orders, query_of
    from orders_sync.exports.stream import stream
    from orders_sync.exports.whole_file import whole_file
    from orders_sync.marketplaces.kit.accounts import check_account_name

    writer = _writer(_format(file, format_))
    is_view = what in (Export.ORDERS, Export.ITEMS)
    with _database(may_be_reader=is_view) as connection:
        for account in accounts_without_orders(connection, selection.accounts or ()):
            check_account_name(account)  # a removed account may have orders; a misspelled one has none
        if what is Export.DOCUMENTS:
            _note_act(connection, selection)
        query = query_of(connection, what, selection)
        if str(file) == "-":
            stream(connection, query, writer(sys.stdout.buffer))
            return
        with whole_file(file) as opened:
            count = stream(connection, query, writer(opened))
    console.print(f"{file}: {count} rows. Only you may open it.", markup=False)


def _format(file: Path, format_: str | None) -> Format:
    """Raises UsageError where neither an option nor the name of the file says it, and for Parquet without a file."""
    is_stdout = str(file) == "-"
    if format_ is None and is_stdout:
        return Format.CSV
    if format_ is None:
        ending = file.suffix.removeprefix(".").lower()
        if ending not in list(Format):
            raise click.UsageError(f"The name {file.name} does not say the format: name it by --format csv or parquet.")
        return Format(ending)
    if is_stdout and format_ == Format.PARQUET:
        raise click.UsageError("Parquet needs a file: name it by --to FILE.")
    return Format(format_)


def _writer(format_: Format) -> Callable[[BinaryIO], "RowWriter"]:
    """What writes a format. Raises ExportError before anything is read, if pyarrow is missing."""
    if format_ is Format.PARQUET:
        from orders_sync.exports.parquet_rows import ParquetRows, check_pyarrow

        check_pyarrow()
        return ParquetRows
    from orders_sync.exports.csv_rows import CsvRows

    return CsvRows


@contextmanager
def _database(*, may_be_reader: bool) -> Generator[Connection]:
    """The orders database. `may_be_reader`: also for a role that sees no more than the views.

    Such a role may not ask which revision the schema has; the views say themselves whether they are there.
    """
    from psycopg.errors import InsufficientPrivilege

    from orders_sync.database.engine import connect
    from orders_sync.database.schema import check_schema

    try:
        check_schema()
    except InsufficientPrivilege:
        if not may_be_reader:
            raise
    with connect(application=APPLICATION) as connection:
        yield connection


def _note_act(connection: Connection, selection: "Selection") -> None:
    from orders_sync.acts.manual_acts import Act, On, note_acts

    chosen = {
        "status": ", ".join(selection.statuses or ()), "since": selection.since, "until": selection.until
    }  # fmt: skip
    detail = "; ".join(f"{name} {value}" for name, value in chosen.items() if value) or "of all orders"
    with connection.transaction():
        note_acts(
            connection, by_user(), Act.EXPORT_DOCUMENTS, [On(name) for name in selection.accounts or (None,)], detail
        )
