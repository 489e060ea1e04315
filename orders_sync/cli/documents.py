"""`orders-sync documents`: delivery notes and labels of orders."""

import sys
import uuid

import click

from orders_sync.cli.database import orders_database
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, moment, print_warning, table

APPLICATION = "orders_sync documents"


@click.group()
def documents() -> None:
    """List and refresh the delivery notes and labels of orders.

    An order has one label for each parcel. Of several, `orders.label_url` shows the one to use.
    """


@documents.command("list")
@click.argument("account")
@click.argument("order_ids", metavar="ORDER...", nargs=-1, required=True)
def list_documents(account: str, order_ids: tuple[str, ...]) -> None:
    """List all documents of orders.

    Cancelled and expired ones are listed, too.
    """
    _print_documents(account, order_ids)


@documents.command("refresh")
@click.argument("account")
@click.argument("order_ids", metavar="ORDER...", nargs=-1, required=True)
def refresh(account: str, order_ids: tuple[str, ...]) -> None:
    """Read the documents of orders anew, and list them.

    For a URL that has expired, or a label that is new. Exit code 1 if those of an order could not be read; the others
    are stored.
    """
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.marketplaces.kit.accounts import find_account
    from orders_sync.passes.refresh_documents import refresh_documents

    upgrade_schema()
    summary = refresh_documents(find_account(account), order_ids, f"cli-{uuid.uuid4().hex[:8]}")
    _print_documents(account, order_ids)
    for problem in summary.problems:
        print_warning(problem)
    sys.exit(EXIT_FAILED if summary.problems else EXIT_DONE)


def _print_documents(account: str, order_ids: tuple[str, ...]) -> None:
    from orders_sync.marketplaces.kit.accounts import check_account_name

    with orders_database(APPLICATION) as connection:
        rows = connection.execute(
            """
            SELECT document.order_id, kind, coalesce(document.carrier, ''), coalesce(document.tracking_number, ''),
                   read_at, expires_at, cancelled_at, coalesce(url, ''),
                   url = CASE kind WHEN 'label' THEN label_url ELSE delivery_note_url END
            FROM order_documents document JOIN orders USING (account, order_id)
            WHERE account = %s AND order_id = ANY(%s)
            ORDER BY order_id, kind, document.first_stored_at, document_key
            """,
            [account, list(order_ids)],
        ).fetchall()
    if not rows:
        check_account_name(account)  # a removed account may have rows; a misspelled one has none
        console.print("No documents.")
        return
    shown = table(
        f"{len(rows)} documents", "order", "kind", "use", "carrier", "tracking number", "read", "expires", "cancelled",
        "URL",
    )  # fmt: skip
    for order_id, kind, carrier, number, read_at, expires_at, cancelled_at, url, is_offered in rows:
        shown.add_row(
            order_id, kind, "yes" if is_offered else "", carrier, number, moment(read_at), moment(expires_at),
            moment(cancelled_at), url,
        )  # fmt: skip
    console.print(shown)
