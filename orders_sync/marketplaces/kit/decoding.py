"""What adapters share to decode lists and records: pages, the head of a record, reasons without the record's values."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeGuard, TypeVar, cast

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import RecordNotFoundError
from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS, REPLACEMENT, check_effort, cut, repair
from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.model.records import CareItem, Reason, RecordRejectedError
from orders_sync.model.times import EARLIEST, LATEST, in_range

Struct = TypeVar("Struct")

MAX_ID_POSITION = 200_000
"""Bytes of a broken record in which its id is searched: the search takes some microseconds for each value."""


def check_field_order(struct: type[msgspec.Struct], fields: tuple[str, ...]) -> None:
    """Raises TypeError unless `fields` are the fields of `struct`, in their order.

    The last fields may be left out if they have defaults, e.g. numbers of pieces that the marketplace does not give.

    Adapters construct records by position, which takes an eighth of the time that keywords take. Each calls this at
    import with the order that its lines follow: once a field is added or moved, it can't put values into wrong fields.
    """
    defined = struct.__struct_fields__
    required = len(defined) - len(struct.__struct_defaults__)
    if fields != defined[: len(fields)] or len(fields) < required:
        raise TypeError(
            f"the fields of {struct.__name__} are {', '.join(defined)}, but this module constructs it "
            f"with {', '.join(fields)}: adapt its lines, in this order"
        )


class _Head(Protocol):
    """The fields of a record that show whether it is new or changed."""

    record_id: int | str
    created_at: datetime | None
    modified_at: datetime | None


def record_reader(
    version: bytes, *, record_id: str, created: str, modified: str | None, prefix: str = ""
) -> Callable[[bytes], RawRecord]:
    """A function that makes a RawRecord of a record's JSON.

    `record_id`, `created` and `modified` are the contract's names of the id and the two times (`modified`: None if
    there is no such time). `version` enters the fingerprint: a new one makes every record count as changed. `prefix`
    stands before each id, so that two lists with equal ids can become one. A head that is not as the contract says is
    read leniently; the id is empty if it is unusable, and never that of another object in the record. Spaces around it
    are left out. A time without a zone or out of range is left out: it shows neither which version is newer nor whether
    a filter was ignored.
    """
    fields: list[Any] = [("record_id", int | str), ("created_at", datetime | None, None)]
    fields.append(("modified_at", datetime | None, None))
    names = {"record_id": record_id, "created_at": created, "modified_at": modified or "(there is none)"}
    struct = msgspec.defstruct("Head", fields, rename=names)
    decode = cast(Callable[[bytes], _Head], msgspec.json.Decoder(struct).decode)

    def record(raw: bytes) -> RawRecord:
        hashed = fingerprint(raw, version)
        try:
            head = decode(raw)
        except DECODE_ERRORS:
            try:
                head = decode_leniently(decode, struct, raw).value
            except RecordRejectedError:
                found = _id_before_the_break(raw, record_id).strip()
                return RawRecord(prefix + found if found else "", raw, hashed)
            if REPLACEMENT in str(head.record_id):  # not the marketplace's id any more
                return RawRecord("", raw, hashed)
        own_id = str(head.record_id).strip()
        if not own_id:
            return RawRecord("", raw, hashed)
        created_at, modified_at = _comparable(head.created_at), _comparable(head.modified_at)
        return RawRecord(prefix + own_id, raw, hashed, created_at, modified_at)

    return record


def fingerprint(raw: bytes, version: bytes) -> bytes:
    """A hash of a raw record, 16 bytes. `version` is the adapter's: a new one makes every record count as changed."""
    return hashlib.blake2b(raw, digest_size=16, person=version).digest()


def _comparable(at: datetime | None) -> datetime | None:
    if at is None or at.tzinfo is None:
        return None
    return at if _CERTAINLY_EARLIER < at.year < _CERTAINLY_LATER or in_range(at) else None


#: Years in which a time is in range: a call less for nearly all records.
_CERTAINLY_EARLIER, _CERTAINLY_LATER = EARLIEST.year, LATEST.year - 1


def _id_before_the_break(raw: bytes, key: str) -> str:
    """The id of a record that can't be decoded, so that its rejection can be found by it; empty if it is not certain.

    Certain is what stands before the place where the JSON is broken, as a value of the outermost object: other ids are
    those of the record's lines, or of another record.
    """
    text = cut(raw[:MAX_ID_POSITION].decode(errors="replace")).lstrip(_BLANKS)
    position = 0
    while text[position : position + 1] == ("," if position else "{"):
        try:
            name, position = _read_value(text, _after_blanks(text, position + 1))
            position = _after_blanks(text, position)
            if not isinstance(name, str) or text[position : position + 1] != ":":
                return ""
            value, position = _read_value(text, _after_blanks(text, position + 1))
        except ValueError:
            return ""
        if name == key:
            is_usable = isinstance(value, int | str) and not isinstance(value, bool) and REPLACEMENT not in str(value)
            return str(value) if is_usable else ""
        position = _after_blanks(text, position)
    return ""


