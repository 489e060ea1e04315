"""The rules of each field of a record: which values are valid, and what is stored instead of a wrong one.

`ORDER_RULES` and `ITEM_RULES` map each field of an order that has a rule to that rule. Few fields are essential: what
is needed to lock stock for an order and to ship it. Without a usable value there, `validate` rejects the record. Any
other wrong value is a flaw: it is made right where the right value is certain, and unknown where it is not.

A rule has two forms: one checks a field's values of a whole batch and only says whether all are valid, which is fast;
the other looks at one value. They agree but for characters that PostgreSQL can't store: the first form does not look
for these, since `Batch.build` finds them in all columns at once.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar, cast

from msgspec.structs import astuple

from orders_sync.model.currencies import CURRENCIES
from orders_sync.model.device_numbers import IMEI_DIGITS, is_imei, without_signs
from orders_sync.model.keys import MAX_ID_LENGTH, UNSTORABLE, with_valid_characters
from orders_sync.model.records import Address, Amount, Shipment
from orders_sync.model.times import ALLOWED, EARLIEST, LATEST, in_range

MAX_QUANTITY = 2**31 - 1
"""The largest number that PostgreSQL's integer holds."""
AMOUNT_LIMIT = Decimal(10) ** 12
MAX_DECIMALS = 14
"""Decimals of an amount that are kept: Medusa publishes taxes with so many. Further ones are noise of binary floats."""
MAX_TEXT_LENGTH = 10_000
MAX_URL_LENGTH = 2_048
_CURRENCIES_OR_NONE = CURRENCIES | {None}
#: The form of nearly all amounts. It satisfies every rule of amounts, so that no further check is needed.
_USUAL_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,4})?")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?")
_HTTP = ("http://", "https://")
_URL = re.compile(r"https?://[^\s\x00-\x1f\ud800-\udfff]+", re.IGNORECASE)
_UNSTORABLE = "contains a character that can't be stored"


class Wrong(NamedTuple):
    """What is wrong with a value, what is allowed, and what is stored instead."""

    found: str
    allowed: str
    value: Any = None
    """The value to store instead; None: unknown."""
    stored: str = "unknown"


# -- one value: what is wrong with it


def _wrong_id(value: str) -> Wrong | None:
    return _wrong_key(value, "the marketplace's id")


def _wrong_sku(value: str) -> Wrong | None:
    return _wrong_key(value, "the SKU of the listing")


def _wrong_key(value: str, required: str) -> Wrong | None:
    key = value.strip()
    if not key:
        return Wrong("is missing", required)
    if len(key) > MAX_ID_LENGTH:
        return Wrong(f"is {len(key)} characters long", f"at most {MAX_ID_LENGTH}")
    if UNSTORABLE.search(key):
        return Wrong(_UNSTORABLE, required)
    return Wrong("has spaces around it", f"{required} alone", key, "without them") if key != value else None


def _wrong_time(value: datetime | None) -> Wrong | None:
    if value is None:
        return None
    if not in_range(value):
        return Wrong(f"lies in the year {value.year}", ALLOWED)
    if value.tzinfo is None:
        return Wrong("has no time zone", "an RFC 3339 time with zone", value.replace(tzinfo=UTC), "as a time in UTC")
    return None


def _wrong_shipments(value: tuple[Shipment, ...] | None) -> Wrong | None:
    """An odd time is left out: the pieces then count as those of which the marketplace does not say when they left."""
    if value is None:
        return None
    found = [(each, _wrong_shipment(each)) for each in value]
    wrong = [each for _, each in found if each is not None]
    if not wrong:
        return None
    kept = [each if odd is None else odd.value for each, odd in found if odd is None or odd.value is not None]
    return wrong[0]._replace(value=tuple(kept) or None)


def _wrong_shipment(value: Shipment) -> Wrong | None:
    if _wrong_quantity(value.pieces) is not None:
        return Wrong("has no usable number of pieces", "a whole number of pieces and a time")
    wrong = _wrong_time(value.at)
    return None if wrong is None else wrong._replace(value=wrong.value and Shipment(value.pieces, wrong.value))


def _wrong_required_time(value: datetime | None) -> Wrong | None:
    return Wrong("is missing", "a time with zone") if value is None else _wrong_time(value)


