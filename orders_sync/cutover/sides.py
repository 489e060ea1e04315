"""What V1 and V2 have of the same orders: read by their ids, whenever they were created."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.model.statuses import Status
from orders_sync.stock.connection import StockConnection

if TYPE_CHECKING:
    import pandas as pd

    from orders_sync.cutover.v1_database import V1Database

ORDERS_AT_ONCE = 5_000


class OrderSide(NamedTuple):
    """An order as one side has it. None: it is empty, or V1 has no such column."""

    statuses: tuple[Status, ...]
    """V2: its status. V1: what its number may mean; empty: the number is not mapped."""
    shown_status: str
    """As it is stored."""
    currency: str | None
    total: Any
    """The amount of all items, as it is stored."""
    created_at: datetime | None
    """When the buyer ordered."""
    seen_at: datetime | None
    """When this side stored the order first."""
    changed_at: datetime | None
    """V1: when it last wrote the order. V2: when the order last changed at the marketplace."""
    delivery_note_url: str | None
    label_url: str | None
    marketplace: str = ""
    """V1's name of the marketplace; '' of V2."""
    is_blanked: bool = False
    """Whether V2 has blanked the buyer's data, and so the URLs."""


class ItemSide(NamedTuple):
    """An item as one side has it."""

    statuses: tuple[Status, ...]
    shown_status: str
    sku: str | None
    quantity: Any
    price: Any
    care_id: str | None


class LockSide(NamedTuple):
    """What one side holds, or has consumed, for an item."""

    state: str
    """locked or consumed."""
    quantity: Any
    """None: of several SKUs, those of a bundle."""


ItemId = tuple[str, str]
"""(order id, item id)"""


class Side(NamedTuple):
    """What one side has of some orders, by the marketplace's ids."""

    orders: Mapping[str, OrderSide]
    items: Mapping[ItemId, ItemSide]
    locks: Mapping[ItemId, LockSide]


def v1_side(v1: "V1Database", account: str, order_ids: Collection[str]) -> Side:
    """What V1 has of these orders."""
    orders: dict[str, OrderSide] = {}
    items: dict[ItemId, ItemSide] = {}
    locks: dict[ItemId, LockSide] = {}
    for batch in _batches(order_ids):
        part = _v1_batch(v1, account, batch)
        orders |= part.orders
        items |= part.items
        locks |= part.locks
    return Side(orders, items, locks)


def _v1_batch(v1: "V1Database", account: str, order_ids: Sequence[str]) -> Side:
    orders = {
        str(row["order_id"]): OrderSide(
            statuses=tuple(row["statuses"]), shown_status=_text(row["status"]), currency=_or_none(row["currency"]),
            total=_value(row["total"]), created_at=_value(row["ordered_at"]), seen_at=_value(row["seen_at"]),
            changed_at=_value(row["updated_at"]), delivery_note_url=_or_none(row["delivery_note_url"]),
            label_url=_or_none(row["label_url"]), marketplace=str(row["marketplace"]),
        )
        for row in _rows(v1.orders(account, order_ids))
    }  # fmt: skip
    items = {
        (str(row["order_id"]), str(row["item_id"])): ItemSide(
            statuses=tuple(row["statuses"]), shown_status=_text(row["status"]), sku=_or_none(row["sku"]),
            quantity=_value(row["quantity"]), price=_value(row["price"]), care_id=_or_none(row["care_id"]),
        )
        for row in _rows(v1.items(account, order_ids))
    }  # fmt: skip
    locks: dict[ItemId, LockSide] = {}
    for row in _rows(v1.locks(account, order_ids)):
        if row["state"] != "released":
            key = str(row["order_id"]), str(row["item_id"])
            before = locks.get(key)
            quantity = (_value(row["quantity"]) or 0) + (before.quantity if before else 0)
            state = max(str(row["state"]), before.state if before else "")
            locks[key] = LockSide(state, quantity)
    return Side(orders, items, locks)


def v2_side(stock: StockConnection, account: str, order_ids: Collection[str]) -> Side:
    """What V2 has of these orders; its locks are those of the schema of `stock`."""
    orders: dict[str, OrderSide] = {}
    items: dict[ItemId, ItemSide] = {}
    locks: dict[ItemId, LockSide] = {}
    for batch in _batches(order_ids):
        key = [account, batch]
        orders |= {
            row.order_id: OrderSide(
                statuses=(Status(row.status),), shown_status=row.status, currency=row.currency, total=row.total,
                created_at=row.created_at, seen_at=row.first_stored_at, changed_at=row.modified_at or row.stored_at,
                delivery_note_url=row.delivery_note_url, label_url=row.label_url, is_blanked=row.is_blanked,
            )
            for row in rows_as(stock.connection, _StoredOrder, _ORDERS, key)
        }  # fmt: skip
        items |= {
            (row.order_id, row.item_id): ItemSide(
                (Status(row.status),), row.status, row.sku, row.quantity, row.price, row.care_id
            )
            for row in rows_as(stock.connection, _StoredItem, _ITEMS, key)
        }
        locks |= {
            (order_id, item_id): LockSide(state, quantity)
            for order_id, item_id, quantity, state in stock.execute(_LOCKS, key)
            if state != "released"
        }
    return Side(orders, items, locks)


