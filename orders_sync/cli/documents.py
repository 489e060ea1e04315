"""`orders-sync documents`: delivery notes and labels of orders."""

import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, print_beside, print_warning
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.user import by_user
from orders_sync.database.engine import Connection
from orders_sync.database.opened import orders_database
from orders_sync.documents.listing import file_name, kinds_that_need_credential, listed_documents, named_files
from orders_sync.documents.store import StoredDocument, stored_documents
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync documents"


@click.group()
def documents() -> None:
    """Show, save and print delivery notes and labels of orders.

    An order has one label for each parcel. Of several, `orders.label_url` shows the one to use. Save and print need
    `store_documents: true` in the account's file.
    """


def _orders(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the orders and their account to a command, as the parameters `order_ids` and `account`."""
    command = click.option(
        "--account",
        type=ACCOUNT,
        help="The account of the orders; needed only if two accounts have an order of the same id.",
    )(command)
    return click.argument("order_ids", metavar="ORDER...", nargs=-1, required=True)(command)


@documents.command("list")
@_orders
@format_options
def list_documents(order_ids: tuple[str, ...], account: str | None, as_json: bool, as_csv: bool) -> None:
    """List all documents of orders.

    Cancelled and expired ones are listed, too. A URL that opens with the account's credential only is not shown.
    """
    with orders_database(APPLICATION) as connection:
        name = _account_of(connection, order_ids, account)
        _print_documents(connection, name, order_ids, as_json=as_json, as_csv=as_csv)


@documents.command("refresh")
@_orders
@format_options
def refresh(order_ids: tuple[str, ...], account: str | None, as_json: bool, as_csv: bool) -> None:
    """Read the documents of orders again, and list them.

    For a URL that has expired, or a label that is new. Where the account has `store_documents`, their contents are
    fetched, too. Exit code 1 if documents of an order could not be read; the others are stored.
    """
    from orders_sync.marketplaces.kit.accounts import find_account
    from orders_sync.passes.refresh_documents import refresh_documents

    with orders_database(APPLICATION) as connection:
        name = _account_of(connection, order_ids, account)
        run_id = f"cli-{uuid.uuid4().hex[:8]}"
        summary = refresh_documents(find_account(name), order_ids, run_id, by_user(run_id=run_id))
        _print_documents(connection, name, order_ids, as_json=as_json, as_csv=as_csv)
    for problem in summary.problems:
        print_warning(problem)
    sys.exit(EXIT_FAILED if summary.problems else EXIT_DONE)


@documents.command("save")
@_orders
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="The folder to write to; it is made if there is none.",
)  # fmt: skip
def save(order_ids: tuple[str, ...], account: str | None, folder: Path) -> None:
    """Write the stored documents of orders to files.

    Each is one file as the marketplace made it: PDF, PNG or ZPL. Cancelled documents are left out. Exit code 1 if a
    document is not stored; the others are written.
    """
    found = _stored(order_ids, account)
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in named_files(found):
        path = folder / name
        path.write_bytes(document.content or b"")
        click.echo(path)
    sys.exit(_report_missing(found))


@documents.command("print")
@_orders
@click.option(
    "--to", "file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="The PDF to write, - for standard output; ORDER.pdf in this folder by default.",
)  # fmt: skip
def print_documents(order_ids: tuple[str, ...], account: str | None, file: Path | None) -> None:
    """Merge the stored documents of orders into one PDF.

    A PNG becomes a page of it. ZPL is for label printers and can't: it is written to a file beside the PDF, and so is a
    PDF or PNG that is damaged. Cancelled documents are left out. Exit code 1 if a document is not stored, or damaged;
    the others are printed.
    """
    from orders_sync.documents.printing import printed

    found = _stored(order_ids, account)
    file = file or Path(f"{file_name(order_ids[0])}.pdf")
    made = printed(found)
    if made.pdf is not None:
        with click.open_file(str(file), "wb") as written:
            written.write(made.pdf)
    if made.pdf is not None and str(file) != "-":
        click.echo(file)
    damaged = dict(made.unreadable)
    for name, document in named_files(found):
        path = file.parent / name
        if document in damaged:
            path.write_bytes(document.content or b"")
            print_beside(f"{path}: not part of the PDF: {damaged[document]}", "yellow")
        elif document in made.beside:
            path.write_bytes(document.content or b"")
            print_beside(f"{path}: not part of the PDF: ZPL is for a label printer", "yellow")
    exit_code = _report_missing(found)
    sys.exit(EXIT_FAILED if damaged else exit_code)


def _stored(order_ids: Sequence[str], account: str | None) -> list[StoredDocument]:
    """The documents of orders that are not cancelled. Raises UserFacingError if none of them is stored."""
    with orders_database(APPLICATION) as connection:
        name = _account_of(connection, order_ids, account)
        found = [document for order_id in order_ids for document in stored_documents(connection, name, order_id)]
        by = by_user()
        for order_id in {document.order_id: None for document in found if document.content}:
            note_act(connection, by, Act.READ_DOCUMENTS, On(name, order_id))
    if not any(document.content for document in found):
        problems = "".join(f"\n{_in_words(document)}: {document.problem}" for document in found if document.problem)
        raise UserFacingError(
            f"Account {name} has no stored document of {', '.join(order_ids)}. Documents are stored with "
            "`store_documents: true` in the account's file; `orders-sync documents refresh` fetches them now."
            f"{problems}"
        )
    return found


def _account_of(connection: Connection, order_ids: Sequence[str], account: str | None) -> str:
    """The account that has these orders. Raises UserFacingError if an order is not stored, or if several have them."""
    from orders_sync.marketplaces.kit.accounts import check_account_name

    rows = connection.execute(
        "SELECT account, order_id FROM orders WHERE order_id = ANY(%s) AND account = coalesce(%s, account)",
        [list(order_ids), account],
    ).fetchall()
    unknown = sorted(set(order_ids) - {order_id for _, order_id in rows})
    if unknown and account is not None:
        check_account_name(account)  # a removed account may have orders; a misspelled one has none
    if unknown:
        who = f"Account {account} has no" if account is not None else "No account has"
        raise UserFacingError(f"{who} order {', '.join(unknown)}.")
    has_all = {name: all((name, order_id) in rows for order_id in order_ids) for name, _ in rows}
    names = sorted(name for name in has_all if has_all[name])
    if not names:
        raise UserFacingError(f"No account has all of the orders {', '.join(order_ids)}: name those of one account.")
    if len(names) > 1:
        raise UserFacingError(f"Accounts {', '.join(names)} have {', '.join(order_ids)}: name one by --account.")
    return names[0]


_COLUMNS = (
    "order", "kind", "use", "carrier", "tracking_number", "read", "expires", "cancelled", "stored", "URL",
)  # fmt: skip


def _print_documents(
    connection: Connection, account: str, order_ids: Sequence[str], *, as_json: bool, as_csv: bool
) -> None:
    found = listed_documents(connection, account, order_ids)
    if not found and not as_json and not as_csv:
        console.print("No documents.")
        return
    locked = kinds_that_need_credential(account)
    no_link = None if as_json or as_csv else "opens with the credential only"
    rows = [
        [
            each.order_id, each.kind, each.is_offered, each.carrier,
            each.tracking_number, each.read_at, each.expires_at, each.cancelled_at, each.stored,
            no_link if each.url and each.kind in locked else each.url,
        ]
        for each in found
    ]  # fmt: skip
    title = f"{len(found)} documents"
    print_rows(title, _COLUMNS, rows, as_json=as_json, as_csv=as_csv, optional=("read", "carrier", "cancelled"))


def _report_missing(found: Sequence[StoredDocument]) -> int:
    """Warns of each document that is not stored; returns the exit code."""
    missing = [document for document in found if document.content is None]
    for document in missing:
        print_beside(
            f"{_in_words(document)}: not stored{f': {document.problem}' if document.problem else ''}", "yellow"
        )
    return EXIT_FAILED if missing else EXIT_DONE


def _in_words(document: StoredDocument) -> str:
    return f"Order {document.order_id}: {document.kind.replace('_', ' ')} {document.document_key}"
