"""The record check: what a record must satisfy before it is stored.

Every rule adds a Reason, so that one look tells everything that is wrong with a record.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from orders_sync.model.records import Amount, CareRecord, Order, OrderItem, Reason, RecordRejectedError
from orders_sync.sync.columnar import ITEM_AMOUNTS, ORDER_AMOUNTS, ORDER_TIMES, OrderColumns

#: ISO 4217, active codes of currencies in circulation.
CURRENCIES = frozenset(
    [
        "AED",
        "AFN",
        "ALL",
        "AMD",
        "ANG",
        "AOA",
        "ARS",
        "AUD",
        "AWG",
        "AZN",
        "BAM",
        "BBD",
        "BDT",
        "BGN",
        "BHD",
        "BIF",
        "BMD",
        "BND",
        "BOB",
        "BRL",
        "BSD",
        "BTN",
        "BWP",
        "BYN",
        "BZD",
        "CAD",
        "CDF",
        "CHF",
        "CLP",
        "CNY",
        "COP",
        "CRC",
        "CUP",
        "CVE",
        "CZK",
        "DJF",
        "DKK",
        "DOP",
        "DZD",
        "EGP",
        "ERN",
        "ETB",
        "EUR",
        "FJD",
        "FKP",
        "GBP",
        "GEL",
        "GHS",
        "GIP",
        "GMD",
        "GNF",
        "GTQ",
        "GYD",
        "HKD",
        "HNL",
        "HTG",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "IQD",
        "IRR",
        "ISK",
        "JMD",
        "JOD",
        "JPY",
        "KES",
        "KGS",
        "KHR",
        "KMF",
        "KPW",
        "KRW",
        "KWD",
        "KYD",
        "KZT",
        "LAK",
        "LBP",
        "LKR",
        "LRD",
        "LSL",
        "LYD",
        "MAD",
        "MDL",
        "MGA",
        "MKD",
        "MMK",
        "MNT",
        "MOP",
        "MRU",
        "MUR",
        "MVR",
        "MWK",
        "MXN",
        "MYR",
        "MZN",
        "NAD",
        "NGN",
        "NIO",
        "NOK",
        "NPR",
        "NZD",
        "OMR",
        "PAB",
        "PEN",
        "PGK",
        "PHP",
        "PKR",
        "PLN",
        "PYG",
        "QAR",
        "RON",
        "RSD",
        "RUB",
        "RWF",
        "SAR",
        "SBD",
        "SCR",
        "SDG",
        "SEK",
        "SGD",
        "SHP",
        "SLE",
        "SOS",
        "SRD",
        "SSP",
        "STN",
        "SVC",
        "SYP",
        "SZL",
        "THB",
        "TJS",
        "TMT",
        "TND",
        "TOP",
        "TRY",
        "TTD",
        "TWD",
        "TZS",
        "UAH",
        "UGX",
        "USD",
        "UYU",
        "UZS",
        "VES",
        "VND",
        "VUV",
        "WST",
        "XAF",
        "XCD",
        "XOF",
        "XPF",
        "YER",
        "ZAR",
        "ZMW",
        "ZWG",
    ]
)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MAX_QUANTITY = 10_000
AMOUNT_LIMIT = Decimal(10) ** 12
MAX_DECIMALS = 6
MAX_ID_LENGTH = 200
#: Amounts that need no further look: they satisfy every rule below.
_USUAL_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,4})?")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?")


def batch_is_valid(fields: OrderColumns) -> bool:
    """Whether a batch satisfies every rule at a glance, as nearly all do; `check_order` tells what is wrong, if at all.

    No item stands in two of its orders either.
    """
    orders, items = fields.orders, fields.items
    return (
        _are_ids(orders["order_id"])
        and _are_ids(items["item_id"])
        and _are_ids(items["sku"])
        and len(set(items["item_id"])) == len(items["item_id"])
        and all(lines is None or lines for lines in orders["items"])
        and None not in orders["created_at"]
        and all(_are_times(orders[name]) for name in ORDER_TIMES)
        and _are_times(items["created_at"])
        and all(1 <= quantity <= MAX_QUANTITY for quantity in set(items["quantity"]))
        and {*orders["currency"], *items["currency"]} - {None} <= CURRENCIES
        and all(_are_usual(orders[name]) for name in ORDER_AMOUNTS)
        and all(_are_usual(items[name]) for name in ITEM_AMOUNTS)
    )


def _are_ids(values: Sequence[str]) -> bool:
    return all(map(str.strip, values)) and max(map(len, values), default=1) <= MAX_ID_LENGTH


def _are_times(values: Sequence[datetime | None]) -> bool:
    told = [at for at in values if at is not None]
    try:
        return not told or (min(told) >= EARLIEST and max(told) < LATEST)
    except TypeError:  # Python compares no time without a zone with one that has one.
        return False


def _are_usual(amounts: Sequence[str | None]) -> bool:
    return all(_is_usual(amount) for amount in set(amounts) if amount is not None)


def check_order(order: Order) -> None:
    """Raises Rejected with every reason why `order` can't be stored."""
    reasons: list[Reason] = []
    _check_head(reasons, order)
    if order.items is not None:
        if not order.items:
            reasons.append(Reason("items", "the order has no items", "one item or more"))
        seen: set[str] = set()
        for position, item in enumerate(order.items):
            _check_item(reasons, f"items[{position}]", item)
            if item.item_id in seen:
                reasons.append(Reason(f"items[{position}].item_id", "stands twice in the order", "an id of its own"))
            seen.add(item.item_id)
    if reasons:
        raise RecordRejectedError(reasons)


