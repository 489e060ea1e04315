"""Which care record an item is linked to: the one opened last for it, whether item or care record was stored first.

A cancelled one is linked only if there is no other.
"""

from orders_sync.database.engine import Connection
from orders_sync.model.records import Order

_LINK = """
UPDATE order_items item SET care_id = latest.care_id
FROM (
  SELECT DISTINCT ON (about.item_id) about.item_id, care.care_id
  FROM care_record_items about JOIN care_records care USING (account, care_id)
  WHERE about.account = %(account)s AND about.item_id = ANY(%(items)s)
  ORDER BY about.item_id, care.state = 'cancelled', care.opened_at DESC NULLS LAST, care.care_id DESC
) latest
WHERE item.account = %(account)s AND item.item_id = latest.item_id
  AND item.care_id IS DISTINCT FROM latest.care_id
"""
_NOTE_LINKED = """
UPDATE care_record_items about SET linked_at = now()
WHERE about.account = %(account)s AND about.item_id = ANY(%(items)s) AND about.linked_at IS NULL
  AND EXISTS (SELECT FROM order_items item WHERE item.account = about.account AND item.item_id = about.item_id)
"""
_ANY_UNLINKED = "SELECT EXISTS (SELECT FROM care_record_items WHERE account = %s AND linked_at IS NULL)"


def link(connection: Connection, account: str, item_ids: list[str]) -> int:
    """Links these items, as far as they are stored, to their latest care records; returns how many links changed."""
    parameters = {"account": account, "items": item_ids}
    linked = connection.execute(_LINK, parameters).rowcount
    connection.execute(_NOTE_LINKED, parameters)
    return linked


def link_items(connection: Connection, account: str, orders: list[Order]) -> int:
    """Links the items of orders that were just stored to care records that were stored before; returns how many."""
    row = connection.execute(_ANY_UNLINKED, [account]).fetchone()
    if row is None or not row[0]:
        return 0
    return link(connection, account, [item.item_id for order in orders for item in order.items or []])
