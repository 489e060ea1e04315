"""The credentials that this process knows, and texts without them.

A marketplace's error text may echo a credential. Whatever resolves a credential notes it here, and each text that
leaves the process passes `masked`: texts of errors (model/errors.py), log records, texts for the UI and the terminal
(model/control_characters.py), problems of passes (model/pass_summary.py), and error answers that are kept as evidence.
"""

import base64
import binascii
import html
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

MASK = "***"
MIN_CHARACTERS = 8
"""A shorter credential is not masked: it may be a part of any word. No marketplace issues such a short one."""
WORD_CHARACTERS = 15
"""A credential of at most so many characters is masked only where no letter or digit is next to it."""
SHORTEST_BEGINNING = 16
"""A text may end in the middle of a credential: so many characters of its beginning are masked as well."""
COMPARED_CHARACTERS = 32
"""Of a longer credential, so many characters are compared in any encoding; what follows them is masked with them."""
MAX_RENEWED = 20
"""So many access tokens, which are renewed again and again, are known at most: the newest ones."""

_SCHEMES = ("apikey", "basic", "bearer", "plain", "token")
"""What a credential may begin with as the value of a header. Other words are a part of it, as of a long password."""
_ESCAPE = re.compile(r"[%\\\\&]")
_STANDARD_BASE64 = str.maketrans("-_", "+/")
_BASE64 = "[A-Za-z0-9+/_-]"
_LETTER_OR_DIGIT = r"[^\W_]"
_ESCAPE_BEFORE = "|".join(
    rf"(?<={escape})"
    for escape in (
        "%[0-9a-f]{2}", "%25[0-9a-f]{2}", r"\\[nrtbfav]", r"\\x[0-9a-f]{2}", r"\\u[0-9a-f]{4}", "&#x[0-9a-f]{2}",
        r"\x1b\[[0-9]m", r"\x1b\[[0-9]{2}m", r"\x1b\[[0-9];[0-9]{2}m",
    )
)  # fmt: skip
"""Escapes whose last letter or digit is no part of the word that follows: of URLs, JSON, HTML and terminals."""


class KnownCredentials:
    """Credentials, and the pattern that finds them. Several threads may use it at once."""

    def __init__(self) -> None:
        self._values: dict[str, bool] = {}
        """Each credential, and whether it is an access token."""
        self._needles: tuple[str, ...] = ()
        """What a text has that holds one of them without escapes, in lower case."""
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def note(self, value: str, *, is_renewed: bool = False) -> None:
        """Notes a credential, and each secret that is a part of it, e.g. the password of `user:password` in base64."""
        new = [part for part in dict.fromkeys(_parts(value)) if len(part) >= MIN_CHARACTERS]
        with self._lock:
            if all(part in self._values for part in new):
                return
            self._values |= dict.fromkeys(new, is_renewed)
            for oldest in [each for each, renewed in self._values.items() if renewed][:-MAX_RENEWED]:
                del self._values[oldest]
            self._needles = tuple(needle for each in self._values for needle in _needles(each))
            self._pattern = None

    def masked(self, text: str) -> str:
        """The text with `***` for each known credential, as it is or encoded.

        Found are: the value, URL-encoded, with the escapes of JSON, Python and HTML, and in base64 (standard or
        URL-safe), also as a part of what is encoded. The case of letters is no matter: a host is read in lower case.
        """
        if len(text) < MIN_CHARACTERS or not self._may_be_in(text):
            return text
        with self._lock:
            if self._pattern is None:  # it takes some 30 ms, which a pass without errors need not spend
                longest_first = sorted(self._values, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(_pattern_of, longest_first)), re.IGNORECASE)
            pattern = self._pattern
        return pattern.sub(MASK, text)

    def _may_be_in(self, text: str) -> bool:
        """Whether a text has a credential, or escapes that may hide one."""
        if not self._values:
            return False
        if _ESCAPE.search(text):
            return True
        lower = text.lower().translate(_STANDARD_BASE64)
        return any(needle in lower for needle in self._needles)


_KNOWN = KnownCredentials()


def note_credential(value: str, *, is_renewed: bool = False) -> None:
    """Notes a credential that this process uses: from now on, it is masked in each text that leaves the process.

    `is_renewed`: it is an access token, which others follow.
    """
    _KNOWN.note(value, is_renewed=is_renewed)
    _mask_logs_and_tracebacks()


def note_password_of(url: str) -> None:
    """Notes the password of a URL, e.g. of a database, if it has one: before the host, or as `?password=`."""
    login = url.partition("://")[2].partition("?")[0].rpartition("@")[0]
    passwords = [login.partition(":")[2], *re.findall(r"[?&]password=([^&#]*)", url)]
    for password in filter(None, passwords):
        note_credential(unquote(password))


def masked(text: str) -> str:
    """The text without the credentials that this process knows; see `KnownCredentials.masked`."""
    return _KNOWN.masked(text)


