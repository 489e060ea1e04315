"""The record check: whether a record can be stored, and what is stored of a value that is wrong.

`rules` has the rules of single fields. Those about several fields or items are here: see `flawed_orders`.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from orders_sync.marketplaces.kit.decoding import care_items
from orders_sync.marketplaces.kit.lenient import LEFT_OUT
from orders_sync.model.keys import MAX_ID_LENGTH, with_valid_characters
from orders_sync.model.records import (
    CareItem,
    CareRecord,
    Document,
    Flaw,
    ItemKind,
    Order,
    OrderItem,
    Reason,
    RecordRejectedError,
)
from orders_sync.model.statuses import Status
from orders_sync.sync.columnar import OrderColumns
from orders_sync.sync.rules import (
    CARE_ITEM_RULES,
    CARE_RULES,
    DOCUMENT_RULES,
    ITEM_RULES,
    ITEM_RULES_NOT_TO_SHIP,
    MAX_TEXT_LENGTH,
    ORDER_RULES,
    TEXT,
    Rule,
    Wrong,
    negative,
    wrong_amount,
)

STATUSES_TO_SHIP = frozenset([Status.PENDING, Status.ACCEPTED])
#: The statuses of an item of which nothing is to be shipped any more; its quantity may be 0.
GONE = frozenset([
    Status.CANCELLED, Status.REMOVED, Status.UNPAID, Status.REFUNDED_BEFORE_SHIPPING, Status.REFUNDED_AFTER_SHIPPING,
    Status.RETURNED,
])  # fmt: skip


def flawed_orders(fields: OrderColumns, longest_record: int | None = None, *, each_value: bool = False) -> set[int]:
    """The positions of the orders of a batch that `mend_order` rejects or changes; all others are valid as they are.

    `longest_record`: the length in bytes of the longest raw record, if it is known: a short record has no long text.
    `each_value`: look at each value also for characters that PostgreSQL can't store. It takes much longer.
    """
    orders, items = fields.orders, fields.items
    without = TEXT if longest_record is not None and longest_record <= MAX_TEXT_LENGTH else None
    find = _flawed_values if each_value else partial(_flawed, without=without)
    order_positions = find(ORDER_RULES, orders) | _without_state(orders) | _without_items(orders)
    item_positions = find(ITEM_RULES, items) | _unusual_items(items)
    if not order_positions and not item_positions:
        return set()
    owner = fields.order_position_of_items
    return order_positions | {owner[position] for position in item_positions}


def _flawed(rules: Mapping[str, Rule[Any]], fields: Mapping[str, Sequence[Any]], without: Rule[Any] | None) -> set[int]:
    odd = {name: rule for name, rule in rules.items() if rule is not without and not rule.all_valid(fields[name])}
    return _flawed_values(odd, fields)


def _flawed_values(rules: Mapping[str, Rule[Any]], fields: Mapping[str, Sequence[Any]]) -> set[int]:
    found: set[int] = set()
    for name, rule in rules.items():
        wrong = {value for value in set(fields[name]) if rule.wrong(value) is not None}
        found |= {position for position, value in enumerate(fields[name]) if value in wrong}
    return found


def _without_state(fields: Mapping[str, Sequence[Any]]) -> set[int]:
    """The positions of the orders, or items, whose status is unknown because the record has no state."""
    if Status.UNKNOWN not in fields["status"]:
        return set()
    both = enumerate(zip(fields["status"], fields["marketplace_state"], strict=True))
    return {position for position, (status, state) in both if status is Status.UNKNOWN and not state}


def _without_items(fields: Mapping[str, Sequence[Any]]) -> set[int]:
    """The positions of the orders whose list of items is empty."""
    return {position for position, items in enumerate(fields["items"]) if items is not None and not items}


def _unusual_items(items: Mapping[str, Sequence[Any]]) -> set[int]:
    """The positions of items that no rule of a single field finds, but `_mend_items` has something to say about."""
    found = _without_state(items)
    if any(items["refunded"]):
        found |= {position for position, refunded in enumerate(items["refunded"]) if refunded}
    if 0 in items["quantity"]:
        found |= {position for position, quantity in enumerate(items["quantity"]) if quantity == 0}
    if negative(set(filter(None, items["price"]))):
        found |= {position for position, price in enumerate(items["price"]) if price and price[:1] == "-"}
    ids = items["item_id"]
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        found |= {position for position, item_id in enumerate(ids) if item_id in seen or seen.add(item_id)}
    return found


def mend_order(order: Order, left_out: Sequence[Flaw] = ()) -> tuple[Order, list[Flaw]]:
    """The order as it is stored, and its flaws. Raises RecordRejectedError with every reason why it can't be stored.

    `left_out`: the flaws of its decoding, which `as_found` compares with the reasons.
    """
    values, flaws, reasons = _mend(ORDER_RULES, order)
    if order.status is Status.UNKNOWN and not order.marketplace_state:
        flaws.append(_no_status("status"))
    if order.items is not None:
        items, item_flaws, item_reasons = _mend_items(order.items, {flaw.canonical for flaw in left_out})
        if items != order.items:
            values["items"] = items
        if not items and not item_reasons and order.status in STATUSES_TO_SHIP:
            flaws.append(_EMPTY_THOUGH_TO_SHIP)
        if order.lists_all_items and any(flaw.stored == LEFT_OUT for flaw in item_flaws):
            values["lists_all_items"] = False
        flaws += item_flaws
        reasons += item_reasons
    if reasons:
        raise RecordRejectedError(as_found(reasons, left_out))
    return (msgspec.structs.replace(order, **values) if values else order), flaws


#: The last item may have been edited out, so the record is believed; but the order should then be cancelled.
_EMPTY_THOUGH_TO_SHIP = Flaw("items", "are none, and the order is still to be shipped", "all items as removed")


def _no_status(field: str) -> Flaw:
    """The flaw of a record without a state. One with a state that is not published fails `states_are_known` instead."""
    return Flaw(field, "is missing", "unknown, or as it was stored before")


def as_found(reasons: Sequence[Reason], left_out: Sequence[Flaw]) -> list[Reason]:
    """The reasons; one that misses a value says what the record has there, if the decoding had to leave that out."""
    found = {flaw.canonical: flaw.found for flaw in left_out if flaw.canonical}
    return [Reason(reason.where, found.get(reason.where, reason.what), reason.allowed) for reason in reasons]


def mend_care_record(record: CareRecord, left_out: Sequence[Flaw] = ()) -> tuple[CareRecord, list[Flaw]]:
    """The care record as it is stored, and its flaws. Raises RecordRejectedError with every reason against it.

    `left_out`: as for `mend_order`.
    """
    values, flaws, reasons = _mend(CARE_RULES, record)
    if record.state == "unknown" and not record.marketplace_state:
        flaws.append(_no_status("state"))
    if not record.items and record.state != "cancelled":  # the items of a cancelled record may be gone
        reasons.append(Reason("item_id", "names no order item", "the id of an orderline"))
    items: list[CareItem] = []
    for position, item in enumerate(record.items):
        its_values, its_flaws, its_reasons = _mend(CARE_ITEM_RULES, item, f"items[{position}].")
        items.append(msgspec.structs.replace(item, **its_values) if its_values else item)
        flaws += its_flaws
        reasons += its_reasons
    if items != record.items:
        values["items"] = care_items((item.item_id, item.quantity) for item in items)
    if reasons:
        raise RecordRejectedError(as_found(reasons, left_out))
    return (msgspec.structs.replace(record, **values) if values else record), flaws


def mend_document(document: Document) -> tuple[Document, list[Flaw]]:
    """The document as it is stored, and its flaws: one whose URL can't be used is stored without it."""
    where = f"documents.{document.kind}."
    values, flaws, _ = _mend(DOCUMENT_RULES, document, where)
    if not document.url:
        values["url"] = None
    item_ids = tuple(with_valid_characters(item_id).strip() for item_id in document.item_ids)
    if item_ids != document.item_ids:
        values["item_ids"] = item_ids
    key = with_valid_characters(document.key).strip()
    # A digest is as good a key: it only has to tell documents apart.
    values["key"] = key if len(key) <= MAX_ID_LENGTH else hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    return msgspec.structs.replace(document, **values), flaws


