"""The record check: the rules that a record must satisfy before it is stored.

`ORDER_RULES` and `ITEM_RULES` map each field of an order that has a rule to that rule. A rule has two forms that agree:
one checks a field's values of a whole batch and only says whether all are valid, which is fast; the other checks one
value and lists what is wrong with it. A record can break several rules; it is rejected with all the reasons.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from orders_sync.model.currencies import CURRENCIES
from orders_sync.model.records import Amount, CareRecord, Order, OrderItem, Reason, RecordRejectedError
from orders_sync.sync.columnar import OrderColumns

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MAX_QUANTITY = 10_000
AMOUNT_LIMIT = Decimal(10) ** 12
MAX_DECIMALS = 6
MAX_ID_LENGTH = 200
_CURRENCIES_OR_NONE = CURRENCIES | {None}
#: The form of nearly all amounts. It satisfies every rule of amounts, so that no further check is needed.
_USUAL_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,4})?")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?")


Problem = tuple[str, str]
"""What is wrong with a value, and what is allowed."""
_NONE: Sequence[Problem] = ()


# -- one value: what is wrong with it


def _id_problems(value: str) -> Sequence[Problem]:
    return _text_problems(value, "the marketplace's id")


def _sku_problems(value: str) -> Sequence[Problem]:
    return _text_problems(value, "the SKU of the listing")


def _text_problems(value: str, required: str) -> Sequence[Problem]:
    if not value or not value.strip():
        return [("is missing", required)]
    if len(value) > MAX_ID_LENGTH:
        return [(f"is {len(value)} characters long", f"at most {MAX_ID_LENGTH}")]
    return _NONE


def _time_problems(value: datetime | None) -> Sequence[Problem]:
    if value is None:
        return _NONE
    if value.tzinfo is None:
        return [("has no time zone", "an RFC 3339 time with zone")]
    if not EARLIEST <= value < LATEST:
        return [(f"lies in the year {value.year}", "a time from 2000 to 2099")]
    return _NONE


def _required_time_problems(value: datetime | None) -> Sequence[Problem]:
    return [("is missing", "a time with zone")] if value is None else _time_problems(value)


def _currency_problems(value: str | None) -> Sequence[Problem]:
    if value in _CURRENCIES_OR_NONE:
        return _NONE
    shown = value if value and len(value) <= 8 and value.isprintable() else "not a code"
    return [(f"is {shown!r}", "an ISO 4217 code, e.g. EUR")]


def _amount_problems(amount: Amount | None) -> Sequence[Problem]:
    return _NONE if amount is None else _amount_text_problems(str(amount))


@lru_cache(maxsize=10_000)  # by text: equal Decimals can have different numbers of decimals
def _amount_text_problems(amount: str) -> Sequence[Problem]:
    if _USUAL_AMOUNT.fullmatch(amount):
        return _NONE
    if not _NUMBER.fullmatch(amount):
        return [("is not a number", "a decimal amount, e.g. 12.50")]
    value = Decimal(amount)
    problems: list[Problem] = []
    if value < 0:
        problems.append(("is negative", "zero or more"))
    if value >= AMOUNT_LIMIT:
        problems.append(("is too large", "less than 10^12"))
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_DECIMALS:
        problems.append((f"has {-exponent} decimals", f"at most {MAX_DECIMALS}"))
    return problems


def _quantity_problems(value: int) -> Sequence[Problem]:
    return _NONE if 1 <= value <= MAX_QUANTITY else [(f"is {value}", f"a whole number from 1 to {MAX_QUANTITY}")]


def _items_problems(items: Sequence[OrderItem] | None) -> Sequence[Problem]:
    return _NONE if items is None or items else [("the order has no items", "one item or more")]


# -- columns: whether all values of a field are valid


def _are_texts(column: Sequence[str]) -> bool:
    return all(map(str.strip, column)) and max(map(len, column), default=1) <= MAX_ID_LENGTH


def _are_times(column: Sequence[datetime | None]) -> bool:
    times = [at for at in column if at is not None]
    try:
        return not times or (min(times) >= EARLIEST and max(times) < LATEST)
    except TypeError:  # Python compares no time without a zone with one that has one.
        return False


def _are_required_times(column: Sequence[datetime | None]) -> bool:
    return None not in column and _are_times(column)


def _are_currencies(column: Sequence[str | None]) -> bool:
    return set(column) <= _CURRENCIES_OR_NONE


def _are_amounts(column: Sequence[str | None]) -> bool:
    # By the cached function itself: a batch has few different amounts twice, and each call counts.
    return not any(map(_amount_text_problems, {amount for amount in column if amount is not None}))


def _are_quantities(column: Sequence[int]) -> bool:
    return all(1 <= quantity <= MAX_QUANTITY for quantity in set(column))


def _are_item_lists(column: Sequence[Sequence[OrderItem] | None]) -> bool:
    return all(items is None or items for items in column)


# -- the tables of rules


@dataclass(frozen=True)
class Rule:
    """What a field's values must satisfy, in two forms that agree."""

    problems: Callable[[Any], Sequence[Problem]]
    """Of one value: what is wrong with it; empty if it is valid."""
    all_valid: Callable[[Sequence[Any]], bool]
    """Of the field's values of a batch (amounts as texts): whether all are valid."""


