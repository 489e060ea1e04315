"""`orders-sync stock`: stock levels, stock locks and their history, and what a person does to them."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import EXIT_FAILED, console, print_error, print_warning
from orders_sync.cli.rows import format_options, json_option, print_json, print_rows
from orders_sync.cli.stock_acts import REASON, print_transitions, transition_lines
from orders_sync.cli.stock_events import events, retry_event, skip_event
from orders_sync.cli.stock_held import held
from orders_sync.cli.stock_received import put_away, receive, received
from orders_sync.cli.stock_settings import settings
from orders_sync.cli.user import by_user
from orders_sync.config.bounds import PERCENT, PIECES, ROWS_SHOWN
from orders_sync.model.errors import UserFacingError
from orders_sync.model.time_words import moment, span

APPLICATION = "orders_sync stock"


@click.group()
def stock() -> None:
    """Import stock, apply events, explain and correct locks."""


stock.add_command(events)
stock.add_command(retry_event)
stock.add_command(skip_event)
stock.add_command(settings)
for command in (held, receive, put_away, received):
    stock.add_command(command)


@stock.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--counted-at",
    metavar="TIME",
    help="When the shelf was counted, e.g. 2026-03-01T08:30; in UTC, unless it has a zone (+01:00). By default now. "
    "What left before is not subtracted later.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--show", is_flag=True, help="List every SKU whose pieces on hand change.")
def import_file(file: Path, counted_at: str | None, dry_run: bool, show: bool) -> None:
    """Import the pieces on hand from a CSV file.

    FILE has the columns sku and on_hand, and may have counted_at. A file with an error changes nothing. Where more
    pieces are locked than there are, the newest orders give some back.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.input import check_past_time
    from orders_sync.stock.levels import import_levels, read_stock_file
    from orders_sync.stock.store import stored_sku_case

    at = None if counted_at is None else check_past_time(counted_at, "--counted-at")
    # The case rule must not change between reading and importing.
    with stock_database(APPLICATION) as connected, connected.changing():
        counts = read_stock_file(file, stored_sku_case(connected))
        result = import_levels(connected, counts, overselling_accounts(), counted_at=at, by=by_user(), dry_run=dry_run)
    if show:
        rows = [[change.sku, change.before, change.after, change.reserved] for change in result.changes]
        print_rows("Changes", ["SKU", "before", "after", "reserved"], rows, as_json=False, as_csv=False)
    verb = "would be imported" if dry_run else "imported"
    imported = len(counts) - len(result.outdated)
    console.print(
        f"{imported} SKUs {verb}; the pieces on hand of {len(result.changes)} differ from before.", markup=False
    )
    if result.outdated:
        console.print(f"{len(result.outdated)} SKUs were counted again since then, and stay as they are.", markup=False)
    print_transitions(result.applied.transitions, "would become" if dry_run else "are now")


@stock.command("levels")
@click.option("--short", "only_short", is_flag=True, help="Show only SKUs that locks wait for.")
@format_options
def show_levels(only_short: bool, as_json: bool, as_csv: bool) -> None:
    """Show the stock of each SKU, in pieces."""
    from orders_sync.stock.queries import sku_levels

    with read_stock_database(APPLICATION) as connected:
        levels = sku_levels(connected, only_short=only_short)
    names = ["SKU", "on hand", "reserved", "available", "short", "held", "quarantine", "counted at"]
    unknown = None if as_json or as_csv else "unknown"
    rows = [
        [
            level.sku, unknown if level.on_hand is None else level.on_hand, level.reserved,
            level.available(), level.short, level.held, level.quarantine, level.counted_at,
        ]
        for level in levels
    ]  # fmt: skip
    print_rows("Stock", names, rows, as_json=as_json, as_csv=as_csv, optional=("counted at", "quarantine"))


