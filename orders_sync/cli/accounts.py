"""`orders-sync accounts`: the accounts and whether they can be used."""

import sys

import click

from orders_sync.cli.output import console, table
from orders_sync.marketplaces.kit.registry import find_marketplace


@click.group()
def accounts() -> None:
    """The seller accounts."""


@accounts.command("list")
def list_accounts() -> None:
    """List the accounts; exit code 1 if one of them can't be used as configured."""
    from orders_sync.marketplaces.kit.accounts import load_accounts

    usable, problems = load_accounts()
    shown = table("Accounts", "account", "marketplace", "address", "accepts orderlines", "credentials from")
    for name, account in usable.items():
        settings = account.settings
        shown.add_row(
            name, find_marketplace(settings.marketplace).title, settings.base_url or "the marketplace's own",
            "yes" if settings.accept_orderlines else "no",
            ", ".join(str(getattr(settings, key)) for key in settings.CREDENTIALS),
        )  # fmt: skip
    console.print(shown)
    for problem in problems.values():
        console.print(f"[red]{problem}[/red]")
    sys.exit(1 if problems else 0)


@accounts.command("check")
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Try each account's credentials and each endpoint that its syncs use, with one cheap call each.

    Exit code 1 if something does not work.
    """
    from orders_sync.config.account import AccountConfigError
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.marketplaces.kit.errors import MarketplaceError, RecordNotFoundError
    from orders_sync.marketplaces.kit.registry import open_adapter

    upgrade_schema()
    usable, problems = load_accounts()
    chosen = [find_account(name) for name in names] if names else list(usable.values())
    failed = bool(problems) and not names
    for problem in problems.values() if not names else ():
        console.print(f"[red]{problem}[/red]")
    shown = table("Endpoints", "account", "endpoint", "works", "what it says")
    for account in chosen:
        try:
            adapter = open_adapter(account)
        except AccountConfigError as problem:
            failed = True
            shown.add_row(account.name, "-", "[red]no[/red]", str(problem))
            continue
        try:
            for endpoint, probe in adapter.probes().items():
                try:
                    probe()
                except RecordNotFoundError as problem:
                    # The endpoint answers; that it knows no such record is what a probe expects.
                    shown.add_row(account.name, endpoint, "[green]yes[/green]", f"asked for nothing: {problem.status}")
                except MarketplaceError as problem:
                    failed = True
                    shown.add_row(account.name, endpoint, "[red]no[/red]", str(problem))
                else:
                    shown.add_row(account.name, endpoint, "[green]yes[/green]", "")
        finally:
            adapter.close()
    console.print(shown)
    sys.exit(1 if failed else 0)