def _mend(
    rules: Mapping[str, Rule[Any]], record: msgspec.Struct, prefix: str = ""
) -> tuple[dict[str, Any], list[Flaw], list[Reason]]:
    """The values to be stored instead of wrong ones, by field; the flaws; and the reasons to reject the record."""
    values: dict[str, Any] = {}
    flaws: list[Flaw] = []
    reasons: list[Reason] = []
    for name, rule in rules.items():
        wrong = rule.wrong(getattr(record, name))
        if wrong is None:
            continue
        if rule.essential and wrong.value is None:
            reasons.append(Reason(prefix + name, wrong.found, wrong.allowed))
        else:
            values[name] = wrong.value
            flaws.append(Flaw(prefix + name, wrong.found, wrong.stored))
    return values, flaws, reasons


def _mend_items(
    items: Sequence[OrderItem], left_out: Collection[str]
) -> tuple[list[OrderItem], list[Flaw], list[Reason]]:
    """The items, their flaws, and the reasons to reject the order. `left_out`: canonical fields that have flaws."""
    mended: dict[str, OrderItem] = {}
    flaws: list[Flaw] = []
    reasons: list[Reason] = []
    for position, item in enumerate(items):
        prefix = f"items[{position}]."
        to_ship = can_ship(item)
        values, item_flaws, item_reasons = _mend(ITEM_RULES if to_ship else ITEM_RULES_NOT_TO_SHIP, item, prefix)
        if item_reasons and not to_ship:
            flaws.append(Flaw(prefix + "item_id", item_reasons[0].what, LEFT_OUT))
            continue
        if prefix + "quantity" in left_out and values.get("quantity") == 0:
            item_flaws = [flaw for flaw in item_flaws if flaw.field != prefix + "quantity"]  # it is a flaw already
        if item.kind is ItemKind.GOODS and _is_discount(item):
            values["kind"] = ItemKind.DISCOUNT
        if item.quantity == 0 and to_ship:
            values["status"] = Status.CANCELLED
            item_flaws.append(Flaw(prefix + "quantity", "is 0", "the item as cancelled"))
        elif item.status is Status.UNKNOWN and not item.marketplace_state:
            item_flaws.append(_no_status(prefix + "status"))
        elif item.refunded and item.status in STATUSES_TO_SHIP:
            item_flaws.append(_refunded_in_part(prefix + "refunded", item))
        one = msgspec.structs.replace(item, **values) if values else item
        if not item_reasons and one.item_id in mended:
            wrong = _wrong_pair(mended[one.item_id], one)
            if wrong.value is None:
                item_reasons.append(Reason(prefix + "item_id", wrong.found, wrong.allowed))
            else:
                item_flaws.append(Flaw(prefix + "item_id", wrong.found, wrong.stored))
                mended[one.item_id] = wrong.value
        elif not item_reasons:
            mended[one.item_id] = one
        flaws += item_flaws
        reasons += item_reasons
    return list(mended.values()), flaws, reasons