def _wrong_currency(value: str | None) -> Wrong | None:
    if value in _CURRENCIES_OR_NONE:
        return None
    assert value is not None
    allowed = "an ISO 4217 code, e.g. EUR"
    shown = repr(value) if 0 < len(value) <= 8 and value.isascii() and value.isalnum() else "no code"
    code = value.strip().upper()
    return Wrong(f"is {shown}", allowed, code, code) if code in CURRENCIES else Wrong(f"is {shown}", allowed)


def wrong_amount(amount: Amount | None) -> Wrong | None:
    return None if amount is None else _wrong_amount_text(str(amount))


def _wrong_total(amount: Amount | None) -> Wrong | None:
    wrong = wrong_amount(amount)
    if wrong is None and amount is not None and str(amount).startswith("-") and Decimal(amount) < 0:
        return Wrong("is negative", "zero or more", amount, "as it is")
    return wrong


@lru_cache(maxsize=10_000)  # by text: equal Decimals can have different numbers of decimals
def _wrong_amount_text(amount: str) -> Wrong | None:
    if _USUAL_AMOUNT.fullmatch(amount):
        return None
    if not _NUMBER.fullmatch(amount):
        return Wrong("is not a number", "a decimal amount, e.g. 12.50")
    value = Decimal(amount)
    if abs(value) >= AMOUNT_LIMIT:
        return Wrong("is too large", "less than 10^12")
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_DECIMALS:
        return _rounded(value, -exponent)
    return None


def _rounded(value: Decimal, decimals: int) -> Wrong:
    found, allowed = f"has {decimals} decimals", f"at most {MAX_DECIMALS}"
    try:
        rounded = value.quantize(Decimal(1).scaleb(-MAX_DECIMALS), ROUND_HALF_EVEN)
    except InvalidOperation:  # more digits than Decimal's context keeps
        return Wrong(found, allowed)
    return Wrong(found, allowed, rounded.normalize() + 0, f"rounded to {MAX_DECIMALS} decimals")


def _wrong_text(value: str | None) -> Wrong | None:
    if value is None:
        return None
    text = with_valid_characters(value)
    if len(text) > MAX_TEXT_LENGTH:
        return Wrong(
            f"is {len(text)} characters long", f"at most {MAX_TEXT_LENGTH}", text[:MAX_TEXT_LENGTH],
            f"its first {MAX_TEXT_LENGTH} characters",
        )  # fmt: skip
    return None if text == value else _unstorable(text)


def _unstorable(mended: Any) -> Wrong:
    return Wrong(_UNSTORABLE, "text", mended, "U+FFFD in its place")


def _wrong_address(value: Address) -> Wrong | None:
    parts = astuple(value)
    mended = [part and with_valid_characters(part) for part in parts]
    return None if mended == list(parts) else _unstorable(Address(*mended))


def wrong_url(value: str | None) -> Wrong | None:
    if not value:
        return None
    if len(value) > MAX_URL_LENGTH:
        return Wrong(f"is {len(value)} characters long", f"at most {MAX_URL_LENGTH}")
    return None if _URL.fullmatch(value) else Wrong("is no URL", "an http or https URL")


def _wrong_quantity(value: int | None) -> Wrong | None:
    allowed = "a whole number from 1"
    if value is None:
        return Wrong("is missing", allowed)
    return None if 0 <= value <= MAX_QUANTITY else Wrong(f"is {value}", allowed)


def _wrong_pieces(value: int | None) -> Wrong | None:
    return None if value is None else _wrong_quantity(value)


def _wrong_imeis(value: tuple[str, ...] | None) -> Wrong | None:
    return _wrong_one_of(value, _wrong_imei)


def _wrong_serial_numbers(value: tuple[str, ...] | None) -> Wrong | None:
    return _wrong_one_of(value, _wrong_key_text)


def _wrong_one_of(value: tuple[str, ...] | None, wrong: Callable[[str], Wrong | None]) -> Wrong | None:
    """What is wrong with one of several texts; to be stored are all of them, each made right.

    First come those that stay as they are: what is wrong with them is seen in what is stored, too.
    """
    found = [(text, wrong(text)) for text in value or ()]
    all_odd = [(each.value != text, each) for text, each in found if each is not None]
    if not all_odd:
        return None
    odd = min(all_odd, key=itemgetter(0))[1]
    kept = [text if each is None else each.value for text, each in found if each is None or each.value is not None]
    return odd._replace(value=tuple(dict.fromkeys(kept)) or None)