def _check_head(reasons: list[Reason], order: Order) -> None:
    _id(reasons, "order_id", order.order_id)
    if order.created_at is None:
        reasons.append(Reason("created_at", "is missing", "a time with zone"))
    _time(reasons, "created_at", order.created_at)
    _time(reasons, "modified_at", order.modified_at)
    _time(reasons, "paid_at", order.paid_at)
    _time(reasons, "shipped_at", order.shipped_at)
    _time(reasons, "dispatch_due_at", order.dispatch_due_at)
    _currency(reasons, "currency", order.currency)
    _amount(reasons, "items_total", order.items_total)
    _amount(reasons, "shipping_total", order.shipping_total)
    _amount(reasons, "sales_taxes", order.sales_taxes)


def _check_item(reasons: list[Reason], where: str, item: OrderItem) -> None:
    _id(reasons, f"{where}.item_id", item.item_id)
    sku = item.sku
    if not sku or not sku.strip():
        reasons.append(Reason(f"{where}.sku", "is missing", "the SKU of the listing"))
    elif len(sku) > MAX_ID_LENGTH:
        reasons.append(Reason(f"{where}.sku", f"is {len(sku)} characters long", f"at most {MAX_ID_LENGTH}"))
    if not 1 <= item.quantity <= MAX_QUANTITY:
        reasons.append(Reason(f"{where}.quantity", f"is {item.quantity}", f"a whole number from 1 to {MAX_QUANTITY}"))
    _time(reasons, f"{where}.created_at", item.created_at)
    _currency(reasons, f"{where}.currency", item.currency)
    _amount(reasons, f"{where}.price", item.price)
    _amount(reasons, f"{where}.shipping_price", item.shipping_price)
    _amount(reasons, f"{where}.fee", item.fee)


def check_care_record(record: CareRecord) -> None:
    """Raises Rejected with every reason why `record` can't be stored."""
    reasons: list[Reason] = []
    _id(reasons, "care_id", record.care_id)
    if not record.item_ids:
        reasons.append(Reason("item_id", "names no order item", "the id of an orderline"))
    for position, item_id in enumerate(record.item_ids):
        _id(reasons, f"item_ids[{position}]", item_id)
    _time(reasons, "opened_at", record.opened_at)
    _time(reasons, "modified_at", record.modified_at)
    _time(reasons, "closed_at", record.closed_at)
    if reasons:
        raise RecordRejectedError(reasons)


@lru_cache(maxsize=10_000)
def _is_usual(amount: str) -> bool:
    return _USUAL_AMOUNT.fullmatch(amount) is not None


def _id(reasons: list[Reason], where: str, value: str) -> None:
    if not value or not value.strip():
        reasons.append(Reason(where, "is missing", "the marketplace's id"))
    elif len(value) > MAX_ID_LENGTH:
        reasons.append(Reason(where, f"is {len(value)} characters long", f"at most {MAX_ID_LENGTH}"))


def _time(reasons: list[Reason], where: str, value: datetime | None) -> None:
    if value is None or (value.tzinfo is not None and EARLIEST <= value < LATEST):
        return
    if value.tzinfo is None:
        reasons.append(Reason(where, "has no time zone", "an RFC 3339 time with zone"))
    else:
        reasons.append(Reason(where, f"lies in the year {value.year}", "a time from 2000 to 2099"))


def _currency(reasons: list[Reason], where: str, value: str | None) -> None:
    if value is not None and value not in CURRENCIES:
        shown = value if len(value) <= 8 and value.isprintable() else "not a code"
        reasons.append(Reason(where, f"is {shown!r}", "an ISO 4217 code, e.g. EUR"))


def _amount(reasons: list[Reason], where: str, told: Amount | None) -> None:
    if told is None or _is_usual(str(told)):
        return
    if not _NUMBER.fullmatch(str(told)):
        reasons.append(Reason(where, "is not a number", "a decimal amount, e.g. 12.50"))
        return
    value = Decimal(told)
    if value < 0:
        reasons.append(Reason(where, "is negative", "zero or more"))
    if value >= AMOUNT_LIMIT:
        reasons.append(Reason(where, "is too large", "less than 10^12"))
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_DECIMALS:
        reasons.append(Reason(where, f"has {-exponent} decimals", f"at most {MAX_DECIMALS}"))
