"""Reads a record that is not as its contract says: each wrong value is made right, or becomes unknown.

A record is decoded strictly first, which is fast. Only one that fails is read here: its JSON is repaired
(`json_repair`), and each value that has another type than the contract's is converted where the meaning is certain
("1" is 1, 33612345678 is a phone number), and left out where it is not. A time that is out of range is left out too.
Each such value is a flaw. Only a required value that can't be read rejects the record.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from orders_sync.marketplaces.kit.conversions import as_type, has_underscore
from orders_sync.marketplaces.kit.json_repair import repair
from orders_sync.marketplaces.kit.states import as_published
from orders_sync.model.records import Flaw, Reason, RecordRejectedError
from orders_sync.model.times import ALLOWED, in_range

T = TypeVar("T")

CREATED_AT, ITEMS, ITEM_ID, SKU, QUANTITY, CARE_ITEM = (
    msgspec.Meta(extra={"canonical": name})
    for name in ("created_at", "items", "items[].item_id", "items[].sku", "items[].quantity", "item_id")
)
"""Metadata of the contract's fields without which a record may have to be rejected: `Annotated[str | None, SKU]`.

If such a value can't be read, its flaw names the canonical field. So the rejection can say what the record has there,
not that it is missing.
"""


LEFT_OUT = "the order without the item"
"""What is stored of an order with an item that can't be read, and is not needed to ship it: of its flaw."""


