"""What adapters share to read records: loose ids, JSON kept as it came, errors without values."""

import re

import msgspec

from orders_sync.marketplaces.base import NotFound
from orders_sync.sync.records import Reason


def json_object(body: bytes) -> bytes:
    """The body itself, once it is known to be a JSON object. Raises msgspec.DecodeError."""
    msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return body


def loose_id(raw: bytes, key: str) -> str:
    """The id of a record whose head can't be decoded, if at least that can be read; else an empty text."""
    try:
        value = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get(key)
        return str(msgspec.json.decode(value, type=int | str)) if value is not None else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def path_part(record_id: str) -> str:
    """An id that may stand in a path. Raises NotFound for one that may not: no marketplace has such ids."""
    if not re.fullmatch(r"[\w.-]+", record_id) or record_id in (".", ".."):
        raise NotFound("An id with other characters than letters, digits, '.', '_' and '-' can't be asked for.", 404)
    return record_id


_WHERE = re.compile(r" - at `\$\.?(.*)`$")


def reason_of(error: Exception, marketplace: str) -> Reason:
    """Why a record could not be decoded: msgspec's message names types and the place, never the value."""
    message = str(error)
    found = _WHERE.search(message)
    where = (found.group(1) if found else "") or "record"
    return Reason(where, _WHERE.sub("", message), f"what {marketplace}'s contract says")
