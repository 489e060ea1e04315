"""`orders-sync stock held`: pieces that were cancelled after the label, and what a person found out about them."""

from collections.abc import Callable
from typing import TypeVar

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.stock_acts import REASON, print_transitions
from orders_sync.cli.user import by_user
from orders_sync.config.bounds import PIECES

APPLICATION = "orders_sync stock"
Command = TypeVar("Command", bound=Callable[..., None])


@click.group("held", invoke_without_command=True)
@format_options
@click.pass_context
def held(context: click.Context, as_json: bool, as_csv: bool) -> None:
    """List held pieces, or settle them.

    They may be in a parcel that has left: their item was cancelled after it had a label. They stay reserved until the
    marketplace reports them as shipped, cancels the label, or you say where they are: `still-here` or `has-left`.
    """
    if context.invoked_subcommand is not None:
        return
    from orders_sync.stock.held import HeldPieces
    from orders_sync.stock.held import held as held_pieces

    with read_stock_database(APPLICATION) as connected:
        rows = [list(each) for each in held_pieces(connected)]
    print_rows("Held pieces", list(HeldPieces._fields), rows, as_json=as_json, as_csv=as_csv)


def _item_and_pieces(command: Command) -> Command:
    """Adds the arguments ACCOUNT, ITEM_ID and PIECES, and the reason."""
    for decorate in (
        REASON,
        click.argument("pieces", type=click.IntRange(*PIECES), required=False),
        click.argument("item_id"),
        click.argument("account", type=ACCOUNT),
    ):
        command = decorate(command)
    return command


@held.command("still-here")
@_item_and_pieces
def still_here(account: str, item_id: str, pieces: int | None, reason: str) -> None:
    """Release held pieces: they are still here.

    PIECES of the item, by default all that are held, can be sold again.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock import held as held_pieces

    with stock_database(APPLICATION) as connected:
        done = held_pieces.still_here(connected, (account, item_id), pieces, by_user(reason), overselling_accounts())
    console.print(f"{done.pieces} pieces of item {item_id} are released.", markup=False)
    print_transitions(done.applied.transitions)


@held.command("has-left")
@_item_and_pieces
@click.option(
    "--at",
    "left_at",
    metavar="TIME",
    help="When they left, e.g. 2026-03-01T17:30; in UTC, unless it has a zone (+01:00). By default now. If the shelf "
    "was counted since then, they are not subtracted once more.",
)
def has_left(account: str, item_id: str, pieces: int | None, left_at: str | None, reason: str) -> None:
    """Consume held pieces: they have left.

    PIECES of the item, by default all that are held, are subtracted from the pieces on hand, and consumed. If they come
    back, use `orders-sync stock return`.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock import held as held_pieces
    from orders_sync.stock.input import check_past_time

    at = None if left_at is None else check_past_time(left_at, "--at")
    with stock_database(APPLICATION) as connected:
        done = held_pieces.has_left(connected, (account, item_id), pieces, by_user(reason), at, overselling_accounts())
    console.print(f"{done.pieces} pieces of item {item_id} have left.", markup=False)
    print_transitions(done.applied.transitions)
