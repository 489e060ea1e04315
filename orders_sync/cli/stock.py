"""`orders-sync stock`: levels, locks, and why they are so."""

import sys
from pathlib import Path

import click

from orders_sync.cli.output import console, moment, table


@click.group()
def stock() -> None:
    """Stock levels and locks."""


@stock.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_file(file: Path) -> None:
    """Set the pieces on hand from a CSV FILE with the columns sku and on_hand."""
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.stock.connection import stock_connection
    from orders_sync.stock.levels import import_levels, read_stock_file

    upgrade_schema()
    levels = read_stock_file(file)
    with stock_connection("orders_sync stock") as stock:
        applied = import_levels(stock, levels)
    console.print(f"{len(levels)} SKUs imported.")
    for state, count in sorted(applied.steps.items()):
        console.print(f"{count} locks came into state {state}.")


@stock.command("levels")
@click.option("--short", "only_short", is_flag=True, help="Only SKUs with short locks.")
def show_levels(only_short: bool) -> None:
    """Show the stock by SKU."""
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.stock.connection import stock_connection
    from orders_sync.stock.queries import sku_levels

    upgrade_schema()
    with stock_connection("orders_sync stock") as stock:
        levels = sku_levels(stock, only_short=only_short)
    shown = table("Stock", "SKU", "on hand", "reserved", "available", "short locks")
    for level in levels:
        on_hand = "unknown" if level.on_hand is None else str(level.on_hand)
        shown.add_row(level.sku, on_hand, str(level.reserved), str(level.available()), str(level.short))
    console.print(shown)


@stock.command("apply")
def apply() -> None:
    """Apply pending order events to the locks now (the stock job does this by itself)."""
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.marketplaces.kit.accounts import overselling_accounts
    from orders_sync.stock.apply_events import apply_pending
    from orders_sync.stock.connection import stock_connection

    upgrade_schema()
    with stock_connection("orders_sync stock") as stock:
        applied = apply_pending(stock, overselling_accounts())
    steps = ", ".join(f"{count} {state}" for state, count in sorted(applied.steps.items())) or "no lock changed"
    console.print(f"{applied.events} events applied: {steps}.")
    if applied.failed:
        console.print(f"[red]{applied.failed} events failed; `orders-sync doctor` tells which.[/red]")
        sys.exit(1)


@stock.command("explain")
@click.argument("item_or_sku")
def explain_lock(item_or_sku: str) -> None:
    """Tell the events that made, consumed or released a lock, in order. ITEM_OR_SKU: an item's id, or a SKU."""
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.stock.connection import stock_connection
    from orders_sync.stock.explain import explain

    upgrade_schema()
    with stock_connection("orders_sync stock") as stock:
        levels, steps = explain(stock, item_or_sku)
    if not levels and not steps:
        console.print(f"[red]Neither an item with a lock nor a SKU is called {item_or_sku}.[/red]")
        sys.exit(1)
    for level in levels:
        on_hand = "not in the stock list" if level.on_hand is None else f"{level.on_hand} on hand"
        console.print(f"SKU {level.sku}: {on_hand}, {level.reserved} reserved, {level.short} locks short.")
    shown = table("Steps", "at (UTC)", "account", "order", "item", "SKU", "pieces", "step", "cause", "event")
    for step in steps:
        shown.add_row(
            moment(step.at), step.account, step.order_id, step.item_id, step.sku, str(step.quantity),
            f"{step.from_state or 'no lock'} → {step.to_state}", step.cause, str(step.event_id or "-"),
        )  # fmt: skip
    console.print(shown)