def masked_bytes(content: bytes) -> bytes:
    """The content of an answer without the credentials that this process knows, whatever its encoding."""
    return _KNOWN.masked(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _parts(value: str) -> Iterator[str]:
    """A credential and the secrets in it: `Basic …` has a token, and `user:password`, also in base64, a password."""
    value = value.strip()
    if not value:
        return
    yield value
    scheme, *token = value.split(maxsplit=1)
    if scheme.lower() in _SCHEMES and token:
        yield from _parts(token[0])
    elif ":" in value:
        yield value.partition(":")[2]
    elif (login := _in_base64(value)) is not None:
        yield from _parts(login)


def _in_base64(value: str) -> str | None:
    """The `user:password` that a value is in base64, as Back Market's tokens are; None if it is something else."""
    try:
        text = base64.b64decode(
            value + "=" * (-len(value) % 4), altchars=b"-_" if "-" in value or "_" in value else None
        )
        login = text.decode("ascii")
    except (ValueError, binascii.Error):
        return None
    return login if ":" in login and login.isprintable() else None


def _pattern_of(value: str) -> str:
    compared, rest = value[:COMPARED_CHARACTERS], value[COMPARED_CHARACTERS:]
    end, more = "", f"{_BASE64}{{0,3}}"
    if rest:
        forms = (rest, quote(rest, safe=""), json.dumps(rest)[1:-1], html.escape(rest))
        longest = 12 * len(rest)
        known = "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
        end = rf"(?:{known}|[^\s\"'<>]{{0,{longest}}})"
        more = f"(?:{_BASE64}|%2[bf]){{0,{longest}}}"
    plain = _or_its_beginning(list(map(_forms_of, re.findall(r"\\+|[^\\]", compared))), end)
    if len(value) <= WORD_CHARACTERS:
        plain = f"(?:(?<!{_LETTER_OR_DIGIT})|{_ESCAPE_BEFORE}){plain}(?!{_LETTER_OR_DIGIT})"
    cores = (_or_its_beginning(list(map(_any_base64, core))) for core in _base64_cores(compared))
    return "|".join([plain, *(rf"{_BASE64}{{0,3}}{core}{more}(?:=|%(?:25)*3d){{0,2}}" for core in cores)])


def _or_its_beginning(characters: list[str], end: str = "") -> str:
    """A pattern for these characters, or for at least the first SHORTEST_BEGINNING of them: a text may be cut off."""
    first, others = characters[:SHORTEST_BEGINNING], characters[SHORTEST_BEGINNING:]
    for character in reversed(others):
        end = f"(?:{character}{end})?"
    return "".join(first) + end


def _any_base64(character: str) -> str:
    """A pattern for a character of a text in base64: standard or URL-safe, also in a URL or in JSON."""
    return {"+": r"(?:[+-]|%(?:25)*2b)", "/": r"(?:\\{0,4}/|_|%(?:25)*2f)"}.get(character, character)


def _needles(value: str) -> Iterator[str]:
    compared = value[:COMPARED_CHARACTERS]
    for needle in (compared, compared.replace(" ", "+"), *_base64_cores(compared)):
        yield needle[:SHORTEST_BEGINNING].lower().translate(_STANDARD_BASE64)


def _base64_cores(value: str) -> Iterator[str]:
    """A value in base64 after any number of bytes: the characters that depend on the value alone."""
    content = value.encode("utf-8", "surrogatepass")
    for before, begin in ((0, 0), (1, 2), (2, 3)):  # three bytes are four characters
        end = 8 * (before + len(content)) // 6
        yield base64.b64encode(bytes(before) + content).decode()[begin:end]


def _forms_of(text: str) -> str:
    """A pattern for a text as it is, or as URLs, JSON, Python or HTML write it.

    `text`: one character, or some backslashes, which any program may double.
    """
    forms = [rf"\\{{{len(text)},{2 * len(text)}}}" if text[0] == "\\" else rf"\\{{0,4}}{re.escape(text)}"]
    content = text.encode("utf-8", "surrogatepass")
    forms.append("".join(f"%(?:25)*{byte:02x}" for byte in content))
    forms.append("".join(rf"\\{{1,4}}x{byte:02x}" for byte in content))
    units = text.encode("utf-16-be", "surrogatepass").hex(" ", 2).split()
    forms.append("".join(rf"\\{{1,4}}u{unit}" for unit in units))
    forms.append("".join(rf"&(?:amp;)*#(?:0*{ord(each)}|x0*{ord(each):x});?" for each in text))
    if not text.isascii():
        forms.append(rf"\\{{1,4}}(?:U{ord(text):08x}|x{ord(text):02x})")
    if (escaped := html.escape(text)) != text:
        forms.append(re.escape(escaped))
    if text == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"


_hooks_lock = threading.Lock()
_hooked: list[object] = []
"""The record factory that was set; it stays for the life of the process."""


def _mask_logs_and_tracebacks() -> None:
    """From now on, no log record of any library, and no traceback that ends the process, has a known credential."""
    with _hooks_lock:
        if _hooked:
            return
        make_record, show_error = logging.getLogRecordFactory(), sys.excepthook

        def make_masked_record(*args: Any, **options: Any) -> logging.LogRecord:
            record = make_record(*args, **options)
            _mask_record(record)
            return record

        def show_masked_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            text = "".join(traceback.format_exception(kind, error, trace))
            if masked(text) == text:
                show_error(kind, error, trace)
            else:
                sys.stderr.write(masked(text))

        logging.setLogRecordFactory(make_masked_record)
        sys.excepthook = show_masked_error
        _hooked.append(make_masked_record)


def _mask_record(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # a wrong call: logging reports it
        return
    if (safe := masked(message)) != message:
        record.msg, record.args = safe, ()
    if record.exc_info:
        text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (safe := masked(text)) != text:
            record.exc_info, record.exc_text = None, safe
