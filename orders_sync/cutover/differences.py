"""What differs between V1 and V2 in the same orders: missing rows, fields, documents, care cases and locks."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from orders_sync.config.v1 import CutoverSettings
from orders_sync.cutover.sides import ItemId, ItemSide, LockSide, OrderSide, Side
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE, Status
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.sync.rules import wrong_url

ONLY_V1, ONLY_V2, DIFFERS = "only in V1", "only in V2", "differs"
LOCK_ONLY_V1, LOCK_ONLY_V2, LOCK_DIFFERS = "lock only in V1", "lock only in V2", "lock differs"
FORGOTTEN_LOCK = "lock forgotten in V1"
"""V1 has a lock of an item that needs none, as both systems say: going live releases it."""
LOCK_KINDS = (LOCK_ONLY_V1, LOCK_ONLY_V2, LOCK_DIFFERS, FORGOTTEN_LOCK)
DOCUMENTS = {"delivery_note_url": DELIVERY_NOTE_DUE, "label_url": LABEL_DUE}
"""The columns of documents, with the statuses whose orders need them: others are in nobody's way."""


class Difference(NamedTuple):
    """Something that differs."""

    order_id: str
    item_id: str
    """'': it is about the order."""
    kind: str
    field: str
    """'': the whole row."""
    v1: str | None
    v2: str | None

    @property
    def is_of_lock(self) -> bool:
        """Whether it is about a stock lock, and not about what the marketplace says."""
        return self.kind in LOCK_KINDS


def differences_of(v1: Side, v2: Side, settings: CutoverSettings) -> Iterator[Difference]:
    """All differences, sorted by order and item. Columns that V1 does not have are not compared."""
    for order_id in sorted(v1.orders.keys() | v2.orders.keys()):
        ours, theirs = v2.orders.get(order_id), v1.orders.get(order_id)
        if ours is None:
            yield Difference(order_id, "", ONLY_V1, "", None, None)
        elif theirs is None:
            yield Difference(order_id, "", ONLY_V2, "", None, None)
        else:
            yield from _of_order(order_id, theirs, ours, settings)
    shared = v1.orders.keys() & v2.orders.keys()
    marketplaces = {order_id: v1.orders[order_id].marketplace for order_id in shared}
    yield from _of_items(_of_orders(v1.items, shared), _of_orders(v2.items, shared), settings, marketplaces)
    if settings.tables.locks is not None:
        yield from _of_locks(v1, v2, shared)


def _of_order(order_id: str, v1: OrderSide, v2: OrderSide, settings: CutoverSettings) -> Iterator[Difference]:
    names = settings.tables.orders.of_marketplace(v1.marketplace)
    if not set(v1.statuses) & set(v2.statuses):
        yield Difference(order_id, "", DIFFERS, "status", v1.shown_status, v2.shown_status)
    if names.total and not same_amount(v1.total, v2.total):
        yield Difference(order_id, "", DIFFERS, "total", _text(v1.total), _text(v2.total))
    is_known = v1.currency is not None or not names.currencies  # V1's id may have no code in v1.yaml
    if names.currency and is_known and _text(v1.currency).upper() != _text(v2.currency).upper():
        yield Difference(order_id, "", DIFFERS, "currency", v1.currency, v2.currency)
    for name, due in DOCUMENTS.items():
        if getattr(names, name) and not v2.is_blanked and set(v2.statuses) & set(due):
            one, two = getattr(v1, name), getattr(v2, name)
            if not same_document(one, two):
                yield Difference(order_id, "", DIFFERS, name, _shown_url(one), two)


