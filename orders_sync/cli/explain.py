"""`orders-sync explain`: the whole history of an order."""

from typing import Any

import click

from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows


@click.command()
@click.argument("order", metavar="ORDER")
@format_options
def explain(order: str, as_json: bool, as_csv: bool) -> None:
    """Show the whole history of an order.

    Its versions and changes, events, locks, acceptances, care, documents, flaws, rejected versions, and what people did
    by hand, in the order of time. ORDER is the marketplace's id of the order or of one of its items, also as
    ACCOUNT/ID. Of buyer's data, only the names of changed fields are kept.
    """
    from orders_sync.history.search import order_named
    from orders_sync.history.timeline import facts_of, timeline
    from orders_sync.stock.connection import stock_reader

    with stock_reader("orders_sync explain") as stock:
        account, order_id = order_named(stock.connection, order)
        facts, entries = facts_of(stock, account, order_id), timeline(stock, account, order_id)
    rows: list[list[Any]] = [
        [each.at, each.source.value, each.text, each.detail, each.is_wrong]
        if as_json or as_csv
        else [each.at, each.source.value, "\n".join(filter(None, (each.text, each.detail)))]
        for each in entries
    ]
    names = ["at", "source", "what", "detail", "is_wrong"] if as_json or as_csv else ["at", "source", "what"]
    print_rows(f"Order {order_id} of {account}", names, rows, as_json=as_json, as_csv=as_csv)
    if as_json or as_csv:
        return
    if facts is None:
        console.print("This order is not stored.")
        return
    status = facts[0].status
    items = ", ".join(f"{item.quantity} × {item.sku} {item.locks or 'no lock'}" for item in facts[1])
    console.print(f"Now {status}: {items}", markup=False)