def _refunded_in_part(field: str, item: OrderItem) -> Flaw:
    """Pieces that were refunded before the shipping: nothing says whether `quantity` still has them."""
    return Flaw(
        field,
        f"is {item.refunded} pieces of an item that is still to be shipped",
        f"{item.quantity} pieces to be shipped",
    )


def _wrong_pair(first: OrderItem, second: OrderItem) -> Wrong:
    """What is wrong with two items of an order with the same id, and which of them is stored.

    If both are to be shipped, they have to agree on what: nothing shows whether one is an older state of the line, a
    part of it, or another line whose id is wrong, and so what to lock and to ship. Such an order is rejected: it is
    reported, kept and tried again, while a guess would send the buyer the wrong goods.
    """
    allowed = "one SKU and one quantity for each id"
    if _is_to_be_shipped(first) and _is_to_be_shipped(second):
        different = [name for name in ("sku", "quantity") if getattr(first, name) != getattr(second, name)]
        if different:
            return Wrong(f"occurs twice in the order, with another {' and '.join(different)}", allowed)
    if first == second:
        return Wrong("occurs twice in the order", allowed, first, "the item once")
    found = "occurs twice in the order, with other values"
    if _is_to_be_shipped(first) and not _is_to_be_shipped(second):  # a lock too many is seen, one too few oversells
        return Wrong(found, allowed, first, "the item that is to be shipped")
    return Wrong(found, allowed, second, "the item as it is listed last")


def _is_to_be_shipped(item: OrderItem) -> bool:
    """Whether the item's SKU and quantity decide what is locked and shipped."""
    return item.kind is ItemKind.GOODS and item.status not in GONE


def can_ship(item: OrderItem) -> bool:
    """Whether an item is needed to lock stock and to ship: only such an item needs an id, a SKU and a quantity."""
    return _is_to_be_shipped(item) and not _is_discount(item)


def _is_discount(item: OrderItem) -> bool:
    """Whether an item lowers what the buyer pays, as a voucher or a store credit that is listed as a line does."""
    price = item.price
    return price is not None and str(price).startswith("-") and wrong_amount(price) is None and Decimal(price) < 0
