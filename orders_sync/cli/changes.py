"""`orders-sync changes`: what changed with each revision of an order, and what people did by hand."""

from typing import TYPE_CHECKING, Any

import click

from orders_sync.cli.names import ACCOUNT
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows, value_text
from orders_sync.database.opened import orders_database
from orders_sync.model.errors import UserFacingError
from orders_sync.model.time_words import moment

if TYPE_CHECKING:  # imported only by the command
    from orders_sync.acts.manual_acts import ManualAct
    from orders_sync.sync.order_changes import OrderChange

NOT_KEPT = "(not kept)"
"""Stands for buyer's data and URLs of documents, of which only the names are kept."""
_RAW_ONLY = "(raw record only)"
_COLUMNS = ("revision", "stored", "by", "run", "item", "field", "before", "after", "act", "reason")
_COLUMNS_WITHOUT_ACTS = _COLUMNS[:-2]


@click.command()
@click.argument("account", type=ACCOUNT)
@click.argument("order_id", metavar="ORDER")
@format_options
def changes(account: str, order_id: str, as_json: bool, as_csv: bool) -> None:
    """Show what changed in an order since it was created.

    Each revision with its changed values, before and after: when it was stored, and by which sync and run. Of buyer's
    data and URLs of documents only the names are kept. Between them, what people did by hand with the order and its
    items, and why.
    """
    from orders_sync.acts.manual_acts import Selection, stored_acts
    from orders_sync.marketplaces.kit.accounts import check_account_name
    from orders_sync.sync.order_changes import changes_of

    with orders_database("orders_sync changes") as connection:
        found = changes_of(connection, account, order_id)
        acts = stored_acts(connection, Selection(account, order_id))
        stored = connection.execute(
            "SELECT first_stored_at FROM orders WHERE account = %s AND order_id = %s", [account, order_id]
        ).fetchone()
    if stored is None and not found and not acts:
        check_account_name(account)  # a removed account may have orders; a misspelled one has none
        raise UserFacingError(f"Account {account} has no order {order_id}.")
    if found or acts or as_json or as_csv:
        rows = sorted([*map(_row, found), *map(_row_of_act, acts)], key=lambda row: row[1])
        names = _COLUMNS if acts or as_json or as_csv else _COLUMNS_WITHOUT_ACTS
        rows = [row[: len(names)] for row in rows]
        print_rows(f"Order {order_id}", names, rows, as_json=as_json, as_csv=as_csv)
    elif stored is not None:
        console.print(
            f"Order {order_id} has not changed since it was first stored, {moment(stored[0])} UTC.", markup=False
        )


def _row(change: "OrderChange") -> list[Any]:
    values = (NOT_KEPT, NOT_KEPT) if change.is_named_only else (value_text(change.before), value_text(change.after))
    return [
        change.revision, change.recorded_at, change.written_by, change.run_id, change.item_id,
        change.field or _RAW_ONLY, *values, None, None,
    ]  # fmt: skip


def _row_of_act(act: "ManualAct") -> list[Any]:
    what = act.act if act.detail is None else f"{act.act}: {act.detail}"
    return [None, act.at, act.actor, act.run_id, act.item_id or "", None, None, None, what, act.reason]
