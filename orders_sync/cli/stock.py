"""`orders-sync stock`: stock levels, stock locks and their history."""

import sys
from pathlib import Path

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.output import EXIT_FAILED, console, moment, print_error, table
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync stock"


@click.group()
def stock() -> None:
    """Import stock, apply events, explain locks."""


@stock.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_file(file: Path) -> None:
    """Import the pieces on hand from a CSV file.

    FILE has the columns sku and on_hand.
    """
    from orders_sync.stock.levels import import_levels, read_stock_file

    levels = read_stock_file(file)
    with stock_database(APPLICATION) as stock:
        applied = import_levels(stock, levels)
    console.print(f"{len(levels)} SKUs imported.")
    for state, count in sorted(applied.transitions.items()):
        console.print(f"{count} locks are now {state}.")


@stock.command("levels")
@click.option("--short", "only_short", is_flag=True, help="Show only SKUs with short locks.")
def show_levels(only_short: bool) -> None:
    """Show the stock of each SKU, in pieces."""
    from orders_sync.stock.queries import sku_levels

    with read_stock_database(APPLICATION) as stock:
        levels = sku_levels(stock, only_short=only_short)
    shown = table("Stock", "SKU", "on hand", "reserved", "available", "short locks")
    for level in levels:
        on_hand = "unknown" if level.on_hand is None else str(level.on_hand)
        shown.add_row(level.sku, on_hand, str(level.reserved), str(level.available()), str(level.short))
    console.print(shown)


@stock.command("apply")
def apply() -> None:
    """Apply pending order events to the stock locks now.

    The stock job does this by itself.
    """
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.apply_events import apply_pending

    with stock_database(APPLICATION) as stock:
        applied = apply_pending(stock, overselling_accounts())
    counts = ", ".join(f"{count} {state}" for state, count in sorted(applied.transitions.items()))
    console.print(f"{applied.events} events applied: {counts or 'no lock changed'}.")
    if applied.failed:
        print_error(f"{applied.failed} events failed. The check every_event_could_be_applied in the UI lists them.")
        sys.exit(EXIT_FAILED)


@stock.command("explain")
@click.argument("item_or_sku")
def explain_lock(item_or_sku: str) -> None:
    """Show every transition of a stock lock, and its cause.

    ITEM_OR_SKU is the id of an order item, or a SKU.
    """
    from orders_sync.stock.explain import explain

    with read_stock_database(APPLICATION) as stock:
        levels, transitions = explain(stock, item_or_sku)
    if not levels and not transitions:
        raise UserFacingError(f"There is neither an item with a lock nor a SKU named {item_or_sku}.")
    for level in levels:
        on_hand = "not in the stock list" if level.on_hand is None else f"{level.on_hand} on hand"
        console.print(f"SKU {level.sku}: {on_hand}, {level.reserved} reserved, {level.short} locks short.")
    shown = table(
        "Transitions", "at (UTC)", "account", "order", "item", "SKU", "pieces", "transition", "cause", "event"
    )
    for each in transitions:
        shown.add_row(
            moment(each.at), each.account, each.order_id, each.item_id, each.sku, str(each.quantity),
            f"{each.from_state or 'no lock'} → {each.to_state}", each.cause, str(each.event_id or "-"),
        )  # fmt: skip
    console.print(shown)
