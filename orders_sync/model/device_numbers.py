"""The numbers that identify a device: its IMEIs, of which one with two SIMs has two, and its serial number."""

import re
from collections.abc import Iterable

IMEI_DIGITS = 15


def is_imei(text: str) -> bool:
    """Whether a text is an IMEI: 15 digits, the last of which is the check digit (3GPP TS 23.003, annex B: Luhn).

    One digit 15 times is none, although `000000000000000` has a right check digit: people type it for none.
    """
    if len(text) != IMEI_DIGITS or not text.isascii() or not text.isdecimal() or len(set(text)) == 1:
        return False
    digits = list(map(int, text))
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def without_signs(text: str) -> str:
    """A number without what people and labels write between its digits."""
    return _SIGNS.sub("", text)


_SIGNS = re.compile(r"[\s./-]")


def device_number(text: str | None) -> tuple[str] | None:
    """The only number that a contract has, without the spaces around it; None if it is empty."""
    return (text.strip(),) if text and not text.isspace() else None


def device_numbers(texts: Iterable[str | None]) -> tuple[str, ...] | None:
    """The numbers without the spaces around them, each once, and without empty ones; None where none is left."""
    return tuple(dict.fromkeys(text.strip() for text in texts if text and text.strip())) or None