@stock.command("available")
@click.option("--account", type=ACCOUNT, help="Only this account.")
@format_options
def show_available(account: str | None, as_json: bool, as_csv: bool) -> None:
    """Show what each account can offer of each SKU.

    On hand, less what locks hold and wait for, less the buffer: a list for a listing tool. Nothing is sent to a
    marketplace.
    """
    from orders_sync.marketplaces.kit.accounts import account_names, check_account_name
    from orders_sync.stock.available import Available, available_to_sell

    if account is not None:
        check_account_name(account)
    accounts = account_names() if account is None else [account]
    with read_stock_database(APPLICATION) as connected:
        rows = [list(each) for each in available_to_sell(connected, accounts)]
    print_rows("Available to sell", list(Available._fields), rows, as_json=as_json, as_csv=as_csv)


@stock.command("buffer")
@click.option("--account", type=ACCOUNT, default="", help="Only for this account.")
@click.option("--sku", default="", help="Only for this SKU of the stock list.")
@click.option("--pieces", type=click.IntRange(*PIECES), help="Pieces to keep back.")
@click.option("--percent", type=click.IntRange(*PERCENT), help="Per cent of the available pieces to keep back.")
@format_options
def buffer(account: str, sku: str, pieces: int | None, percent: int | None, as_json: bool, as_csv: bool) -> None:
    """Set or list pieces that are kept back from sale.

    Of several buffers, that of account and SKU counts, else the SKU's, the account's, or that of all. 0 removes one.
    """
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.stock.available import Buffer, set_buffer, stored_buffers

    if account:
        check_account_name(account)
    if pieces is not None or percent is not None:
        with stock_database(APPLICATION) as connected:
            is_listed = set_buffer(connected, Buffer(account, sku, pieces or 0, percent or 0), by_user())
        if sku and not is_listed:
            print_warning(f"SKU {sku.strip()} is not in the stock list: its buffer counts once it is.")
    with read_stock_database(APPLICATION) as connected:
        buffers = stored_buffers(connected)
    everyone = "" if as_json or as_csv else "(all)"
    rows = [[each.account or everyone, each.sku or everyone, each.pieces, each.percent] for each in buffers]
    print_rows("Buffers", list(Buffer._fields), rows, as_json=as_json, as_csv=as_csv)


@stock.command("apply")
def apply() -> None:
    """Apply pending order events to the stock locks now.

    The stock job does this by itself.
    """
    from orders_sync.lanes.restocking import note_restocking
    from orders_sync.marketplaces.kit.accounts import overselling_accounts, restocking_accounts
    from orders_sync.stock.apply_events import apply_pending

    with stock_database(APPLICATION) as connected:
        note_restocking(connected.connection, restocking_accounts())
        applied = apply_pending(connected, overselling_accounts(), by=by_user())
    counts = ", ".join(f"{count} {state}" for state, count in sorted(applied.transitions.items()))
    console.print(f"{applied.events} events applied: {counts or 'no lock changed'}.", markup=False)
    if applied.returned:
        console.print(f"{applied.returned} pieces came back by returns.", markup=False)
    for each in applied.not_booked:
        console.print(
            f"Care record {each.care_id} of {each.account}: {each.booked} of {each.pieces or 'unknown'} pieces of item "
            f"{each.item_id} booked: {each.why}.",
            markup=False,
        )
    if applied.failed:
        print_error(f"{applied.failed} events failed. `orders-sync stock events` lists them.")
        sys.exit(EXIT_FAILED)


