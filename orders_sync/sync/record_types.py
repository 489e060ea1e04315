"""Whether the values of canonical records have the types that they declare: an adapter may pass on what it got."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from itertools import chain
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from orders_sync.model.records import Reason, RecordRejectedError


def wrong_types(record: msgspec.Struct, prefix: str = "") -> Iterator[Reason]:
    """Each value of a record that has another type, also in the records within it. Names types, and no value."""
    for name, hint in _hints(type(record)).items():
        yield from _wrong(getattr(record, name), hint, prefix + name)


def check_column_types(kind: type[msgspec.Struct], columns: Mapping[str, Sequence[Any]]) -> None:
    """Raises TypeError if a value of an enumeration, a tuple or a flag may have another type than its field declares.

    Nothing else would notice it: PostgreSQL reads `no` as false. Values of other fields need no look here: the rules of
    the record check, or the joining of a column's texts for COPY, raise TypeError, AttributeError or ValueError, or
    PostgreSQL refuses them. `check_types` says what is wrong in which record, and takes a hundred times as long.
    """
    for name, types in _types_of(kind).items():
        column = columns[name]
        if column and column[-1] is None and column.count(None) == len(column):
            continue  # much faster, and most marketplaces have no such field
        _check(name, types.own, column)
        _check(name, types.elements, chain.from_iterable(filter(None, column)))


def _check(name: str, allowed: frozenset[type], values: Iterable[Any]) -> None:
    if not allowed:
        return
    others = set(map(type, values)) - allowed
    if any(other is bool or not issubclass(other, tuple(allowed)) for other in others):
        raise TypeError(f"values of {name} have other types")


def plain(value: object) -> object:
    """A text, number or time of an adapter's own class as msgspec can write it. Raises TypeError for anything else."""
    match value:
        case datetime():
            return value.isoformat()
        case str():
            return str.__str__(value)  # its own `__str__` may say something else
        case Decimal():
            return str(value)
        case int():
            return int(value)
        case _:
            raise TypeError(f"a value is {type(value).__name__}")


class _Types(NamedTuple):
    own: frozenset[type]
    elements: frozenset[type]
    """Of tuples; empty for other fields."""


@cache
def _types_of(kind: type[msgspec.Struct]) -> dict[str, _Types]:
    """The types of the fields that are enumerations, tuples or flags."""
    found: dict[str, _Types] = {}
    for name, hint in _hints(kind).items():
        members = _members(hint)
        own = frozenset(get_origin(member) or member for member in members)
        if any(issubclass(each, Enum | tuple | bool) for each in own):
            elements = frozenset(get_args(member)[0] for member in members if get_args(member))
            found[name] = _Types(own, elements)
    return found


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def check_types(record: object, kind: type[msgspec.Struct]) -> None:
    """Raises RecordRejectedError unless what an adapter has decoded is a record of this kind, with its types."""
    if not isinstance(record, kind):
        raise RecordRejectedError([Reason("record", _as(record), kind.__name__)])
    wrong = list(wrong_types(record))
    if wrong:
        raise RecordRejectedError(wrong)


def _as(value: object) -> str:
    return f"was decoded by its adapter as {type(value).__name__}"


#: Lists whose elements are checked one by one where they are stored: an odd one must not reject the whole record.
_CHECKED_LATER = frozenset({"documents"})


@cache
def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(struct)
    some_list: Any = list  # of anything
    return hints | dict.fromkeys(_CHECKED_LATER & hints.keys(), some_list | None)


def _wrong(value: object, hint: Any, where: str) -> Iterator[Reason]:
    members = _members(hint)
    allowed = tuple(get_origin(member) or member for member in members)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        names = [each.__name__ for each in allowed if each is not NoneType]
        yield Reason(where, _as(value), " or ".join(names))
    elif isinstance(value, msgspec.Struct):
        yield from wrong_types(value, f"{where}.")
    elif isinstance(value, list | tuple):
        for elements in (get_args(member)[0] for member in members if get_args(member)):
            for position, element in enumerate(cast(list[object], value)):
                yield from _wrong(element, elements, f"{where}[{position}]")
