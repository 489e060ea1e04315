"""Which care record an item carries: the latest one opened for it, whichever of the two came first."""

from orders_sync.database.engine import Connection
from orders_sync.sync.records import Order

_LINK = """
UPDATE order_items item SET care_id = latest.care_id
FROM (
  SELECT DISTINCT ON (item_id) item_id, care_id FROM care_records
  WHERE account = %(account)s AND item_id = ANY(%(items)s)
  ORDER BY item_id, opened_at DESC NULLS LAST, care_id DESC
) latest
WHERE item.account = %(account)s AND item.item_id = latest.item_id
  AND item.care_id IS DISTINCT FROM latest.care_id
"""
_MARK = """
UPDATE care_records care SET linked_at = now()
WHERE care.account = %(account)s AND care.item_id = ANY(%(items)s) AND care.linked_at IS NULL
  AND EXISTS (SELECT FROM order_items item WHERE item.account = care.account AND item.item_id = care.item_id)
"""
_ANY_UNLINKED = "SELECT EXISTS (SELECT FROM care_records WHERE account = %s AND linked_at IS NULL)"


def link(connection: Connection, account: str, item_ids: list[str]) -> int:
    """Writes the latest care record's id on these items, as far as they are stored; returns how many changed."""
    parameters = {"account": account, "items": item_ids}
    linked = connection.execute(_LINK, parameters).rowcount
    connection.execute(_MARK, parameters)
    return linked


def link_items(connection: Connection, account: str, orders: list[Order]) -> int:
    """Links items that have just arrived to care records that came before them."""
    row = connection.execute(_ANY_UNLINKED, [account]).fetchone()
    if row is None or not row[0]:
        return 0
    return link(connection, account, [item.item_id for order in orders for item in order.items or []])
