"""Finds orders by what people know of them: an id, a SKU, a tracking number, or when they were ordered."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import LiteralString, NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.model.errors import UserFacingError
from orders_sync.model.keys import UNSTORABLE
from orders_sync.model.shown_ids import shown_id

MAX_FOUND = 50
"""So many orders are shown, the newest first."""
RECENT = timedelta(days=90)
"""SKUs and tracking numbers are looked for in the orders of this time: no index has them, since it would cost each pass
more than people search. With dates, in those."""


class Query(NamedTuple):
    """What is looked for; all of it must hold."""

    text: str = ""
    """The id of an order or item, a SKU, or a tracking number, as a whole; '': any."""
    account: str = ""
    status: str = ""
    first: date | None = None
    """The first day on which the orders were created, in UTC."""
    last: date | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is looked for."""
        return self == Query()


class FoundOrder(NamedTuple):
    """An order that was found."""

    account: str
    order_id: str
    status: str
    created_at: datetime | None
    skus: list[str]


def find_orders(connection: Connection, query: Query, accounts: Collection[str]) -> list[FoundOrder]:
    """The orders that were found, the newest first, at most MAX_FOUND.

    By an id, whenever the order was created; by a SKU or a tracking number, of the last 90 days or the query's dates.
    `accounts`: the names of all accounts that may have orders.
    """
    if UNSTORABLE.search(query.text + query.account + query.status):
        return []
    values = {
        "accounts": [query.account] if query.account else sorted(accounts),
        "text": query.text,
        "status": query.status or None,
        "first": _midnight(query.first),
        "after": _midnight(query.last, plus=1),
        "limit": MAX_FOUND,
    }
    if not query.text:
        return rows_as(connection, FoundOrder, _BY_DATE, values)
    if found := rows_as(connection, FoundOrder, _BY_ID, values):
        return found
    if query.first is None:
        values["first"] = (_midnight(query.last) or datetime.now(UTC)) - RECENT
    return rows_as(connection, FoundOrder, _BY_CONTENT, values)


def order_named(connection: Connection, text: str) -> tuple[str, str]:
    """The account and id of the one order that a text names: by its id, that of one of its items, or `account/id`.

    Orders that are only rejected are meant, too. Raises UserFacingError if there is none, or if there are several.
    """
    text = text.strip()
    if not text:
        raise UserFacingError("An order is named by the marketplace's id, or by ACCOUNT/ID; nothing was given.")
    account, _, own_id = text.partition("/")
    found = []
    if not UNSTORABLE.search(text):
        found = connection.execute(_NAMED, {"text": text, "account": account, "id": own_id}).fetchall()
    if not found:
        raise UserFacingError(
            f"No order is named {shown_id(text) or 'so'}. Name it by the marketplace's id, or by ACCOUNT/ID."
        )
    if len(found) > 1:
        raise UserFacingError(f"Several orders are named so: {', '.join(f'{each[0]}/{each[1]}' for each in found)}.")
    return found[0]


def _midnight(day: date | None, plus: int = 0) -> datetime | None:
    """The beginning of a day in UTC, or of one of the days after it."""
    if day is None:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=plus)


_COLUMNS: LiteralString = """
SELECT found.account, found.order_id, found.status, found.created_at, ARRAY(
  SELECT DISTINCT sku FROM order_items item WHERE (item.account, item.order_id) = (found.account, found.order_id)
  ORDER BY 1) AS skus
FROM orders found
"""
_FILTER: LiteralString = """
  (%(status)s::text IS NULL OR found.status = %(status)s)
  AND (%(first)s::timestamptz IS NULL OR found.created_at >= %(first)s)
  AND (%(after)s::timestamptz IS NULL OR found.created_at < %(after)s)
"""
_NEWEST: LiteralString = "ORDER BY found.created_at DESC NULLS LAST, found.account, found.order_id LIMIT %(limit)s"
_BY_DATE: LiteralString = f"{_COLUMNS} WHERE found.account = ANY(%(accounts)s) AND {_FILTER} {_NEWEST}"
_BY_ID: LiteralString = f"""
{_COLUMNS} WHERE (found.account, found.order_id) IN (
  SELECT account, %(text)s FROM unnest(%(accounts)s::text[]) account
  UNION
  SELECT account, order_id FROM order_items WHERE account = ANY(%(accounts)s) AND item_id = %(text)s)
AND {_FILTER} {_NEWEST}
"""  # noqa: S608 - parts of constants; the values are bound parameters
# Each table is read once; an OR of the three would look into the others for each order.
_BY_CONTENT: LiteralString = f"""
WITH named AS MATERIALIZED (
  SELECT account, order_id FROM order_items WHERE account = ANY(%(accounts)s) AND sku = %(text)s
  UNION
  SELECT account, order_id FROM orders
  WHERE account = ANY(%(accounts)s) AND tracking_number = %(text)s AND created_at >= %(first)s
  UNION
  SELECT account, order_id FROM order_documents WHERE account = ANY(%(accounts)s) AND tracking_number = %(text)s)
{_COLUMNS} JOIN named USING (account, order_id) WHERE {_FILTER} {_NEWEST}
"""  # noqa: S608 - as above
_NAMED: LiteralString = """
WITH names (account, id) AS (VALUES (NULL, %(text)s::text), (%(account)s::text, %(id)s::text))
SELECT named.account, named.order_id FROM orders named, names
WHERE named.order_id = names.id AND (names.account IS NULL OR named.account = names.account)
UNION
SELECT item.account, item.order_id FROM order_items item, names
WHERE item.item_id = names.id AND (names.account IS NULL OR item.account = names.account)
UNION
SELECT rejected.account, rejected.record_id FROM rejected_records rejected, names
WHERE rejected.kind = 'order' AND rejected.record_id = names.id
  AND (names.account IS NULL OR rejected.account = names.account)
ORDER BY 1, 2 LIMIT 10
"""