@stock.command("explain")
@click.argument("subject")
@click.option("--all", "show_all", is_flag=True, help="Show everything, not only the latest.")
@click.option("--limit", type=click.IntRange(*ROWS_SHOWN), help="How many rows of each kind to show; by default 20.")
@json_option
def explain_lock(subject: str, show_all: bool, limit: int | None, as_json: bool) -> None:
    """Show who holds a SKU now, and why.

    SUBJECT is a SKU of the stock list or of a marketplace, or the id of an order or of an order item, also as
    account/id. If it names several of them, all are shown.
    """
    from orders_sync.stock.explain import MAX_SHOWN, explain

    with read_stock_database(APPLICATION) as connected:
        found = explain(connected, subject, None if show_all else limit or MAX_SHOWN)
    if found.is_empty():
        raise UserFacingError(f"There is no SKU, order or item named {subject.strip()!r}.")
    if as_json:
        print_json(found)
        return
    for level in found.levels:
        on_hand = "not in the stock list" if level.on_hand is None else f"{level.on_hand} on hand"
        counted = f", counted {moment(level.counted_at)} UTC" if level.counted_at else ""
        held_ones = f" ({level.held} held)" if level.held else ""
        quarantine = f", {level.quarantine} in quarantine" if level.quarantine else ""
        console.print(
            f"SKU {level.sku}: {on_hand}, {level.reserved} reserved{held_ones}, {level.short} short{quarantine}"
            f"{counted}.",
            markup=False,
        )
    now = datetime.now(UTC)
    for item in found.pending:
        waits = span((now - item.waits_since).total_seconds())
        console.print(f"Item {item.item_id} of order {item.order_id}: waits since {waits}.", markup=False)
    for title, rows in (
        ("Active locks", found.holders), ("Events that wait to be applied", found.pending),
        ("Order items", found.items), ("Aliases and bundles", found.stock_skus), ("Acts by hand", found.acts),
        ("Decisions", found.decisions), ("Returns by care records", found.returns),
        ("Received pieces", found.received), ("Transitions of locks", found.transitions),
        ("Movements of stock", found.movements),
    ):  # fmt: skip
        if rows:
            print_rows(title, rows[0]._fields, rows, as_json=False, as_csv=False)


@stock.command("adjust")
@click.argument("sku")
@click.argument("pieces", type=click.IntRange(*PIECES))
@REASON
def adjust_level(sku: str, pieces: int, reason: str) -> None:
    """Add PIECES to the pieces on hand of SKU, or take some away.

    Write pieces to take away after two dashes: orders-sync stock adjust --reason broken -- PHONE -1
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.by_hand import adjust

    with stock_database(APPLICATION) as connected:
        result = adjust(connected, sku, pieces, by_user(reason), overselling_accounts())
    console.print(result.text(), markup=False)
    print_transitions(result.applied.transitions)


def _decision(name: str, decision: str, help_text: str) -> Callable[..., None]:
    """A command that decides about the lock of an item."""

    @stock.command(name, help=help_text)
    @click.argument("account", type=ACCOUNT)
    @click.argument("item_id")
    @REASON
    def command(account: str, item_id: str, reason: str) -> None:
        from orders_sync.marketplaces.kit.accounts import overselling_accounts
        from orders_sync.stock.by_hand import decide
        from orders_sync.stock.needs import Decision

        with stock_database(APPLICATION) as connected:
            result = decide(connected, (account, item_id), Decision(decision), by_user(reason), overselling_accounts())
        print_transitions(result.transitions)
        if not result.transitions:
            console.print("No lock changed: the item's lock is so already. The decision is on record.")

    return command


_decision(
    "lock",
    "lock",
    "Lock the pieces of an item, whatever its status says.\n\nBut not those that the marketplace reports as cancelled "
    "or shipped. This holds until the item's status changes.",
)
_decision(
    "release",
    "release",
    "Release the lock of an item, whatever its status says.\n\nThis holds until the item's status changes.",
)


@stock.command("undo-shipment")
@click.argument("account", type=ACCOUNT)
@click.argument("item_id")
@click.argument("pieces", type=click.IntRange(1, PIECES.greatest), required=False)
@REASON
def undo_item_shipment(account: str, item_id: str, pieces: int | None, reason: str) -> None:
    """Undo a shipment that was reported by mistake.

    PIECES of the item did not leave (by default: none did) and are on hand again. What the marketplace reports as
    shipped from then on has left.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.by_hand import undo_shipment

    with stock_database(APPLICATION) as connected:
        result = undo_shipment(connected, (account, item_id), pieces, by_user(reason), overselling_accounts())
    print_transitions(result.transitions)


