"""`orders-sync rejected`: records that failed the check, and trying them again."""

import json
import sys
import uuid

import click

from orders_sync.cli.output import console, moment, table


@click.group()
def rejected() -> None:
    """Records that failed the check; kept whole until they pass."""


@rejected.command("list")
@click.option("--account", help="Only this account's.")
def list_rejected(account: str | None) -> None:
    """List the rejected records with every reason."""
    from orders_sync.database.engine import connect
    from orders_sync.database.schema import upgrade_schema

    upgrade_schema()
    with connect() as connection:
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
        "account",
        "kind",
        "id",
        "where: what (allowed)",
        "tries",
        "first",
        "last",
    )
    for account_name, kind, record_id, reasons, attempts, first, last in rows:
        told = "\n".join(f"{r['where']}: {r['what']} ({r['allowed']})" for r in reasons)
        shown.add_row(account_name, kind, record_id, told, str(attempts), moment(first), moment(last))
    console.print(shown)


@rejected.command("show")
@click.argument("account")
@click.argument("record_id")
def show(account: str, record_id: str) -> None:
    """Print one rejected record whole, as it came (it may hold buyers' data)."""
    from orders_sync.database.engine import connect

    with connect() as connection:
        row = connection.execute(
            "SELECT raw, reasons FROM rejected_records WHERE account = %s AND record_id = %s",
            [account, record_id],
        ).fetchone()
    if row is None:
        console.print(f"[red]Account {account} has no rejected record {record_id}.[/red]")
        sys.exit(1)
    click.echo(bytes(row[0]).decode(errors="replace"))
    click.echo(json.dumps(row[1], indent=2))


@rejected.command("retry")
@click.option("--account", "names", multiple=True, help="Only this account's; may be repeated.")
def retry(names: tuple[str, ...]) -> None:
    """Try the rejected records again now: each is asked for anew at its marketplace."""
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.passes.retry_rejected import retry_rejected_records

    upgrade_schema()
    accounts = [find_account(name) for name in names] if names else list(load_accounts()[0].values())
    for account in accounts:
        passed, left = retry_rejected_records(account, f"cli-{uuid.uuid4().hex[:8]}")
        console.print(f"{account.name}: {passed} passed, {left} still rejected.")
