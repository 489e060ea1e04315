"""`orders-sync accounts`: the accounts and whether they can be used."""

import sys

import click

from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, print_error, table, yes_or_no
from orders_sync.config.account import SellerAccount
from orders_sync.marketplaces.kit.registry import find_marketplace

Probe = tuple[str, bool, str]
"""An endpoint, whether it works, and what it answered."""


@click.group()
def accounts() -> None:
    """List and check the seller accounts."""


@accounts.command("list")
def list_accounts() -> None:
    """List the accounts.

    Exit code 1 if an account can't be used as configured.
    """
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
        print_error(problem)
    sys.exit(EXIT_FAILED if problems else EXIT_DONE)


@accounts.command("check")
@click.argument("names", nargs=-1, metavar="[ACCOUNT]...")
def check(names: tuple[str, ...]) -> None:
    """Check the credentials and endpoints of accounts.

    Checks all accounts by default. Sends one cheap request to each endpoint that the syncs use. Exit code 1 if
    something does not work.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts

    check_schema()
    if names:
        chosen, problems = [find_account(name) for name in names], {}
    else:
        usable, problems = load_accounts()
        chosen = list(usable.values())
    for problem in problems.values():
        print_error(problem)
    failed = bool(problems)
    shown = table("Endpoints", "account", "endpoint", "works", "answer")
    for account in chosen:
        for endpoint, works, answer in _probe_endpoints(account):
            shown.add_row(account.name, endpoint, yes_or_no(works), answer)
            failed = failed or not works
    console.print(shown)
    sys.exit(EXIT_FAILED if failed else EXIT_DONE)


def _probe_endpoints(account: SellerAccount) -> list[Probe]:
    """Sends one request to each endpoint of the account; a missing credential is a failed probe of them all."""
    from orders_sync.config.account import AccountConfigError
    from orders_sync.marketplaces.kit.errors import MarketplaceError, RecordNotFoundError
    from orders_sync.marketplaces.kit.registry import opened_adapter

    results: list[Probe] = []
    try:
        with opened_adapter(account) as adapter:
            for endpoint, probe in adapter.probes().items():
                try:
                    probe()
                except RecordNotFoundError as problem:
                    # The endpoint works: some probes request a record that does not exist.
                    results.append((endpoint, True, f"HTTP {problem.status}, as expected"))
                except MarketplaceError as problem:
                    results.append((endpoint, False, str(problem)))
                else:
                    results.append((endpoint, True, ""))
    except AccountConfigError as problem:
        return [("-", False, str(problem))]
    return results