def _wrong_imei(value: str) -> Wrong | None:
    """One that is none is kept as it is: it is what the marketplace has, and what a person has to correct there."""
    if is_imei(value):
        return None
    allowed = f"{IMEI_DIGITS} digits, of which the last is the check digit"
    digits = without_signs(value)
    if is_imei(digits):
        return Wrong("has spaces or signs between its digits", allowed, digits, "without them")
    if not (len(digits) == IMEI_DIGITS and digits.isascii() and digits.isdecimal()):
        wrong = _wrong_key_text(value)
        return wrong or Wrong(f"is no {IMEI_DIGITS} digits", allowed, value, "as it is")
    found = "has a wrong check digit" if len(set(digits)) > 1 else "is one digit, repeated"
    return Wrong(found, allowed, value, "as it is")


def _wrong_key_text(value: str) -> Wrong | None:
    if len(value) > MAX_ID_LENGTH:
        return Wrong(f"is {len(value)} characters long", f"at most {MAX_ID_LENGTH}")
    text = with_valid_characters(value)
    return None if text == value else _unstorable(text)


# -- columns: whether all values of a field are valid


def _are_keys(column: Collection[str]) -> bool:
    keys = list(map(str.strip, column))
    return all(keys) and keys == list(column) and max(map(len, keys), default=1) <= MAX_ID_LENGTH


def _are_skus(column: Sequence[str]) -> bool:
    return _are_keys(set(column))


def _are_times(column: Sequence[datetime | None]) -> bool:
    times = [at for at in column if at is not None]
    try:
        return not times or (min(times) >= EARLIEST and max(times) < LATEST)
    except TypeError:  # Python compares no time without a zone with one that has one.
        return False


def _are_required_times(column: Sequence[datetime | None]) -> bool:
    return None not in column and _are_times(column)


def _are_currencies(column: Sequence[str | None]) -> bool:
    # Mostly they are all the same; a comparison takes half the time of a hash.
    if column and column.count(column[0]) == len(column):
        return column[0] in _CURRENCIES_OR_NONE
    return set(column) <= _CURRENCIES_OR_NONE


def _are_amounts(column: Sequence[str | None]) -> bool:
    # By the cached function itself: few amounts of a batch are equal, and each call counts.
    return not any(map(_wrong_amount_text, _different(column)))


def _are_totals(column: Sequence[str | None]) -> bool:
    amounts = _different(column)
    return not any(map(_wrong_amount_text, amounts)) and not any(map(_wrong_total, negative(amounts)))


def _different(column: Sequence[str | None]) -> set[str]:
    values = set(column)
    values.discard(None)
    return cast(set[str], values)


def negative(amounts: set[str]) -> list[str]:
    return [amount for amount in amounts if amount[:1] == "-"]


def _are_texts(column: Sequence[str | None]) -> bool:
    return max(map(len, filter(None, column)), default=0) <= MAX_TEXT_LENGTH


def _are_urls(column: Sequence[str | None]) -> bool:
    urls = set(filter(None, column))
    joined = "".join(urls)
    if joined.isascii() and joined.isprintable() and " " not in joined:  # a regular expression takes longer
        return max(map(len, urls), default=0) <= MAX_URL_LENGTH and all(url.startswith(_HTTP) for url in urls)
    return not any(map(wrong_url, urls))


def _are_addresses(_column: Sequence[Address]) -> bool:
    return True  # only their characters can be wrong


def _are_quantities(column: Sequence[int | None]) -> bool:
    return not any(map(_wrong_quantity, set(column)))


def _are_shipments(column: Sequence[tuple[Shipment, ...] | None]) -> bool:
    return not any(map(_wrong_shipments, set(column)))


def _are_imeis(column: Sequence[tuple[str, ...] | None]) -> bool:
    return not any(map(_wrong_imeis, filter(None, column)))


def _are_serial_numbers(column: Sequence[tuple[str, ...] | None]) -> bool:
    return not any(map(_wrong_serial_numbers, filter(None, column)))


def _are_pieces(column: Sequence[int | None]) -> bool:
    return not any(map(_wrong_pieces, set(column)))


# -- the tables of rules

T = TypeVar("T")


@dataclass(frozen=True)
class Rule(Generic[T]):
    """What a field's values must satisfy, in two forms that agree."""

    wrong: Callable[[T], Wrong | None]
    """Of one value: what is wrong with it; None if it is valid."""
    all_valid: Callable[[Sequence[Any]], bool]
    """Of the field's values of a batch (amounts as texts): whether all are valid, but for their characters."""
    essential: bool = False
    """Whether a record without a usable value is rejected."""