def _batches(order_ids: Collection[str]) -> Iterator[list[str]]:
    ids = sorted(order_ids)
    for start in range(0, len(ids), ORDERS_AT_ONCE):
        yield ids[start : start + ORDERS_AT_ONCE]


def touched_in_v2(stock: StockConnection, account: str, start: datetime, end: datetime) -> set[str]:
    """The orders that V2 has created, changed or locked from `start` to `end`, with care cases or documents."""
    parameters = {"account": account, "start": start, "end": end}
    return {order_id for (order_id,) in stock.execute(_TOUCHED, parameters)}


def created_in_v2(connection: Connection, account: str, start: datetime, end: datetime) -> set[str]:
    """The orders that the buyers made from `start` to before `end`."""
    rows = connection.execute(
        "SELECT order_id FROM orders WHERE account = %s AND created_at >= %s AND created_at < %s", [account, start, end]
    )
    return {order_id for (order_id,) in rows}


class _StoredOrder(NamedTuple):
    order_id: str
    status: str
    currency: str | None
    total: Any
    created_at: datetime | None
    first_stored_at: datetime
    modified_at: datetime | None
    stored_at: datetime
    delivery_note_url: str | None
    label_url: str | None
    is_blanked: bool


class _StoredItem(NamedTuple):
    order_id: str
    item_id: str
    status: str
    sku: str
    quantity: int
    price: Any
    care_id: str | None


def _rows(frame: "pd.DataFrame") -> Iterable[dict[str, Any]]:
    for row in frame.to_dict("records"):
        yield {str(name): value for name, value in row.items()}


def _value(value: Any) -> Any:
    """None for whatever pandas calls missing."""
    import pandas as pd

    return None if value is None or pd.isna(value) else value


def _or_none(value: Any) -> str | None:
    known = _value(value)
    return None if known is None else str(known)


def _text(value: Any) -> str:
    return _or_none(value) or ""


_ORDERS: LiteralString = """
SELECT order_id, status, currency, items_total AS total, created_at, first_stored_at, modified_at, stored_at,
  delivery_note_url, label_url, buyer_data_blanked_at IS NOT NULL AS is_blanked
FROM orders WHERE account = %s AND order_id = ANY(%s)
"""
_ITEMS: LiteralString = """
SELECT order_id, item_id, status, sku, quantity, price, care_id FROM order_items
WHERE account = %s AND order_id = ANY(%s)
"""
# V1 waits for no pieces, and holds none: it releases what is cancelled after the label.
_LOCKS: LiteralString = """
SELECT order_id, item_id, CASE count(*) WHEN 1 THEN min(quantity) END AS quantity,
  CASE WHEN bool_or(state IN ('locked', 'short')) THEN 'locked' WHEN bool_or(consumed > 0) THEN 'consumed'
    ELSE 'released' END AS state
FROM stock_locks WHERE account = %s AND order_id = ANY(%s) AND (state <> 'released' OR consumed > 0)
GROUP BY order_id, item_id
"""
_TOUCHED: LiteralString = """
SELECT order_id FROM public.orders WHERE account = %(account)s AND (
  created_at >= %(start)s AND created_at < %(end)s OR modified_at >= %(start)s AND modified_at < %(end)s
  OR first_stored_at >= %(start)s AND first_stored_at < %(end)s OR stored_at >= %(start)s AND stored_at < %(end)s)
UNION SELECT order_id FROM public.order_changes
WHERE account = %(account)s AND recorded_at >= %(start)s AND recorded_at < %(end)s
UNION SELECT order_id FROM public.order_documents
WHERE account = %(account)s AND (first_stored_at >= %(start)s AND first_stored_at < %(end)s
  OR cancelled_at >= %(start)s AND cancelled_at < %(end)s)
UNION SELECT item.order_id FROM public.care_records care
JOIN public.care_record_items about USING (account, care_id) JOIN public.order_items item USING (account, item_id)
WHERE care.account = %(account)s AND (care.stored_at >= %(start)s AND care.stored_at < %(end)s
  OR care.modified_at >= %(start)s AND care.modified_at < %(end)s)
UNION SELECT lock.order_id FROM stock_locks lock JOIN stock_lock_history entry USING (account, item_id, sku)
WHERE lock.account = %(account)s AND entry.at >= %(start)s AND entry.at < %(end)s
"""