@stock.command("return")
@click.argument("account", type=ACCOUNT)
@click.argument("item_id", required=False)
@click.argument("pieces", type=click.IntRange(*PIECES), required=False)
@click.option("--care", "care_id", help="The care record by which they came back; without ITEM_ID, all its pieces.")
@REASON
def return_pieces(account: str, item_id: str | None, pieces: int | None, care_id: str | None, reason: str) -> None:
    """Book pieces that came back.

    PIECES of a shipped item are on hand again, or those that a care record says come back. What is booked by a care
    record is not booked again when the record closes."""
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.by_hand import pieces_to_return, return_to_stock, what_came_back

    with stock_database(APPLICATION) as connected:
        returned = pieces_to_return(connected, account, item_id, pieces, care_id)
        result = return_to_stock(connected, returned, by_user(reason), overselling_accounts(), care_id=care_id)
    for line in what_came_back(returned, result):
        console.print(f"{line}.", markup=False)
    print_transitions(result.transitions)


@stock.command("repair")
@click.option("--yes", is_flag=True, help="Repair them.")
@format_options
def repair_locks(yes: bool, as_json: bool, as_csv: bool) -> None:
    """Show and repair locks that are wrong.

    A lock is wrong if it is not what its item needs. The check
    locks_are_what_items_need in the UI lists the same. --yes repairs them.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.wrong_locks import WrongLock, repair, wrong_locks

    oversell = overselling_accounts()
    with read_stock_database(APPLICATION) as connected:
        wrong = wrong_locks(connected, oversell)
    if wrong or as_json or as_csv:
        print_rows(
            f"{len(wrong)} wrong locks", list(WrongLock._fields), [list(each) for each in wrong], as_json=as_json,
            as_csv=as_csv,
        )  # fmt: skip
    # With a format for programs, only that is on standard output.
    say = partial(click.echo, err=as_json or as_csv)
    if not wrong:
        say("Every lock is what its item needs.")
    elif yes:
        with stock_database(APPLICATION) as connected:
            repaired = repair(connected, oversell, by_user())
        for line in transition_lines(repaired.transitions):
            say(line)
        if repaired.failed:
            say(f"{repaired.failed} items could not be repaired. Their locks stay as they were.")
            sys.exit(EXIT_FAILED)
    else:
        say("Repair them with --yes.")


@stock.group("skus")
def skus() -> None:
    """Import or list aliases and bundles of SKUs."""


@skus.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--remove-all", is_flag=True, help="Remove all aliases and bundles; without FILE.")
def import_skus(file: Path | None, remove_all: bool) -> None:
    """Replace all aliases and bundles by those of a CSV file.

    FILE has the columns sku and stock_sku, and may have account (empty: every account) and pieces (by default 1). A
    bundle has a line for each of its SKUs.
    """
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.stock.stock_skus import import_stock_skus, read_stock_skus_file
    from orders_sync.stock.store import stored_sku_case

    if (file is None) is not remove_all:
        raise click.UsageError("Name either FILE or --remove-all.")
    # The case rule must not change between reading and importing.
    with stock_database(APPLICATION) as connected, connected.changing():
        found = read_stock_skus_file(file, stored_sku_case(connected)) if file else []
        for account in sorted({each.account for each in found} - {""}):
            check_account_name(account)
        unreachable = import_stock_skus(connected, found, by_user())
    for sku in unreachable:
        print_warning(
            f"SKU {sku} has pieces on hand, and no order gets them any more: set it to 0 by `orders-sync stock "
            "adjust`, and add the pieces to the SKU that it stands for."
        )
    console.print(f"{len(found)} lines imported. The stock job moves the locks of the items concerned.", markup=False)


@skus.command("list")
@format_options
def list_skus(as_json: bool, as_csv: bool) -> None:
    """List all aliases and bundles."""
    from orders_sync.stock.stock_skus import COLUMNS, stored_stock_skus

    with read_stock_database(APPLICATION) as connected:
        rows = [list(each) for each in stored_stock_skus(connected)]
    print_rows("Aliases and bundles", list(COLUMNS), rows, as_json=as_json, as_csv=as_csv)
