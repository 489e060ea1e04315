"""What can be exported, and which of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString, NamedTuple

from psycopg.sql import SQL, Composed

from orders_sync.database.engine import Connection
from orders_sync.documents.all_documents import DOCUMENTS, parameters_of_documents
from orders_sync.stock.connection import stock_sql
from orders_sync.stock.pick_list import BY_ORDER, BY_SKU, STATUSES, parameters_of_pick_list


class Export(StrEnum):
    """What is exported."""

    ORDERS = "orders"
    ITEMS = "items"
    PICK_LIST = "pick-list"
    PICK_LIST_BY_ORDER = "pick-list by order"
    DOCUMENTS = "documents"


class Selection(NamedTuple):
    """Which rows are exported; None: any."""

    accounts: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    """Of the order, or of the item where items are exported or picked."""
    since: datetime | None = None
    """Ordered at this moment or later, by the marketplace's clock; where it is not known, when it was first stored."""
    until: datetime | None = None
    """Ordered before this moment."""
    skus: Sequence[str] | None = None
    """The marketplace's SKUs of items, and the stock list's of the pick list. The others have no SKU."""

    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        lists = {"accounts": self.accounts, "statuses": self.statuses, "skus": self.skus}
        chosen = {name: None if values is None else list(values) for name, values in lists.items()}
        return {**chosen, "since": self.since, "until": self.until}


class Query(NamedTuple):
    """A query with its parameters. Its columns are those of the export."""

    statement: Composed
    parameters: Mapping[str, Any]


def query_of(connection: Connection, export: Export, selection: Selection) -> Query:
    """The query of an export.

    Orders and items need no more rights than `orders_sync_reader` has; the others need those of a writer.
    """
    chosen = selection.parameters()
    match export:
        case Export.ORDERS:
            return Query(SQL(_ORDERS).format(), chosen)
        case Export.ITEMS:
            return Query(SQL(_ITEMS).format(), chosen)
        case Export.DOCUMENTS:
            return Query(SQL(DOCUMENTS).format(), {**chosen, **parameters_of_documents()})
        case Export.PICK_LIST | Export.PICK_LIST_BY_ORDER:
            picked = [str(status) for status in selection.statuses or STATUSES]
            statement = stock_sql(BY_SKU if export is Export.PICK_LIST else BY_ORDER)
            return Query(statement, {**chosen, **parameters_of_pick_list(), "picked": picked})


def accounts_without_orders(connection: Connection, accounts: Collection[str]) -> list[str]:
    """Those of the accounts that have no order: their names may be misspelled."""
    found = connection.execute(_WITHOUT_ORDERS, [list(accounts)]).fetchall()
    return [account for (account,) in found]


_WITHOUT_ORDERS = """
SELECT named.account FROM unnest(%s::text[]) AS named (account)
WHERE NOT EXISTS (SELECT FROM reporting.orders placed WHERE placed.account = named.account) ORDER BY named.account
"""
_SELECTED: LiteralString = """
(%(accounts)s::text[] IS NULL OR account = ANY(%(accounts)s::text[]))
  AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s::text[]))
  AND (%(since)s::timestamptz IS NULL OR coalesce(created_at, first_stored_at) >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR coalesce(created_at, first_stored_at) < %(until)s)
"""
_ORDERS: LiteralString = """
SELECT * FROM reporting.orders WHERE {selected} ORDER BY account, order_id
""".replace("{selected}", _SELECTED)
_ITEMS: LiteralString = """
SELECT * FROM reporting.order_items WHERE {selected} AND (%(skus)s::text[] IS NULL OR sku = ANY(%(skus)s::text[]))
ORDER BY account, order_id, item_id
""".replace("{selected}", _SELECTED)