class Decoded(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A decoded record."""

    value: T
    raw: bytes
    """The record's JSON to be stored: as received, or repaired."""
    flaws: tuple[Flaw, ...] = ()


def decode_leniently(decode: Callable[[bytes], T], struct: type[msgspec.Struct] | None, raw: bytes) -> Decoded[T]:
    """The decoded record; strictly if that is possible. Raises RecordRejectedError if it can't be decoded at all.

    `decode`: of an adapter, strict. `struct`: the contract's form of the record, which `decode` reads; None if it reads
    the JSON in its own way. Any exception of `decode` is a reason to reject the record, never to stop its list.
    """
    try:
        value = decode(raw)
    except Exception:
        return _lenient(decode, struct, raw)
    is_plain = raw.isascii() and b"\\" not in raw  # most records; it spares a call
    if (not is_plain and _needs_repair(raw)) or (
        struct is not None and _has_amount(struct) and _may_have_underscores(raw)
    ):
        return _lenient(decode, struct, raw)
    return Decoded(value, raw)


def _needs_repair(raw: bytes) -> bool:
    # A search for one byte is four times as fast, and most records have none. msgspec does not look into texts that the
    # struct leaves out, and the json module lets halves of surrogate pairs pass.
    if b"\\" in raw and (b"\\u0000" in raw or (b"\\u" in raw and _HALF_OF_A_PAIR.search(raw) is not None)):
        return True
    if raw.isascii():
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


#: PostgreSQL stores one as JSON, and can't read any value of such a record afterwards.
_HALF_OF_A_PAIR = re.compile(
    rb"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])", re.DOTALL
)
#: A literal first: the search goes from underscore to underscore, most of which are in names.
_DIGITS_AND_UNDERSCORE = re.compile(rb'_[0-9."_](?<=[-+0-9."_]_[0-9."_])')
_NUMBER_AND_UNDERSCORE = re.compile(rb'"\s*[-+0-9.eE]*_[-+0-9_.eE]*\s*"')


def _may_have_underscores(raw: bytes) -> bool:
    """Whether a text of the record looks like `1_0`, which msgspec reads as the Decimal 10."""
    return bool(_DIGITS_AND_UNDERSCORE.search(raw)) and bool(_NUMBER_AND_UNDERSCORE.search(raw))


@cache
def _has_amount(struct: type[msgspec.Struct]) -> bool:
    """Whether a record of this form, or an object within it, has a Decimal."""
    found: list[type[msgspec.Struct]] = [struct]
    for one in found:  # it grows meanwhile
        for field in msgspec.structs.fields(one):
            shape = shape_of(field.type)
            while shape.of_list is not None:
                shape = shape_of(shape.of_list)
            if Decimal in shape.members:
                return True
            if shape.struct is not None and shape.struct not in found:
                found.append(shape.struct)
    return False


def _lenient(decode: Callable[[bytes], T], struct: type[msgspec.Struct] | None, raw: bytes) -> Decoded[T]:
    repaired, flaws = repair(raw)
    fitted = repaired
    if struct is not None:
        try:
            document, wrong = fit(msgspec.json.decode(repaired), struct)
        except UnfitError as problem:
            raise RecordRejectedError([Reason(problem.path or "record", problem.found, problem.allowed)]) from None
        flaws = [*flaws, *wrong]
        fitted = _encoded(document) if wrong else repaired
    try:
        return Decoded(decode(fitted), repaired, tuple(flaws))
    except RecordRejectedError:
        raise
    except Exception as error:
        reason = Reason(
            "record", f"can't be decoded: the adapter raised {type(error).__name__}", "a record it can read"
        )
        raise RecordRejectedError([reason]) from error


def _encoded(document: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(document)
    except OverflowError:  # msgspec reads whole numbers of more than 64 bits, and does not write them
        return json.dumps(document, ensure_ascii=False).encode()


class UnfitError(Exception):
    """A value that can't be read, and is required."""

    def __init__(self, path: str, found: str, allowed: str, *, in_list: bool = False) -> None:
        super().__init__(f"{path}: {found}")
        self.path = path
        self.found = found
        self.allowed = allowed
        self.in_list = in_list
        """Whether an element of a list is concerned that the list is not whole without, e.g. an orderline."""


def fit(value: Any, struct: type[msgspec.Struct], path: str = "") -> tuple[dict[str, Any], list[Flaw]]:
    """A decoded JSON object in the form of `struct`, and its flaws. Keys that the struct does not have stay.

    Raises UnfitError if a required value can't be read.
    """
    if not isinstance(value, dict):
        raise UnfitError(path, f"is {_kind(value)}", "an object")
    document = dict(cast(dict[str, Any], value))
    flaws: list[Flaw] = []
    for name, field in fields_of(struct).items():
        where = f"{path}.{name}" if path else name
        if name not in document:
            if field.required:
                raise UnfitError(where, "is missing", _name(field.type))
            continue
        try:
            document[name], wrong = _fit_value(document[name], field.type, where)
        except UnfitError as problem:
            if field.required or problem.in_list:
                raise
            # Left out, not null: the field's default stands for it.
            left_out = document.pop(name)
            wrong = [_unknown(problem, field.type, left_out)]
        flaws += wrong
    return document, flaws


def _unknown(problem: UnfitError, hint: Any, value: Any) -> Flaw:
    """The flaw of a value that is left out."""
    canonical = canonical_of(hint)
    if not canonical:
        return Flaw(problem.path, problem.found, "unknown")
    for position in re.findall(r"\[\d+\]", problem.path):
        canonical = canonical.replace("[]", position, 1)
    shown = f": '{value.strip()[:40]}'" if isinstance(value, str) and _LIKE_A_TIME.fullmatch(value) else ""
    return Flaw(problem.path, problem.found + shown, "unknown", canonical)


def canonical_of(hint: Any) -> str:
    """The canonical field that a field's metadata names; empty if they name none."""
    return str(metadata_of(hint, "canonical") or "")


def metadata_of(hint: Any, name: str) -> Any:
    """What a field's metadata say by this name; None if they say nothing."""
    return next((meta.extra[name] for meta in getattr(hint, "__metadata__", ()) if name in (meta.extra or ())), None)


_LIKE_A_TIME = re.compile(r"\s*[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}[0-9TZtz :.,+/-]*")
"""A text that may be shown: the date of an order, and nothing about its buyer."""


@cache
def fields_of(struct: type[msgspec.Struct]) -> Mapping[str, FieldInfo]:
    """The fields of a struct by their names in JSON."""
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


class Shape(NamedTuple):
    """What a type allows."""

    hint: Any
    members: tuple[Any, ...]
    """The types that a value may have, each without its metadata."""
    struct: type[msgspec.Struct] | None
    """The one for objects."""
    of_list: Any
    """The type of the elements of a list; None if it can't be a list."""
    known: frozenset[str] | None
    """All values that it can have, if its metadata say so, as those of a state do (`states.published`)."""


_SHAPES: dict[int, Shape] = {}
"""By the type's id, since not every type with metadata can be a key. Each keeps its type, so that no id comes again."""


def shape_of(hint: Any) -> Shape:
    """What a type allows."""
    shape = _SHAPES.get(id(hint))
    if shape is None:
        members = members_of(hint)
        structs = (member for member in members if isinstance(member, type) and issubclass(member, msgspec.Struct))
        lists = (get_args(member)[0] for member in members if get_origin(member) is list)
        shape = _SHAPES[id(hint)] = Shape(
            hint, members, next(structs, None), next(lists, None), metadata_of(hint, "known")
        )
    return shape


def members_of(hint: Any) -> tuple[Any, ...]:
    """The types that a field may have, each without its metadata."""
    if get_origin(hint) is Annotated:
        return members_of(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return tuple(member for one in get_args(hint) for member in members_of(one))
    return (hint,)


def _fit_value(value: Any, hint: Any, path: str) -> tuple[Any, list[Flaw]]:
    shape = shape_of(hint)
    if shape.struct is not None and isinstance(value, dict):
        return fit(cast(Any, value), shape.struct, path)
    if shape.of_list is not None and isinstance(value, list):
        return _fit_list(cast(list[Any], value), shape.of_list, path, canonical_of(hint) == "items")
    fitted, flaws = _converted(value, hint, path)
    if datetime in shape.members and isinstance(fitted, str):
        at = msgspec.convert(fitted, datetime)
        if not in_range(at):
            raise UnfitError(path, f"lies in the year {at.year}", ALLOWED)
    state = as_published(fitted, hint) if isinstance(fitted, str) else fitted
    if state != fitted:
        return state, [*flaws, Flaw(path, "is a state that is not written as published", str(state))]
    return fitted, flaws


def _converted(value: Any, hint: Any, path: str) -> tuple[Any, list[Flaw]]:
    """The value, as another type if need be, and the flaw then. Raises UnfitError where its meaning is not certain."""
    members = shape_of(hint).members
    if _is_valid(value, hint) and not (Decimal in members and has_underscore(value)):
        return value, []
    for member in members:
        converted = as_type(member, value)
        if converted is not None and _is_valid(converted, hint):
            return converted, [Flaw(path, f"is {_kind(value)}", f"the same as {_name(member)}")]
    raise UnfitError(path, _found(value, members), _name(hint))


def _fit_list(values: list[Any], hint: Any, path: str, are_items: bool) -> tuple[list[Any], list[Flaw]]:
    """The elements of a list. `are_items`: whether they are the lines of an order.

    A line that is as empty as null is left out: nothing shows that there is anything to ship.
    """
    fitted: list[Any] = []
    flaws: list[Flaw] = []
    for position, value in enumerate(values):
        if are_items and (value is None or value == [] or (isinstance(value, str) and not value.strip())):
            where = f"{path}[{position}]"
            flaws.append(Flaw(where, f"is {_kind(value)}", LEFT_OUT, f"items[{position}]"))
            continue
        try:
            one, wrong = _fit_value(value, hint, f"{path}[{position}]")
        except UnfitError as problem:
            if are_items or _is_needed(hint):
                raise UnfitError(problem.path, problem.found, problem.allowed, in_list=True) from None
            flaws.append(Flaw(problem.path, problem.found, "unknown"))
            continue
        if are_items and len(fitted) < position:
            wrong = [_at_position(flaw, position, len(fitted)) for flaw in wrong]
        fitted.append(one)
        flaws += wrong
    return fitted, flaws


def _at_position(flaw: Flaw, listed: int, fitted: int) -> Flaw:
    """The flaw of an item before which others were left out: the canonical record has it at another position."""
    canonical = flaw.canonical.replace(f"items[{listed}]", f"items[{fitted}]", 1)
    return Flaw(flaw.field, flaw.found, flaw.stored, canonical)


def _is_needed(hint: Any) -> bool:
    """Whether a list is not whole without each of its elements: if they have a value that the record needs."""
    struct = shape_of(hint).struct
    return struct is not None and any(field.required for field in fields_of(struct).values())


def _is_valid(value: Any, hint: Any) -> bool:
    try:
        msgspec.convert(value, hint)
    except (msgspec.ValidationError, ValueError, OverflowError, InvalidOperation):
        return False
    return True


def _kind(value: Any) -> str:
    """What a value is, without the value: it may be about a buyer."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "an empty text" if not value.strip() else "a text"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "an object" if value else "an empty object"


def _found(value: Any, members: tuple[Any, ...]) -> str:
    """What is wrong with a value, without the value."""
    if isinstance(value, str) and value.strip():
        if datetime in members:
            return "can't be read as a time"
        if int in members or Decimal in members:
            return "is no number"
    if isinstance(value, float) and int in members:
        return "is no whole number"
    if isinstance(value, int) and int in members and value < 0:
        return "is negative"
    if isinstance(value, int) and not isinstance(value, bool) and int in members:
        return "is too large"
    return f"is {_kind(value)}"


def _name(hint: Any) -> str:
    """The type in words."""
    members = [member for member in members_of(hint) if member not in (NoneType, msgspec.UnsetType)]
    names = [_NAMES.get(member, "an object") for member in members if get_origin(member) is None]
    names += ["a list" for member in members if get_origin(member) is list]
    return " or ".join(dict.fromkeys(names))


_NAMES: Mapping[Any, str] = {
    str: "text", int: "a whole number", float: "a number", Decimal: "a number", bool: "true or false",
    datetime: "a time (RFC 3339)",
}  # fmt: skip
