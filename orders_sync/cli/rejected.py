"""`orders-sync rejected`: records that failed validation."""

import json
import uuid

import click

from orders_sync.cli.database import orders_database
from orders_sync.cli.output import console, moment, table
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync rejected"


@click.group()
def rejected() -> None:
    """List, show and retry rejected records.

    A record that fails validation is rejected, and kept whole until it passes.
    """


@rejected.command("list")
@click.option("--account", help="Only records of this account.")
def list_rejected(account: str | None) -> None:
    """List the rejected records with every reason."""
    with orders_database(APPLICATION) as connection:
        rows = connection.execute(
            """
            SELECT account, kind, record_id, reasons, attempts, first_seen_at, last_seen_at FROM rejected_records
            WHERE resolved_at IS NULL AND (%(account)s::text IS NULL OR account = %(account)s)
            ORDER BY account, kind, record_id
            """,
            {"account": account},
        ).fetchall()
    if not rows:
        console.print("No rejected records.")
        return
    shown = table(
        f"{len(rows)} rejected records",
        "account", "kind", "id", "where: what (allowed)", "attempts", "first", "last",
    )  # fmt: skip
    for account_name, kind, record_id, reasons, attempts, first, last in rows:
        lines = "\n".join(f"{reason['where']}: {reason['what']} ({reason['allowed']})" for reason in reasons)
        shown.add_row(account_name, kind, record_id, lines, str(attempts), moment(first), moment(last))
    console.print(shown)


@rejected.command("show")
@click.argument("account")
@click.argument("record_id")
def show(account: str, record_id: str) -> None:
    """Print one rejected record and its reasons.

    The record is printed whole, as received; it may hold buyers' data.
    """
    with orders_database(APPLICATION) as connection:
        row = connection.execute(
            "SELECT raw, reasons FROM rejected_records WHERE account = %s AND record_id = %s",
            [account, record_id],
        ).fetchone()
    if row is None:
        raise UserFacingError(f"Account {account} has no rejected record {record_id}.")
    click.echo(bytes(row[0]).decode(errors="replace"))
    click.echo(json.dumps(row[1], indent=2))


@rejected.command("retry")
@click.option("--account", "names", multiple=True, help="Only records of this account. May be repeated.")
def retry(names: tuple[str, ...]) -> None:
    """Fetch the rejected records and try them again."""
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.passes.retry_rejected import retry_rejected_records

    upgrade_schema()
    accounts = [find_account(name) for name in names] if names else list(load_accounts()[0].values())
    for account in accounts:
        passed, left = retry_rejected_records(account, f"cli-{uuid.uuid4().hex[:8]}")
        console.print(f"{account.name}: {passed} passed, {left} still rejected.")