_BLANKS = " \t\r\n"
_read_value = cast(Callable[[str, int], tuple[Any, int]], json.JSONDecoder().raw_decode)


def _after_blanks(text: str, position: int) -> int:
    """The position of the first character that is no white space of JSON."""
    while position < len(text) and text[position] in _BLANKS:
        position += 1
    return position


def decoded(decode: Callable[[bytes], Struct], raw: bytes, marketplace: str) -> Struct:
    """A record decoded by the struct of its contract. Raises RecordRejectedError if it is not as the contract says.

    `decode`: of a msgspec decoder. `marketplace`: its name for people, for the reason.
    """
    try:
        return decode(raw)
    except DECODE_ERRORS as error:
        raise RecordRejectedError([reason_of(error, marketplace)]) from None


def is_set(at: datetime | None) -> TypeGuard[datetime]:
    """Whether a time is set, for an adapter that decides something by it, e.g. whether a parcel was cancelled.

    Raises ValueError for one that is out of range: it may stand for no time at all. The record is then read leniently,
    which leaves the time out and notes the flaw.
    """
    if at is None:
        return False
    if not in_range(at):
        raise ValueError("a time is out of range")
    return True


def latest(times: Iterable[datetime | None]) -> datetime | None:
    """The latest of some times; None if there is none. One without a zone is compared as a time in UTC.

    The result has no zone if one of them has none: the record check then reads it as UTC, and notes the flaw. Raises
    ValueError, as `is_set` does, if one is out of range.
    """
    known = [at for at in times if is_set(at)]
    try:
        return max(known, default=None)
    except TypeError:  # some have a zone, some have none
        return max(at if at.tzinfo is None else _without_zone(at) for at in known)


def _without_zone(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def care_items(lines: Iterable[tuple[str, int | None]]) -> list[CareItem]:
    """The items that a care record is about, by item id and pieces: each item once, with the sum of its pieces."""
    pieces: dict[str, int | None] = {}
    for item_id, quantity in lines:
        if item_id in pieces:
            known = pieces[item_id]
            quantity = None if known is None or quantity is None else known + quantity
        pieces[item_id] = quantity
    return [CareItem(item_id, quantity) for item_id, quantity in pieces.items()]


def rfc3339(at: datetime) -> str:
    """A time in UTC to the second, e.g. 2026-03-01T10:00:00Z, as most contracts have it in queries."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def json_object(body: bytes) -> bytes:
    """The body as it is. Raises msgspec.DecodeError if it is not a JSON object, not even one that can be repaired."""
    _decode_object(body)
    return body


def repairing(decode: Callable[[bytes], Struct]) -> Callable[[bytes], Struct]:
    """A decoder that repairs what it can't decode. Raises msgspec.DecodeError if the repaired JSON does not help."""

    def decode_or_repair(body: bytes) -> Struct:
        try:
            return decode(body)
        except DECODE_ERRORS as error:
            check_effort(body)
            try:
                return decode(repair(body)[0])
            except RecordRejectedError:
                raise msgspec.DecodeError(str(error)) from None

    return decode_or_repair


_decode_object = repairing(msgspec.json.Decoder(dict[str, msgspec.Raw]).decode)


def path_part(record_id: str) -> str:
    """The id, safe to be a part of a URL's path. Raises RecordNotFoundError for other ids: no marketplace has such."""
    if not re.fullmatch(r"[\w.-]+", record_id) or record_id in (".", ".."):
        raise RecordNotFoundError(
            "An id has other characters than letters, digits, '.', '_' and '-', so no request was sent.", 404
        )
    return record_id


#: The end of msgspec's message: the path to the wrong value.
_WHERE = re.compile(r" - at `\$\.?(.*)`$")


def reason_of(error: Exception, marketplace: str) -> Reason:
    """The reason for the rejection of a record that can't be decoded.

    `error`: of msgspec, whose messages name types and the place, never the record's values.
    """
    message = str(error)
    found = _WHERE.search(message)
    where = (found.group(1) if found else "") or "record"
    return Reason(where, _WHERE.sub("", message), f"what {marketplace}'s contract says")
