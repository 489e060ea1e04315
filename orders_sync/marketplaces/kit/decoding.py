"""What adapters share to read records: loose ids, JSON kept as it came, errors without values."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import RecordNotFoundError
from orders_sync.marketplaces.kit.paging import fingerprint
from orders_sync.model.records import Reason, RecordRejectedError

Struct = TypeVar("Struct")


class _Head(Protocol):
    """What tells whether a record is new."""

    record_id: int | str
    created_at: datetime | None
    modified_at: datetime | None


def record_reader(
    version: bytes, *, record_id: str, created: str, modified: str | None, prefix: str = ""
) -> Callable[[bytes], RawRecord]:
    """Reads of a record what tells whether it is new, by the contract's names for its id and times.

    One that can't be decoded keeps its id, if at least that can be read. `version`: of what is hashed; a new one makes
    every record count as changed. `modified`: None where there is no such time. `prefix`: of the ids, where lists with
    ids of their own become one.
    """
    fields: list[Any] = [("record_id", int | str), ("created_at", datetime | None, None)]
    fields.append(("modified_at", datetime | None, None))
    names = {"record_id": record_id, "created_at": created, "modified_at": modified or "(there is none)"}
    decode = cast(
        Callable[[bytes], _Head], msgspec.json.Decoder(msgspec.defstruct("Head", fields, rename=names)).decode
    )

    def record(raw: bytes) -> RawRecord:
        mark = fingerprint(raw, version)
        try:
            told = decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return RawRecord(prefix + loose_id(raw, record_id), raw, mark)
        return RawRecord(f"{prefix}{told.record_id}", raw, mark, told.created_at, told.modified_at)

    return record


def decoded(decode: Callable[[bytes], Struct], raw: bytes, marketplace: str) -> Struct:
    """A record decoded by its contract. Raises Rejected with the reason where it is not as that says."""
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordRejectedError([reason_of(error, marketplace)]) from None


def rfc3339(at: datetime) -> str:
    """A time in UTC to the second, as most contracts want it in queries."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
        raise RecordNotFoundError(
            "An id with other characters than letters, digits, '.', '_' and '-' can't be asked for.", 404
        )
    return record_id


_WHERE = re.compile(r" - at `\$\.?(.*)`$")


def reason_of(error: Exception, marketplace: str) -> Reason:
    """Why a record could not be decoded: msgspec's message names types and the place, never the value."""
    message = str(error)
    found = _WHERE.search(message)
    where = (found.group(1) if found else "") or "record"
    return Reason(where, _WHERE.sub("", message), f"what {marketplace}'s contract says")
