"""Decodes a page of a list so that one broken record does not take the others with it."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from orders_sync.marketplaces.kit.json_repair import is_valid, repair
from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.model.records import RecordRejectedError

PageStruct = TypeVar("PageStruct", bound=msgspec.Struct)

_FIRST_KEY = re.compile(rb'\s*\{\s*("[^"]*")')
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)


def page_decoder(struct: type[PageStruct]) -> Callable[[bytes], PageStruct]:
    """A decoder of pages. `struct` has one field of the type `list[msgspec.Raw]`, the records, and is not frozen.

    A page that does not decode as a whole is taken apart: its records are cut out as they are, byte for byte, and the
    rest is decoded. A record that can't be read is rejected later, by itself. Of a page that has its list twice, the
    records of both are read; msgspec, as most decoders, would keep only those of the last. The decoder raises
    msgspec.DecodeError if the page has no such list, or is cut off.
    """
    decode = msgspec.json.Decoder(struct).decode
    records = next(field for field in msgspec.structs.fields(struct) if field.type == list[msgspec.Raw])
    key = b'"%s"' % records.encode_name.encode()

    def decode_page(body: bytes) -> PageStruct:
        try:
            page = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            lists = _find_lists(body, key)
            if not lists and is_valid(body) and not records.required:
                return _lenient(decode, struct, body)  # null instead of an empty list
            if not lists:
                raise msgspec.DecodeError(str(error)) from None
        else:
            # A search takes microseconds. A record may have the same key, so that the lists decide.
            lists = _find_lists(body, key) if body.find(key) != body.rfind(key) else []
            if len(lists) < 2:
                return page
        slices = [body[first:last] for elements in lists for first, last in elements.slices]
        if not _are_certain(slices):
            raise msgspec.DecodeError("a record of the list is broken, and where it ends is not certain")
        try:
            skeleton = repair(_without(body, lists))[0]
        except RecordRejectedError as problem:
            raise msgspec.DecodeError(str(problem)) from None
        page = _lenient(decode, struct, skeleton)
        setattr(page, records.name, [msgspec.Raw(record) for record in slices])
        return page

    return decode_page


def _lenient(decode: Callable[[bytes], PageStruct], struct: type[PageStruct], body: bytes) -> PageStruct:
    try:
        return decode_leniently(decode, struct, body).value
    except RecordRejectedError as problem:
        raise msgspec.DecodeError(str(problem)) from None


def _are_certain(records: list[bytes]) -> bool:
    """Whether each record was cut out where it ends.

    A missing quote or bracket hides that: then what was cut out is no JSON, and neither is what follows it. Such a
    record may hold several: then its first key begins another object in it. A page that fails is seen and read again;
    records that were taken for a part of another one would be lost.
    """
    broken = [_is_broken(record) for record in records]
    return all(
        not broken[position] or broken[position + 1 : position + 2] == [False] or _is_one(records[position])
        for position in range(len(records))
    )


def _is_one(record: bytes) -> bool:
    first_key = _FIRST_KEY.match(record)
    return first_key is not None and len(re.findall(rb"\{\s*" + re.escape(first_key.group(1)), record)) == 1


def _is_broken(record: bytes) -> bool:
    try:
        repair(record)
    except RecordRejectedError:
        return True
    return False


class _Elements(NamedTuple):
    """Where the elements of a list begin and end, and where each of them does."""

    begin: int
    end: int
    slices: list[tuple[int, int]]


def _find_lists(body: bytes, key: bytes) -> list[_Elements]:
    """The lists under a key of the outermost object: one, unless the key is there twice. Empty if one is cut off."""
    found: list[_Elements] = []
    tokens = _tokens(body)
    for token, _, _, depth in tokens:
        if token == key and depth == 1 and next(tokens, _END)[0] == b":":
            opening, _, begin, _ = next(tokens, _END)
            if opening != b"[":
                continue
            elements = _elements(body, begin, tokens)
            if elements is None:
                return []
            found.append(elements)
    return found


def _without(body: bytes, lists: list[_Elements]) -> bytes:
    """The page with its lists emptied."""
    for elements in reversed(lists):
        body = body[: elements.begin] + body[elements.end :]
    return body


_END = (b"", 0, 0, 0)
"""Stands for the token after the last one."""


def _tokens(body: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Each text, bracket, comma and colon: itself, its begin and end, and the depth of nesting that it stands in."""
    depth = 0
    for match in _TOKEN.finditer(body):
        token = match.group()
        depth -= token in b"]}"
        yield token, match.start(), match.end(), depth
        depth += token in b"[{"


def _elements(body: bytes, begin: int, tokens: Iterator[tuple[bytes, int, int, int]]) -> _Elements | None:
    slices: list[tuple[int, int]] = []
    first = begin
    for token, start, end, depth in tokens:
        if (token == b"," and depth == 2) or (token == b"]" and depth == 1):
            if body[first:start].strip():
                slices.append((first, start))
            first = end
        if token == b"]" and depth == 1:
            return _Elements(begin, start, slices)
    return None