def _of_items(
    v1: Mapping[ItemId, Any], v2: Mapping[ItemId, Any], settings: CutoverSettings, marketplaces: Mapping[str, str]
) -> Iterator[Difference]:
    """`marketplaces`: V1's name of the marketplace of each order."""
    for key in sorted(v1.keys() | v2.keys()):
        names = settings.tables.items.of_marketplace(marketplaces[key[0]])
        one, two = v1.get(key), v2.get(key)
        if one is None or two is None:
            if two is None or two.statuses != (Status.REMOVED,):
                yield Difference(*key, ONLY_V2 if one is None else ONLY_V1, "item", None, None)
            continue
        if _text(one.sku) != _text(two.sku):
            yield Difference(*key, DIFFERS, "sku", one.sku, two.sku)
        if not same_amount(one.quantity, two.quantity):
            yield Difference(*key, DIFFERS, "quantity", _text(one.quantity), _text(two.quantity))
        if names.price and not same_amount(one.price, two.price):
            yield Difference(*key, DIFFERS, "price", _text(one.price), _text(two.price))
        if names.care_id and _text(one.care_id) != _text(two.care_id):
            yield Difference(*key, DIFFERS, "care_id", one.care_id, two.care_id)
        if names.status and not set(one.statuses) & set(two.statuses):
            yield Difference(*key, DIFFERS, "status", one.shown_status, two.shown_status)


def _of_locks(v1: Side, v2: Side, shared: Collection[str]) -> Iterator[Difference]:
    of_v1, of_v2 = _of_orders(v1.locks, shared), _of_orders(v2.locks, shared)
    for key in sorted(of_v1.keys() | of_v2.keys()):
        one, two = of_v1.get(key), of_v2.get(key)
        if one is None:
            yield Difference(*key, LOCK_ONLY_V2, "lock", None, _shown_lock(two))
        elif two is None:
            kind = FORGOTTEN_LOCK if _need_none(v1.items.get(key), v2.items.get(key)) else LOCK_ONLY_V1
            yield Difference(*key, kind, "lock", _shown_lock(one), None)
        elif one.state != two.state or not _same_pieces(one, two):
            yield Difference(*key, LOCK_DIFFERS, "lock", _shown_lock(one), _shown_lock(two))


def _need_none(v1: ItemSide | None, v2: ItemSide | None) -> bool:
    """Whether both say of an item that it needs no lock."""
    if v1 is None or v2 is None or not set(v1.statuses) & set(v2.statuses):
        return False
    return all(LOCK_ACTIONS[status].action in (LockAction.RELEASE, LockAction.CONSUME) for status in v2.statuses)


def _same_pieces(v1: LockSide, v2: LockSide) -> bool:
    """V1 does not say which SKU of a bundle a lock has: of these, the state is compared alone."""
    return v2.quantity is None or same_amount(v1.quantity, v2.quantity)


def _of_orders(rows: Mapping[ItemId, Any], order_ids: Collection[str]) -> dict[ItemId, Any]:
    return {key: row for key, row in rows.items() if key[0] in order_ids}


def same_amount(v1: Any, v2: Any) -> bool:
    """The same number, however it is written: "10.5", 10.50, Decimal("10.500")."""
    if _text(v1) == "" or _text(v2) == "":
        return _text(v1) == _text(v2)
    try:
        return round(Decimal(str(v1)), 4) == round(Decimal(str(v2)), 4)
    except InvalidOperation:
        return False


def same_document(v1: str | None, v2: str | None) -> bool:
    """The same file: each time that a signed URL is read, it may have another query."""
    return _without_query(v1) == _without_query(v2)


def _without_query(url: str | None) -> str:
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return url or ""
    return f"{parts.netloc.casefold()}{parts.path}"


def _shown_url(url: str | None) -> str | None:
    """V1's URL of a document, to be stored and shown: what is no http or https URL must not become a link."""
    return "no http or https URL" if wrong_url(url) is not None else url


def _shown_lock(lock: LockSide | None) -> str | None:
    return None if lock is None else f"{lock.state} {_text(lock.quantity)}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def changed_at(v1: OrderSide | None, v2: OrderSide | None) -> tuple[datetime | None, datetime | None]:
    """When each side changed an order that both have, or stored the one that it alone has."""
    if v1 is None:
        return None, None if v2 is None else v2.created_at
    if v2 is None:
        return v1.seen_at or v1.changed_at, None
    return v1.changed_at, v2.changed_at
