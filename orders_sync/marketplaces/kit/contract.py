"""What a record looks like, compared with what its adapter knows: names of fields, types, and values of states.

No other value is looked at: it may be about a buyer. An object that the adapter does not read is not looked into, since
its keys may be data.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import NoneType
from typing import Any, Literal, cast, get_origin

import msgspec
from msgspec.structs import FieldInfo

from orders_sync.marketplaces.kit.lenient import Shape, fields_of, members_of, shape_of

MAX_FIELDS = 500
"""So many fields of a record are looked at: more are data, not a contract."""
MAX_ELEMENTS = 20
"""So many elements of a list are looked at."""
_NAME = re.compile(r"[A-Za-z_$@][\w$@-]{0,59}")
_STATE = re.compile(r"[\w .:/-]{1,40}")


@dataclass
class RecordShape:
    """The fields of one record by their paths, e.g. `orderlines[].state`."""

    types: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """The types of each field's values; empty if they are null."""
    unknown_values: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """States that the adapter does not know, each with its field."""


def shape_of_record(document: Mapping[str, Any], struct: type[msgspec.Struct] | None) -> RecordShape:
    """The shape of a decoded record. `struct`: the contract's form as the adapter reads it; None: the keys alone."""
    shape = RecordShape()
    _look_into(document, struct, "", shape)
    return shape


def known_fields(struct: type[msgspec.Struct] | None) -> dict[str, frozenset[str] | None]:
    """The types that the adapter can read, by the path of each field that it reads; None: any type."""
    return dict(_known(struct, "")) if struct is not None else {}


def _known(struct: type[msgspec.Struct], path: str) -> Iterator[tuple[str, frozenset[str] | None]]:
    for name, info in fields_of(struct).items():
        yield from _known_of(info.type, _path(path, name))


def _known_of(hint: Any, where: str) -> Iterator[tuple[str, frozenset[str] | None]]:
    yield where, _types_of(hint)
    shape = shape_of(hint)
    if shape.struct is not None and where.count(".") < 10:
        yield from _known(shape.struct, where)
    if shape.of_list is not None:
        yield from _known_of(shape.of_list, f"{where}[]")


def _types_of(hint: Any) -> frozenset[str] | None:
    types: set[str] = set()
    for member in members_of(hint):
        if member in (Any, msgspec.Raw):
            return None
        if member not in (NoneType, msgspec.UnsetType):
            types |= _TYPES.get(member) or {_other_type(member)}
    return frozenset(types)


_TYPES: Mapping[Any, set[str]] = {
    str: {"text"}, datetime: {"text"}, bool: {"boolean"}, int: {"number"}, float: {"number"},
    Decimal: {"number", "text"},
}  # fmt: skip


def _other_type(member: Any) -> str:
    if get_origin(member) is list:
        return "list"
    if get_origin(member) is Literal or (isinstance(member, type) and issubclass(member, Enum)):
        return "text"
    return "object"


def _look_into(document: Mapping[str, Any], struct: type[msgspec.Struct] | None, path: str, shape: RecordShape) -> None:
    known = _fields_at(struct, path)
    types = shape.types
    for name, value in document.items():
        where, read = known.get(name) or (_path(path, name), None)
        if where in types or (len(types) < MAX_FIELDS and _is_name(name)):
            _look_at(value, read, where, shape)


@lru_cache(maxsize=MAX_FIELDS)
def _fields_at(struct: type[msgspec.Struct] | None, path: str) -> Mapping[str, tuple[str, Shape]]:
    """The fields of a struct at a path by their names, each with its own path and what it allows."""
    fields = fields_of(struct) if struct is not None else dict[str, FieldInfo]()
    return {name: (_path(path, name), shape_of(info.type)) for name, info in fields.items()}


def _path(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@lru_cache(maxsize=MAX_FIELDS)
def _is_name(key: str) -> bool:
    return _NAME.fullmatch(key) is not None


def _look_at(value: Any, read: Shape | None, where: str, shape: RecordShape) -> None:
    types = shape.types.get(where)
    if types is None:
        types = shape.types[where] = set()
    if value is None:
        return
    types.add(_JSON_TYPES.get(value.__class__, "number"))
    if read is None:
        return
    if read.known is not None and isinstance(value, str | int) and str(value) not in read.known:
        if _STATE.fullmatch(str(value)):
            shape.unknown_values.append((where, str(value)))
        return
    if isinstance(value, dict) and read.struct is not None:
        _look_into(cast(dict[str, Any], value), read.struct, where, shape)
    elif isinstance(value, list) and read.of_list is not None:
        element_shape, of_element = shape_of(read.of_list), f"{where}[]"
        for element in cast(list[Any], value)[:MAX_ELEMENTS]:
            _look_at(element, element_shape, of_element, shape)


_JSON_TYPES: Mapping[type, str] = {bool: "boolean", str: "text", list: "list", dict: "object"}


def parent_of(path: str) -> str:
    """The field that a field belongs to: that of `a[].b` is `a[]`, that of `a[]` is `a`; '' for the record itself."""
    return path[:-2] if path.endswith("[]") else path.rpartition(".")[0]
