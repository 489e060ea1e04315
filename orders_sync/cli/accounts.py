"""`orders-sync accounts`: the accounts and whether they can be used."""

import sys

import click
from rich.text import Text

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, beside, console, print_error, yes_or_no
from orders_sync.cli.rows import format_options, json_option, print_json, print_rows
from orders_sync.cli.tables import table
from orders_sync.cli.user import by_user
from orders_sync.database.opened import orders_database
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.time_words import moment

APPLICATION = "orders_sync accounts"


@click.group()
def accounts() -> None:
    """Add, list, check, pause and resume the seller accounts."""


@accounts.command("list")
@format_options
def list_accounts(as_json: bool, as_csv: bool) -> None:
    """List the accounts.

    Exit code 1 if an account can't be used as configured.
    """
    from orders_sync.marketplaces.kit.accounts import load_accounts

    usable, problems = load_accounts()
    names = ["account", "marketplace", "address", "accepts_orderlines", "credentials_from"]
    rows = [
        [
            name, find_marketplace(account.settings.marketplace).title,
            account.settings.base_url or "the marketplace's own", account.settings.accept_orderlines,
            ", ".join(str(getattr(account.settings, key)) for key in account.settings.CREDENTIALS),
        ]
        for name, account in usable.items()
    ]  # fmt: skip
    print_rows("Accounts", names, rows, as_json=as_json, as_csv=as_csv)
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
@click.argument("names", nargs=-1, type=ACCOUNT, metavar="[ACCOUNT]...")
@json_option
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Check the credentials and endpoints of accounts.

    Checks all accounts by default. Sends one cheap request to each endpoint that the syncs use, once: a failure is
    reported at once, and is not waited for. Exit code 1 if something does not work.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.marketplaces.kit.probes import Probe, probe_endpoints

    check_schema()
    if names:
        chosen, problems = [find_account(name) for name in names], {}
    else:
        usable, problems = load_accounts()
        chosen = list(usable.values())
    for problem in problems.values():
        print_error(problem)
    found: list[tuple[str, Probe]] = []
    with beside.status("") as progress:
        for account in chosen:
            for probe in probe_endpoints(account, lambda what: progress.update(Text(what))):
                found.append((account.name, probe))
                if not probe.works:
                    print_error(f"{account.name}, {probe.endpoint}: {probe.answer}")
    if as_json:
        print_json([{"account": name, **probe._asdict()} for name, probe in found])
    else:
        shown = table("Endpoints", "account", "endpoint", "works", "answer")
        for name, probe in found:
            shown.add_row(name, probe.endpoint, yes_or_no(probe.works), probe.answer)
        console.print(shown)
    sys.exit(EXIT_FAILED if problems or not all(probe.works for _, probe in found) else EXIT_DONE)


@accounts.command("pause")
@click.argument("account", type=ACCOUNT)
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
@click.argument("account", type=ACCOUNT)
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
