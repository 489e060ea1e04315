"""`orders-sync accounts`: the accounts and whether they can be used."""

import sys

import click

from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, print_error, table, yes_or_no
from orders_sync.cli.user import by_user
from orders_sync.database.opened import orders_database
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.time_words import moment

APPLICATION = "orders_sync accounts"


@click.group()
def accounts() -> None:
    """Add, list, check, pause and resume the seller accounts."""


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


@accounts.command("add")
@click.argument("name")
@click.option("--marketplace", required=True, help="The marketplace, e.g. back_market.")
def add(name: str, marketplace: str) -> None:
    """Write the file of a new account, NAME.

    It has every setting with its meaning; those with a default are commented out. `dg scaffold` writes the same.
    """
    from orders_sync.config.account import AccountConfigError
    from orders_sync.config.account_files import FILE_NAME
    from orders_sync.config.environment import accounts_folder
    from orders_sync.marketplaces.kit.new_account import account_file, check_new_account, next_step

    folder = accounts_folder() / name
    check_new_account(folder, marketplace)
    if folder.exists():
        raise AccountConfigError(f"{folder}: there is such an account already. Nothing was changed.")
    folder.mkdir()
    (folder / FILE_NAME).write_text(account_file(marketplace, name))
    console.print(next_step(folder), markup=False)


@accounts.command("check")
@click.argument("names", nargs=-1, metavar="[ACCOUNT]...")
def check(names: tuple[str, ...]) -> None:
    """Check the credentials and endpoints of accounts.

    Checks all accounts by default. Sends one cheap request to each endpoint that the syncs use. Exit code 1 if
    something does not work.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.marketplaces.kit.probes import probe_endpoints

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
        for endpoint, works, answer in probe_endpoints(account):
            shown.add_row(account.name, endpoint, yes_or_no(works), answer)
            failed = failed or not works
    console.print(shown)
    sys.exit(EXIT_FAILED if failed else EXIT_DONE)


@accounts.command("pause")
@click.argument("account")
@click.option("--reason", required=True, help="Why; stored with your name.")
def pause(account: str, reason: str) -> None:
    """Request no more runs of ACCOUNT.

    Neither schedules nor sensors request a run of it until somebody resumes it. A run that works on it ends as usual,
    and a person may still run one by hand. Stores who did it, when, and why. Exit code 1 if it is paused already.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.lanes.pauses import pause_account
    from orders_sync.marketplaces.kit.accounts import check_account_name

    by = by_user(reason)
    check_account_name(account)
    check_schema()
    with orders_database(APPLICATION) as connection:
        pause_account(connection, account, by)
    console.print(f"Account {account} is paused. To resume it: orders-sync accounts resume {account}", markup=False)


@accounts.command("resume")
@click.argument("account")
@click.option("--reason", required=True, help="Why; stored with your name.")
def resume(account: str, reason: str) -> None:
    """Request runs of ACCOUNT again.

    What its ticks have missed runs at once; the watermarks stayed, so that nothing is missed. Stores who did it, when,
    and why. Exit code 1 if it is not paused.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.lanes.pauses import resume_account

    by = by_user(reason)
    check_schema()
    with orders_database(APPLICATION) as connection:
        pause_ended = resume_account(connection, account, by)
    since = f"{moment(pause_ended.at)} UTC by {pause_ended.by}: {pause_ended.reason}"
    console.print(f"Account {account} runs again. It was paused since {since}", markup=False)
