"""Makes JSON that a marketplace wrote wrongly valid, as far as its structure is whole.

Marketplaces write JSON by hand, cut texts in the middle of a character, and copy what buyers paste. The grammar is
RFC 8259. What is repaired: half of a surrogate pair, NUL, raw control characters, unknown escapes, bytes that are not
UTF-8, NaN and Infinity, numbers that are longer or larger than any value needs, and values that are nested too deeply.
A missing bracket, comma or quote is not repaired: what it ends is anybody's guess.
"""

import re
from math import isfinite

import msgspec

from orders_sync.model.records import Flaw, Reason, RecordRejectedError

MAX_DEPTH = 200
"""Levels of nesting that are kept; a deeper value becomes null."""
MAX_NUMBER_LENGTH = 60
"""Characters of a number that is kept; a longer one becomes null."""
MAX_VALUES = 300_000
"""Values of JSON that is repaired or taken apart, which takes some microseconds for each."""
REPLACEMENT = "\ufffd"
"""What replaces a character that can't be stored, by Unicode's own convention."""

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what it can't decode: also for bytes that are not UTF-8, and for deep nesting."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]|[-+\w.]+', re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair: valid
    r"|\\u[0-9a-fA-F]{4}|\\.",
    re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x1f]")
_NOT_A_NUMBER = frozenset(["NaN", "Infinity", "-Infinity", "+Infinity", "nan", "inf", "-inf"])
_WORDS = frozenset(["true", "false", "null"])


class TooManyValuesError(msgspec.DecodeError):
    """JSON that has to be repaired or taken apart, with more than MAX_VALUES. The text goes on after `with …`."""


def check_effort(raw: bytes) -> None:
    """Raises TooManyValuesError for JSON that takes seconds to be repaired or taken apart.

    Lists, objects and commas are counted, and escapes, which take a quarter of the time; those in texts too, since a
    count of single bytes takes no time.
    """
    if raw.count(b"[") + raw.count(b"{") + raw.count(b",") + raw.count(b"\\") // 4 > MAX_VALUES:
        raise TooManyValuesError(f"more than {MAX_VALUES:,} values, and not as its contract says")


def repair(raw: bytes) -> tuple[bytes, list[Flaw]]:
    """Valid JSON with the content of `raw`, and what was wrong with it; `raw` itself if nothing was.

    Raises RecordRejectedError if the structure is broken, so that the content is not certain.
    """
    if is_valid(raw) and b"\\u0000" not in raw:
        return raw, []
    try:
        check_effort(raw)
    except TooManyValuesError as error:
        raise RecordRejectedError([Reason("record", f"has {error}", f"at most {MAX_VALUES:,}")]) from None
    repair_ = _Repair()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode(errors="replace")
        repair_.found.add("contains bytes that are not UTF-8")
    repaired = repair_.document(text).encode()
    if not is_valid(repaired):
        raise RecordRejectedError([Reason("record", "is not valid JSON", "JSON (RFC 8259)")])
    return repaired, [Flaw("record", what, _STORED[what]) for what in sorted(repair_.found)]


def cut(text: str) -> str:
    """JSON with null for what `repair` would not keep: values nested too deeply, and numbers that are too long."""
    return _Repair().document(text)


_STORED = {
    "contains bytes that are not UTF-8": "U+FFFD in their place",
    "contains half of a surrogate pair": "U+FFFD in its place",
    "contains the character NUL": "U+FFFD in its place",
    "contains raw control characters": "the characters, escaped",
    "contains unknown escapes": "a backslash and the character",
    "contains NaN or Infinity": "null",
    "contains a number that is too long": "null",
    "contains a number that is too large": "null",
    "contains a value that is not JSON": "null",
    "is nested too deeply": "null below that depth",
}
"""What is stored instead, for everything that is repaired."""


def is_valid(raw: bytes) -> bool:
    """Whether these bytes are JSON that can be decoded."""
    try:
        msgspec.json.decode(raw)
    except DECODE_ERRORS:
        return False
    return True


class _Repair:
    """One repair: what it found so far."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def document(self, text: str) -> str:
        parts: list[str] = []
        depth = position = 0
        for token in _TOKEN.finditer(text):
            between = text[position : token.start()]
            position = token.end()
            value = token.group()
            opens = value in "[{"
            depth += opens
            if depth <= MAX_DEPTH:
                parts += (between, self._value(value))
            elif opens and depth == MAX_DEPTH + 1:
                parts += (between, "null")
                self.found.add("is nested too deeply")
            depth -= value in "]}"
        return "".join(parts) + text[position:]

    def _value(self, value: str) -> str:
        if value in "[]{}":
            return value
        return self._string(value) if value[0] == '"' else self._word(value)

    def _string(self, literal: str) -> str:
        if _CONTROL.search(literal):
            self.found.add("contains the character NUL" if "\x00" in literal else "contains raw control characters")
            literal = _CONTROL.sub(_escaped_control, literal)
        return _ESCAPE.sub(self._escape, literal) if "\\" in literal else literal

    def _escape(self, match: re.Match[str]) -> str:
        escape = match.group()
        if len(escape) == 12 or (len(escape) == 2 and escape[1] in '"\\/bfnrt'):
            return escape
        if len(escape) == 2:
            self.found.add("contains unknown escapes")
            return "\\" + escape
        code = int(escape[2:], 16)
        if code and not 0xD800 <= code <= 0xDFFF:
            return escape
        self.found.add("contains half of a surrogate pair" if code else "contains the character NUL")
        return REPLACEMENT

    def _word(self, word: str) -> str:
        is_number = _NUMBER.fullmatch(word) is not None
        if word in _WORDS:
            return word
        if is_number and len(word) <= MAX_NUMBER_LENGTH:
            if isfinite(float(word)):
                return word
            self.found.add("contains a number that is too large")
            return "null"
        if word in _NOT_A_NUMBER:
            self.found.add("contains NaN or Infinity")
        else:
            self.found.add("contains a number that is too long" if is_number else "contains a value that is not JSON")
        return "null"


def _escaped_control(match: re.Match[str]) -> str:
    return REPLACEMENT if match.group() == "\x00" else f"\\u{ord(match.group()):04x}"
