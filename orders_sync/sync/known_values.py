"""Values of stored orders that a later copy leaves out, though it would need them if the order were new.

An order can't be stored for the first time without its creation time, nor an item that can still ship without SKU and
quantity. Once they are stored, a copy without them still says what else has changed: a cancellation, a shipment.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from orders_sync.database.engine import Connection
from orders_sync.model.records import Flaw, Order, OrderItem
from orders_sync.model.times import in_range
from orders_sync.sync.batch import DecodedOrder

AS_STORED = "as it was stored before"
_CREATED = "SELECT order_id, created_at FROM orders WHERE account = %s AND order_id = ANY(%s)"
_ITEMS = "SELECT item_id, sku, quantity FROM order_items WHERE account = %s AND item_id = ANY(%s)"
_KnownItem = tuple[str, int]


def with_known_values(connection: Connection, account: str, orders: Sequence[DecodedOrder]) -> list[DecodedOrder]:
    """Copies of stored orders, with what they leave out as it is stored, and a flaw for each such value.

    What is not stored either stays out, and the record check rejects the order for it.
    """
    try:
        undated = [one.order.order_id.strip() for one in orders if _is_undated(one.order)]
        incomplete = {one.order.order_id: items for one in orders if (items := _incomplete_items(one.order))}
    except (AttributeError, TypeError):
        return list(orders)  # a value has another type: the record check rejects its order
    if not undated and not incomplete:
        return list(orders)
    created: dict[str, datetime] = dict(connection.execute(_CREATED, [account, undated]).fetchall()) if undated else {}
    item_ids = sorted({item_id for items in incomplete.values() for item_id in items})
    rows = connection.execute(_ITEMS, [account, item_ids]).fetchall() if item_ids else ()
    known: dict[str, _KnownItem] = {item_id: (sku, quantity) for item_id, sku, quantity in rows}
    return [_filled(one, created.get(one.order.order_id.strip()), known) for one in orders]


def _is_undated(order: Order) -> bool:
    return order.created_at is None or not in_range(order.created_at)


def _incomplete_items(order: Order) -> Collection[str]:
    return [item.item_id.strip() for item in order.items or () if not item.sku.strip() or item.quantity is None]


def _filled(decoded: DecodedOrder, created_at: datetime | None, known: dict[str, _KnownItem]) -> DecodedOrder:
    order, flaws = decoded.order, list[Flaw]()
    left_out = {flaw.canonical for flaw in decoded.flaws}
    if created_at is not None and _is_undated(order):
        order = msgspec.structs.replace(order, created_at=created_at)
        flaws += _flaw("created_at", left_out)
    items: list[OrderItem] = []
    for position, item in enumerate(order.items or ()):
        sku, quantity = known.get(item.item_id.strip(), ("", None))
        if sku and not item.sku.strip():
            item = msgspec.structs.replace(item, sku=sku)
            flaws += _flaw(f"items[{position}].sku", left_out)
        if quantity is not None and item.quantity is None:
            item = msgspec.structs.replace(item, quantity=quantity)
            flaws += _flaw(f"items[{position}].quantity", left_out)
        items.append(item)
    if not flaws and order is decoded.order and items == list(order.items or ()):
        return decoded
    if order.items is not None:
        order = msgspec.structs.replace(order, items=items)
    return DecodedOrder(order, decoded.record, decoded.raw, (*decoded.flaws, *flaws))


def _flaw(field: str, left_out: Collection[str]) -> list[Flaw]:
    """The flaw of a value that is missing; none if it came and could not be read, which is a flaw already."""
    return [] if field in left_out else [Flaw(field, "is missing", AS_STORED)]
