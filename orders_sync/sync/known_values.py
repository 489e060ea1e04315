"""Values of stored orders that a later copy leaves out, though it would need them if the order were new.

An order can't be stored for the first time without its creation time, nor an item that can still ship without SKU and
quantity. Once they are stored, a copy without them still says what else has changed: a cancellation, a shipment.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from orders_sync.database.engine import Connection
from orders_sync.model.keys import UNSTORABLE
from orders_sync.model.records import Flaw, Order, OrderItem
from orders_sync.model.times import in_range
from orders_sync.sync.batch import DecodedOrder
from orders_sync.sync.validate import can_ship

AS_STORED = "as it was stored before"
_CREATED = "SELECT order_id, created_at FROM orders WHERE account = %s AND order_id = ANY(%s)"
_ITEMS = "SELECT item_id, sku, quantity FROM order_items WHERE account = %s AND item_id = ANY(%s)"


def with_known_values(connection: Connection, account: str, orders: Sequence[DecodedOrder]) -> list[DecodedOrder]:
    """Copies of stored orders, with what they leave out as it is stored, and a flaw for each such value.

    What is not stored either stays out, and the record check rejects the order for it.
    """
    undated = _keys(one.order.order_id for one in orders if _is_undated(one.order))
    item_ids = _keys(item.item_id for one in orders for item in _incomplete_items(one.order))
    if not undated and not item_ids:
        return list(orders)
    created: dict[str, datetime] = dict(connection.execute(_CREATED, [account, undated]).fetchall()) if undated else {}
    rows = connection.execute(_ITEMS, [account, item_ids]).fetchall() if item_ids else ()
    known = {item_id: (sku, quantity) for item_id, sku, quantity in rows}
    return [_filled(one, created, known) for one in orders]


def _keys(ids: Iterable[str]) -> list[str]:
    """The ids as they are stored, without those that can't be: PostgreSQL takes none of them in a query."""
    return [each for each in map(str.strip, ids) if not UNSTORABLE.search(each)]


def _is_undated(order: Order) -> bool:
    return order.created_at is None or not in_range(order.created_at)


def _incomplete_items(order: Order) -> list[OrderItem]:
    """The items that can still ship and lack what that takes. None where a value has another type: the record check
    rejects the order."""
    try:
        return [item for item in order.items or () if _is_incomplete(item) and can_ship(item)]
    except (AttributeError, TypeError):
        return []


def _is_incomplete(item: OrderItem) -> bool:
    return bool(item.item_id.strip()) and (item.quantity is None or not item.sku.strip())


def _filled(
    decoded: DecodedOrder, created: Mapping[str, datetime], known: Mapping[str, tuple[str, int]]
) -> DecodedOrder:
    order = decoded.order
    values: dict[str, Any] = {}
    missing: list[str] = []
    if _is_undated(order) and (created_at := created.get(order.order_id.strip())):
        values["created_at"] = created_at
        missing.append("created_at")
    incomplete = _incomplete_items(order)
    items = list(order.items or ())
    for position, item in enumerate(items):
        if item in incomplete and (stored := known.get(item.item_id.strip())):
            sku, quantity = stored
            if not item.sku.strip() and sku:
                items[position] = msgspec.structs.replace(items[position], sku=sku)
                missing.append(f"items[{position}].sku")
            if item.quantity is None:
                items[position] = msgspec.structs.replace(items[position], quantity=quantity)
                missing.append(f"items[{position}].quantity")
            values["items"] = items
    if not missing:
        return decoded
    # What came and could not be read is a flaw already.
    left_out = {flaw.canonical for flaw in decoded.flaws}
    flaws = [Flaw(field, "is missing", AS_STORED) for field in missing if field not in left_out]
    return DecodedOrder(msgspec.structs.replace(order, **values), decoded.record, decoded.raw, (*decoded.flaws, *flaws))
