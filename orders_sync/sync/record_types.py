"""Whether the values of a canonical record have the types that it declares: an adapter may pass on what it got."""

from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from orders_sync.model.records import Reason, RecordRejectedError


def wrong_types(record: msgspec.Struct, prefix: str = "") -> Iterator[Reason]:
    """Each value of a record that has another type, also in the records within it. Names types, and no value."""
    for name, hint in _hints(type(record)).items():
        yield from _wrong(getattr(record, name), hint, prefix + name)


def check_types(record: object, kind: type[msgspec.Struct]) -> None:
    """Raises RecordRejectedError unless what an adapter has decoded is a record of this kind, with its types."""
    if not isinstance(record, kind):
        raise RecordRejectedError([Reason("record", _as(record), kind.__name__)])
    wrong = list(wrong_types(record))
    if wrong:
        raise RecordRejectedError(wrong)


def _as(value: object) -> str:
    return f"was decoded by its adapter as {type(value).__name__}"


@cache
def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(struct)


def _wrong(value: object, hint: Any, where: str) -> Iterator[Reason]:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    allowed = tuple(get_origin(member) or member for member in members)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        names = [each.__name__ for each in allowed if each is not NoneType]
        yield Reason(where, _as(value), " or ".join(names))
    elif isinstance(value, msgspec.Struct):
        yield from wrong_types(value, f"{where}.")
    elif isinstance(value, list | tuple):
        (elements, *_) = next(get_args(member) for member in members if get_args(member))
        for position, element in enumerate(cast(list[object], value)):
            yield from _wrong(element, elements, f"{where}[{position}]")