_ID = Rule(_wrong_id, _are_keys, essential=True)
_SKU = Rule(_wrong_sku, _are_skus, essential=True)
_QUANTITY = Rule(_wrong_quantity, _are_quantities, essential=True)
_SHIPMENTS = Rule(_wrong_shipments, _are_shipments)
_IMEIS = Rule(_wrong_imeis, _are_imeis)
_SERIAL_NUMBERS = Rule(_wrong_serial_numbers, _are_serial_numbers)
_PIECES = Rule(_wrong_pieces, _are_pieces)
_REQUIRED_TIME = Rule(_wrong_required_time, _are_required_times, essential=True)
_TIME = Rule(_wrong_time, _are_times)
_CURRENCY = Rule(_wrong_currency, _are_currencies)
_AMOUNT = Rule(wrong_amount, _are_amounts)
_TOTAL = Rule(_wrong_total, _are_totals)
TEXT = Rule(_wrong_text, _are_texts)
_URL_RULE = Rule(wrong_url, _are_urls)
_ADDRESS = Rule(_wrong_address, _are_addresses)

ORDER_RULES: Mapping[str, Rule[Any]] = {
    "order_id": _ID,
    "created_at": _REQUIRED_TIME,
    "modified_at": _TIME,
    "paid_at": _TIME,
    "shipped_at": _TIME,
    "dispatch_due_at": _TIME,
    "currency": _CURRENCY,
    "items_total": _TOTAL,
    "shipping_total": _TOTAL,
    "sales_taxes": _TOTAL,
    "marketplace_state": TEXT,
    "country_code": TEXT,
    "payment_method": TEXT,
    "carrier": TEXT,
    "tracking_number": TEXT,
    "tracking_url": _URL_RULE,
    "delivery_note_url": _URL_RULE,
    "label_url": _URL_RULE,
    "buyer_email": TEXT,
    "shipping": _ADDRESS,
    "billing": _ADDRESS,
}
"""The rules of `Order`, by field, in the order in which reasons are given."""
ITEM_RULES: Mapping[str, Rule[Any]] = {
    "item_id": _ID,
    "sku": _SKU,
    "quantity": _QUANTITY,
    "created_at": _TIME,
    "currency": _CURRENCY,
    "price": _AMOUNT,
    "shipping_price": _AMOUNT,
    "fee": _AMOUNT,
    "marketplace_state": TEXT,
    "product": TEXT,
    "listing_id": TEXT,
    "imeis": _IMEIS,
    "serial_numbers": _SERIAL_NUMBERS,
    "shipments": _SHIPMENTS,
    "cancelled": _PIECES,
    "shipped": _PIECES,
    "refunded": _PIECES,
    "returned": _PIECES,
}
"""The rules of `OrderItem`, likewise, for goods that can still ship. Further rules concern several fields or items: see
`validate.flawed_orders`."""
CARE_RULES: Mapping[str, Rule[Any]] = {
    "care_id": _ID, "kind": TEXT, "state": TEXT, "marketplace_state": TEXT, "opened_at": _TIME, "modified_at": _TIME,
    "closed_at": _TIME,
}  # fmt: skip

DOCUMENT_RULES: Mapping[str, Rule[Any]] = {
    "url": _URL_RULE, "carrier": TEXT, "tracking_number": TEXT, "expires_at": _TIME,
    "cancelled_at": _TIME, "shipped_at": _TIME,
}  # fmt: skip
"""The rules of `Document`, which are checked one by one."""
CARE_ITEM_RULES: Mapping[str, Rule[Any]] = {"item_id": _ID, "quantity": _PIECES}


def _wrong_optional_sku(value: str) -> Wrong | None:
    wrong = _wrong_sku(value) if value.strip() else None
    return wrong._replace(value="") if wrong is not None and wrong.value is None else wrong


def _wrong_optional_quantity(value: int | None) -> Wrong | None:
    wrong = _wrong_quantity(value)
    return None if wrong is None else wrong._replace(value=0, stored="0, or as it was stored before")


ITEM_RULES_NOT_TO_SHIP: Mapping[str, Rule[Any]] = {
    **ITEM_RULES,
    "sku": Rule(_wrong_optional_sku, _are_skus),
    "quantity": Rule(_wrong_optional_quantity, _are_quantities),
}
"""The rules of items that can't ship: what is no goods, and goods that are cancelled. They need no SKU and no quantity,
and one without an id is left out."""
