"""Places in a record's JSON: which there are in a contract's form, and a record with another value in one of them."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, cast, get_args, get_origin

import msgspec

from orders_sync.marketplaces.kit.lenient import canonical_of, members_of

Path = tuple[str | int, ...]
"""The keys and positions that lead to a value in a record's JSON."""
_PLACE = "the place of the odd value"


def value_at(record: Mapping[str, Any], path: Path) -> Any:
    """The value in a place; None if the record leaves it out."""
    inner: Any = record
    for part in path:
        inner = inner.get(part) if isinstance(part, str) else inner[part]
    return inner


def is_needed(struct: type[msgspec.Struct], path: Path, where: str) -> bool:
    """Whether a reason is about the odd value, and the value is one that the contract's form requires."""
    if not where.startswith(text_of(path)) and not text_of(path).startswith(where):
        return False
    return where in _required(struct, "")


def _required(hint: Any, prefix: str) -> set[str]:
    """The required values of a contract's form, and the elements of lists that are not whole without each of them."""
    found: set[str] = set()
    for field in msgspec.structs.fields(hint):
        where = f"{prefix}.{field.encode_name}" if prefix else field.encode_name
        if field.required:
            found.add(where)
        for member in members_of(field.type):
            if get_origin(member) is not list:
                continue
            for element in members_of(get_args(member)[0]):
                if isinstance(element, type) and issubclass(element, msgspec.Struct):
                    of_element = _required(element, f"{where}[0]")
                    is_needed = of_element or canonical_of(field.type) == "items"
                    found |= of_element | ({f"{where}[0]"} if is_needed else set())
    return found


def places(struct: type[msgspec.Struct], record: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The places and types of all fields of a contract's form: of nested ones, where the example has the object."""
    for field in msgspec.structs.fields(struct):
        path = (*above, field.encode_name)
        yield path, field.type
        value = record.get(field.encode_name)
        for member in members_of(field.type):
            if isinstance(value, dict) and isinstance(member, type) and issubclass(member, msgspec.Struct):
                yield from places(member, cast(dict[str, Any], value), path)
            elif isinstance(value, list) and value and get_origin(member) is list:
                yield (*path, 0), get_args(member)[0]
                for element in members_of(get_args(member)[0]):
                    if isinstance(element, type) and issubclass(element, msgspec.Struct):
                        yield from places(element, cast(Any, value)[0], (*path, 0))


def text_of(path: Path) -> str:
    """The path as flaws and reasons write it, e.g. `items[0].price`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def last_name(where: str) -> str:
    return where.rpartition(".")[2].partition("[")[0]


def encoded(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


def with_value(record: Mapping[str, Any], path: Path, value: Any) -> Any:
    changed: Any = deepcopy(dict(record))
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return changed


def without_value(record: Mapping[str, Any], path: Path) -> Any:
    changed: Any = deepcopy(dict(record))
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    if isinstance(inner, list):
        del cast(list[Any], inner)[cast(int, path[-1])]
    else:
        inner.pop(path[-1], None)
    return changed


def raw_with(record: Mapping[str, Any], path: Path, text: str) -> bytes:
    """The record's JSON with a text in a place, whether it is JSON or not."""
    raw = encoded(with_value(record, path, _PLACE))
    return raw.replace(f'"{_PLACE}"'.encode(), text.encode())
