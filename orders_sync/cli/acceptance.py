"""`orders-sync acceptance`: the orderlines that wait for the merchant, and holding them back from refusal."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console, print_error, print_warning
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.user import by_user
from orders_sync.model.errors import UserFacingError

if TYPE_CHECKING:
    from orders_sync.passes.acceptance_clock import Outlook

APPLICATION = "orders_sync acceptance"


@click.group()
def acceptance() -> None:
    """List waiting orderlines, and hold them back from refusal."""


@acceptance.command("waiting")
@click.option("--account", type=ACCOUNT, help="Only this account.")
@format_options
def waiting(account: str | None, as_json: bool, as_csv: bool) -> None:
    """List the waiting orderlines and what happens to each.

    Those that run out first come first. A line that will be refused says from when on; `hold-back` prevents it. Hours
    are counted from the payment, by the account's `acceptance_deadline`.
    """
    from orders_sync.config.schedules import load_schedules
    from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
    from orders_sync.passes.acceptance_clock import next_passes, outlooks

    accounts, problems = load_accounts() if account is None else ({account: find_account(account)}, {})
    now = datetime.now(UTC)
    with read_stock_database(APPLICATION) as stock:
        found = outlooks(stock, accounts, now, load_schedules(), problems)
    columns = ["account", "order", "item", "SKU", "waits_since", "hours_left", "in_time", "what_happens"]
    rows = [
        [
            each.line.account, each.line.order_id, each.line.item_id, each.line.sku, each.line.waits_since,
            each.hours_left(now), _in_time(each), each.next_step,
        ]
        for each in found
    ]  # fmt: skip
    if not found and not as_json and not as_csv:
        console.print("No orderline waits for the merchant.")
        _warn_of(problems)
        return
    print_rows(f"{len(rows)} waiting orderlines", columns, rows, as_json=as_json, as_csv=as_csv)
    coming = {} if as_json or as_csv else next_passes(found)
    for at, names in coming.items():
        whose = f" of {', '.join(names)}" if len(coming) > 1 else ""
        console.print(f"The next pass of `new`{whose} is at {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC.", markup=False)
    if late := sum(each.runs_out_before_next_pass for each in found):
        print_error(f"{late} of them run out before it has answered them.")
    _warn_of(problems)
    if unset := sorted({each.line.account for each in found if each.deadline is None} - set(problems)):
        print_warning(f"Set an acceptance_deadline for {', '.join(unset)}: nothing warns before its lines run out.")


def _warn_of(problems: Collection[str]) -> None:
    """Names the accounts whose lines nothing answers."""
    if problems:
        print_error(
            f"The account files of {', '.join(sorted(problems))} have errors, so that no pass answers their lines: run "
            "`orders-sync doctor`."
        )


def _in_time(outlook: "Outlook") -> str | None:
    """Whether the next pass comes before the line's deadline; None if that is not known."""
    if outlook.deadline is None:
        return None
    return "no" if outlook.runs_out_before_next_pass else "yes"


@acceptance.command("hold-back")
@click.argument("account", type=ACCOUNT)
@click.argument("order_id", metavar="ORDER")
@click.option("--reason", required=True, help="Why; stored with your name.")
@click.option("--undo", is_flag=True, help="Let the account's setting count again.")
def hold_back_order(account: str, order_id: str, reason: str, undo: bool) -> None:
    """Hold the short orderlines of an order back from refusal.

    They wait for stock until you undo it, and are accepted once it comes. It does not stop the marketplace's clock.
    """
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.passes.waiting_lines import hold_back

    check_account_name(account)
    by = by_user(reason)
    with stock_database(APPLICATION) as stock:
        stored = hold_back(stock, account, order_id, by, holds=not undo)
    if not stored:
        raise UserFacingError(f"There is no order {order_id} in the account {account}.")
    if undo:
        console.print(f"The account's setting counts again for order {order_id}.", markup=False)
    else:
        console.print(f"No orderline of order {order_id} is refused until you undo this.", markup=False)
