"""`orders-sync accounts`: the accounts and whether they can be used."""

import sys

import click

from orders_sync.cli.output import console, table


@click.group()
def accounts() -> None:
    """The seller accounts."""


@accounts.command("list")
def list_accounts() -> None:
    """List the accounts; exit code 1 if one of them can't be used as configured."""
    from orders_sync.accounts import load_accounts

    usable, problems = load_accounts()
    shown = table("Accounts", "account", "marketplace", "address", "accepts orderlines", "token from")
    for name, account in usable.items():
        settings = account.settings
        shown.add_row(
            name, settings.marketplace, settings.base_url or f"the {settings.region} platform",
            "yes" if settings.accept_orderlines else "no", settings.token,
        )  # fmt: skip
    console.print(shown)
    for problem in problems.values():
        console.print(f"[red]{problem}[/red]")
    sys.exit(1 if problems else 0)


@accounts.command("check")
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Try each account's credential with one cheap call."""
    from datetime import UTC, datetime, timedelta

    from orders_sync.accounts import AccountProblem, find_account, load_accounts
    from orders_sync.database.migrate import migrate
    from orders_sync.marketplaces import open_adapter
    from orders_sync.marketplaces.base import MarketplaceError

    migrate()
    usable, problems = load_accounts()
    chosen = [find_account(name) for name in names] if names else list(usable.values())
    failed = bool(problems) and not names
    for problem in problems.values() if not names else ():
        console.print(f"[red]{problem}[/red]")
    for account in chosen:
        try:
            adapter = open_adapter(account, page_size=1)
            try:
                next(adapter.orders("created", datetime.now(UTC) - timedelta(minutes=5)), None)
            finally:
                adapter.close()
            console.print(f"[green]{account.name}: orders can be read.[/green]")
        except (MarketplaceError, AccountProblem) as problem:
            failed = True
            console.print(f"[red]{account.name}: {problem}[/red]")
    sys.exit(1 if failed else 0)