_ID = Rule(_id_problems, _are_texts)
_SKU = Rule(_sku_problems, _are_texts)
_TIME = Rule(_time_problems, _are_times)
_REQUIRED_TIME = Rule(_required_time_problems, _are_required_times)
_CURRENCY = Rule(_currency_problems, _are_currencies)
_AMOUNT = Rule(_amount_problems, _are_amounts)
_QUANTITY = Rule(_quantity_problems, _are_quantities)
_ITEMS = Rule(_items_problems, _are_item_lists)

ORDER_RULES: Mapping[str, Rule] = {
    "order_id": _ID,
    "created_at": _REQUIRED_TIME,
    "modified_at": _TIME,
    "paid_at": _TIME,
    "shipped_at": _TIME,
    "dispatch_due_at": _TIME,
    "currency": _CURRENCY,
    "items_total": _AMOUNT,
    "shipping_total": _AMOUNT,
    "sales_taxes": _AMOUNT,
    "items": _ITEMS,
}
"""The rules of `Order`, by field, in the order in which reasons are given."""
ITEM_RULES: Mapping[str, Rule] = {
    "item_id": _ID,
    "sku": _SKU,
    "quantity": _QUANTITY,
    "created_at": _TIME,
    "currency": _CURRENCY,
    "price": _AMOUNT,
    "shipping_price": _AMOUNT,
    "fee": _AMOUNT,
}
"""The rules of `OrderItem`, likewise. One more concerns several items: each needs an id of its own."""


def batch_is_valid(fields: OrderColumns) -> bool:
    """Whether all orders of a batch satisfy every rule, and no two of their items have the same id.

    True exactly if `check_order` rejects none of the orders and no item is in two of them.
    """
    orders, items = fields.orders, fields.items
    return (
        all(rule.all_valid(orders[name]) for name, rule in ORDER_RULES.items())
        and all(rule.all_valid(items[name]) for name, rule in ITEM_RULES.items())
        and len(set(items["item_id"])) == len(items["item_id"])
    )


def check_order(order: Order) -> None:
    """Raises RecordRejectedError with every reason why `order` can't be stored."""
    reasons = _reasons(ORDER_RULES, order)
    item_ids: set[str] = set()
    for position, item in enumerate(order.items or ()):
        reasons += _reasons(ITEM_RULES, item, prefix=f"items[{position}].")
        if item.item_id in item_ids:
            reasons.append(Reason(f"items[{position}].item_id", "occurs twice in the order", "an id of its own"))
        item_ids.add(item.item_id)
    if reasons:
        raise RecordRejectedError(reasons)


def check_care_record(record: CareRecord) -> None:
    """Raises RecordRejectedError with every reason why `record` can't be stored."""
    reasons = _reasons({"care_id": _ID}, record)
    if not record.item_ids:
        reasons.append(Reason("item_id", "names no order item", "the id of an orderline"))
    for position, item_id in enumerate(record.item_ids):
        reasons += [Reason(f"item_ids[{position}]", *problem) for problem in _id_problems(item_id)]
    reasons += _reasons({"opened_at": _TIME, "modified_at": _TIME, "closed_at": _TIME}, record)
    if reasons:
        raise RecordRejectedError(reasons)


def _reasons(rules: Mapping[str, Rule], record: msgspec.Struct, prefix: str = "") -> list[Reason]:
    reasons: list[Reason] = []
    for name, rule in rules.items():
        for what, allowed in rule.problems(getattr(record, name)):
            reasons.append(Reason(prefix + name, what, allowed))
    return reasons
