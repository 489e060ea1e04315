"""The published codes of a marketplace's error answers: all that is reported of them."""

import re
from collections.abc import Mapping
from typing import cast

import msgspec

from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS
from orders_sync.model.known_credentials import masked


class _Error(msgspec.Struct, gc=False):
    """The published codes of one error of any of the envelopes. Its texts may be about a buyer, and are not read."""

    code: object = None
    type: object = None


class _ErrorAnswer(_Error, gc=False):
    error: object = None
    errors: object = None
    message: object = None
    """Read only where it is a code: Mirakl's error codes are such messages."""


_CODE = re.compile(r"(?!.*\d{7})(?!(.*[_.:/#-])?[A-Z][a-z]+\d*([_.:/#-]|$))[A-Za-z/][A-Za-z0-9_.:/#-]{0,99}|\d{1,6}")
"""What a published code looks like: nothing with a space or an at sign, no number as long as a telephone's, and no
single word with a capital, as names are: `invalid_token`, `NotFound` and `/errors/expired` are codes, `Doe` is not."""
_MESSAGE_CODE = re.compile(r"[A-Z]+(_[A-Z]+)+")
"""What a code as a message looks like: words in capitals, e.g. ORDER_INVALID_STATE, which no name of a buyer is."""
_MAX_CODES = 3


def error_code(body: bytes) -> str:
    """The published codes of an error answer, in one line; none of its texts, which may be about a buyer.

    Reads four envelopes: RFC 9457 (type), {"error": {code}}, {"errors": [{code}]} and {"message": code}. Back Market's
    contract has the first three; refurbed's google.rpc.Status has its code at the top; Mirakl's is the message.
    """
    if body.lstrip()[:1] == b"<":
        return "an HTML page"
    try:
        document = msgspec.json.decode(body, type=_ErrorAnswer)
    except DECODE_ERRORS:
        return "no readable JSON"
    listed = cast("list[object]", document.errors) if isinstance(document.errors, list) else [document.error]  # pyright: ignore[reportUnknownMemberType]
    envelopes = [document, *(_as_error(each) for each in listed)]
    values = [value for error in envelopes for value in (error.code, error.type)]
    texts = [masked(str(value)) for value in values if isinstance(value, str | int)]
    codes = [text for text in texts if _CODE.fullmatch(text)]  # no code has the asterisks of what was masked
    if isinstance(document.message, str) and _MESSAGE_CODE.fullmatch(masked(document.message)):
        codes.append(document.message)
    return " ".join(list(dict.fromkeys(codes))[:_MAX_CODES]) or "no code given"


def _as_error(value: object) -> _Error:
    try:
        return msgspec.convert(value, _Error)
    except msgspec.ValidationError:
        return _Error()


_RAY = re.compile(r"[0-9a-f]{16}(-[A-Z]{3})?")


def firewall_ray(headers: Mapping[str, str]) -> str:
    """Cloudflare's id of a blocked request, e.g. 931354450813d142-CDG, for the marketplace's support; else `unknown`.

    What has another form may be anything, and goes into no log.
    """
    ray = headers.get("cf-ray", "")
    return ray if _RAY.fullmatch(ray) else "unknown"
