"""Values of another type than a contract's, made right where their meaning is certain.

What is not certain is left to the caller: `1_0` may be 10 or a typing error, and 28/11 a day in November or none.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from orders_sync.marketplaces.kit.json_repair import MAX_NUMBER_LENGTH
from orders_sync.model.times import in_range

NEAR_FUTURE = timedelta(days=366)
"""A number that is a later time, if it is Unix time, is none for certain: 2026112809 may be a day and an hour."""

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_UNIX_TIME = re.compile(r"[0-9]{9,19}(?:\.[0-9]+)?")
_END_OF_DAY = re.compile(r"(\d{4}-?\d\d-?\d\d[T ])24(:?00)(:?00)?(\.0+)?(?![:.\d])")
"""Midnight as the end of a day (ISO 8601)."""
_LEAP_SECOND = re.compile(r"(\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d:?)60(?!\d)")
"""The 61st second of a minute (RFC 3339): PostgreSQL, as POSIX, counts it as the first one of the next minute."""


def has_underscore(value: object) -> bool:
    """Whether a text is a number to Python alone: `1_0`, which msgspec reads as 10 where a Decimal is expected."""
    return isinstance(value, str) and "_" in value


def as_type(target: Any, value: Any) -> Any:
    """The value as JSON of the type `target`, where its meaning is certain; None where it is not."""
    match target:
        case type() if target is str and isinstance(value, int | float) and not isinstance(value, bool):
            return _digits(value)
        case type() if target is bool:
            return _BOOLEANS.get(value) if isinstance(value, str | int | float) else None
        case type() if target is int:
            return _whole(value)
        case type() if target in (float, Decimal) and isinstance(value, str):
            return _number(value)
        case type() if target is datetime and isinstance(value, str):
            return _time(value.strip())
        case type() if target is datetime and isinstance(value, int | float) and not isinstance(value, bool):
            return _unix_time(value)
        case _:
            return None


def _digits(number: int | float) -> str | None:
    if abs(number) >= 10**MAX_NUMBER_LENGTH:
        return None  # no id or phone number; Python also refuses to write thousands of digits
    return str(int(number)) if number == int(number) else str(number)


_BOOLEANS: Mapping[Any, bool] = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= 18:
        if _WHOLE.fullmatch(value.strip()):
            return int(value)
        number = _number(value)
        return int(number) if number is not None and number.is_integer() else None
    return None


def _number(text: str) -> float | None:
    number = float(text) if _NUMBER.fullmatch(text.strip()) else math.inf
    return number if abs(number) < 1e300 else None


def _time(text: str) -> str | None:
    """A time that is written in another way than RFC 3339 says."""
    if _UNIX_TIME.fullmatch(text):
        return _unix_time(float(text))
    later = timedelta()
    if _END_OF_DAY.match(text):
        text, later = _END_OF_DAY.sub(r"\g<1>00\2\3", text), timedelta(days=1)
    elif _LEAP_SECOND.match(text):
        text, later = _LEAP_SECOND.sub(r"\g<1>59", text), timedelta(seconds=1)
    try:
        return (datetime.fromisoformat(text) + later).isoformat()
    except (ValueError, OverflowError):
        return None


def _unix_time(number: float) -> str | None:
    """The time of a number of seconds, milliseconds, microseconds or nanoseconds since 1970.

    No number is a time of this century in two of these units.
    """
    unit = next((unit for unit in (1, 1e3, 1e6, 1e9) if 0 < number < unit * 1e10), None)
    if unit is None:
        return None
    at = datetime.fromtimestamp(number / unit, UTC)
    return at.isoformat() if in_range(at) and at < datetime.now(UTC) + NEAR_FUTURE else None
