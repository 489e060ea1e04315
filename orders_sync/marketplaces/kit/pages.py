"""Decodes a page of a list so that one broken record does not take the others with it."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.broken_lists import find_records
from orders_sync.marketplaces.kit.errors import IncompleteListError
from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS, check_effort, is_valid, repair
from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.model.records import RecordRejectedError
from orders_sync.model.shown_ids import shown_id

PageStruct = TypeVar("PageStruct", bound=msgspec.Struct)

_COMMA_AT_END = re.compile(rb",\s*\}\s*\Z")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},:]', re.DOTALL)


def page_decoder(struct: type[PageStruct], *record_keys: str) -> Callable[[bytes], PageStruct]:
    """A decoder of pages. `struct` has one field of the type `list[msgspec.Raw]`, the records, and is not frozen.

    `record_keys`: keys that every record has, all together in no object within one. They show where a record begins.

    A page that does not decode as a whole is taken apart: its records are cut out as they are, byte for byte, and the
    rest is decoded. A record that can't be read is rejected later, by itself; if it hides where it ends, `broken_lists`
    finds the others. Of a page that has its list twice, the records of both are read; msgspec, as most decoders, would
    keep only those of the last. The decoder raises msgspec.DecodeError if the page has no such list, or is cut off; a
    TooManyValuesError if it would take too long to take it apart.
    """
    form = _Form(struct, frozenset(record_keys))
    decode = form.decoder.decode

    def decode_page(body: bytes) -> PageStruct:
        try:
            page = decode(body)
            if not getattr(page, form.name):
                form.check_empty(body)
        except DECODE_ERRORS as error:
            check_effort(body)
            return _decode_apart(form, _outermost_object(body), error)
        # A search takes microseconds. A record may have the same key, so that the lists decide.
        if body.find(form.key) != body.rfind(form.key):
            check_effort(body)
            if len(_find_lists(body, form.key)) > 1:
                return _decode_apart(form, body, msgspec.DecodeError("the list is there twice, and a record is broken"))
        return page

    return decode_page


def first_record_reader(
    struct: type[msgspec.Struct], record: Callable[[bytes], RawRecord]
) -> Callable[[bytes], RawRecord]:
    """A reader of the first record of a page of which only the beginning is there, for `large_pages`.

    `struct`: that of the page. `record`: of `decoding.record_reader`; it finds the id if that is in the beginning.
    Raises IncompleteListError if the record is whole: then the page has more than this record.
    """
    form = _Form(struct, frozenset())

    def first_record(beginning: bytes) -> RawRecord:
        begin = _begin_of_list(beginning, form.key)
        raw = beginning if begin is None else beginning[begin:].lstrip()
        if begin is not None and any(token == b"}" and depth == 0 for token, _, _, depth in _tokens(raw)):
            raise IncompleteListError(
                "A page of a single record is too large, though the record itself is not: the marketplace ignores the "
                "page size, or its page has something else that is too large. The list can't go on."
            )
        found = record(raw)
        return msgspec.structs.replace(found, is_cut_off=True)

    return first_record


class _Form(Generic[PageStruct]):
    """The form of a page, as its struct shows it."""

    def __init__(self, struct: type[PageStruct], record_keys: frozenset[str]) -> None:
        fields = msgspec.structs.fields(struct)
        records = next(field for field in fields if field.type == list[msgspec.Raw])
        self.struct = struct
        self.decoder = msgspec.json.Decoder(struct)
        self.name = records.name
        """The name of the field that is the list."""
        self.list_name = records.encode_name
        """Its name in JSON."""
        self.key = b'"%s"' % records.encode_name.encode()
        self.others = frozenset(field.encode_name for field in fields) - {records.encode_name}
        """The other names of the page in JSON."""
        self.record_keys = record_keys

    def page(self, rest: bytes, records: Sequence[bytes]) -> PageStruct:
        """A page with these records. `rest`: the page without them. Raises msgspec.DecodeError if it can't be read."""
        try:
            rest = _COMMA_AT_END.sub(b"}", rest)
            document = msgspec.json.decode(repair(rest)[0], type=dict[str, object])
            document[self.list_name] = []  # whatever a second one says
            page = decode_leniently(self.decoder.decode, self.struct, msgspec.json.encode(document)).value
        except RecordRejectedError as problem:
            raise msgspec.DecodeError(str(problem)) from None
        setattr(page, self.name, [msgspec.Raw(record) for record in records])
        return page

    def check_empty(self, body: bytes) -> None:
        """Raises msgspec.DecodeError if a page without records is something else, e.g. an error with the status 200."""
        names = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).keys()
        if self.list_name not in names and names - self.others:
            raise msgspec.DecodeError(
                f"it has no list {self.list_name!r}, but {', '.join(map(shown_id, sorted(names)[:5]))!r}"
            )


def _decode_apart(form: _Form[PageStruct], body: bytes, problem: Exception) -> PageStruct:
    """Takes a page apart into its records and the rest."""
    lists = _find_lists(body, form.key)
    if not lists and is_valid(body):
        return form.page(body, _unusual_list(form, body, problem))
    if not lists or any(_is_broken(body[first:last]) for elements in lists for first, last in elements.slices):
        lists = _broken_lists(form, body, lists)
    if not lists:
        raise msgspec.DecodeError(str(problem)) from None
    slices = [body[first:last] for elements in lists for first, last in elements.slices]
    return form.page(_without(body, lists), slices)


def _unusual_list(form: _Form[PageStruct], body: bytes, problem: Exception) -> list[bytes]:
    """The records of a list that is no JSON array.

    Go writes an empty list as null; PHP writes it as {} or "", and one with gaps as an object whose names are numbers.
    """
    try:
        value = msgspec.json.decode(body, type=dict[str, msgspec.Raw])[form.list_name]
        if msgspec.json.decode(value) in (None, "", {}):
            return []
        numbered = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except (KeyError, msgspec.DecodeError):
        raise msgspec.DecodeError(str(problem)) from None
    if not all(name.isdecimal() for name in numbered):
        raise msgspec.DecodeError(str(problem))
    return [bytes(record) for record in numbered.values()]


def _outermost_object(body: bytes) -> bytes:
    """The page without a byte order mark, and without what follows it: NULs, a comma, a comment."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    end = next((end for token, _, end, depth in _tokens(body) if token == b"}" and depth == 0), len(body))
    is_comment = not re.search(rb"[\[\]{}]", body[end:])
    return body[:end] if is_comment else body


def _broken_lists(form: _Form[PageStruct], body: bytes, lists: "list[_Elements]") -> "list[_Elements]":
    """The list of a page where the structure of a record is broken, or hides where it ends; none if it is cut off.

    `lists`: as far as brackets and quotes show them.
    """

    def is_end(end: int) -> bool:
        try:
            form.page(body[:begin] + body[end:], [])
        except msgspec.DecodeError:
            return False
        return True

    begin = _begin_of_list(body, form.key)
    found = None if begin is None or len(lists) > 1 else find_records(body, begin, is_end, form.record_keys)
    if begin is None or found is None:
        return lists
    if len(lists) == 1 and lists[0].end == found.end:
        # Where no record is readable, brackets may still show where each ends.
        cut = {body[first:last].strip() for first, last in lists[0].slices}
        is_finer = len(lists[0].slices) > len(found.records)
        if is_finer and all(body[first:last] in cut for first, last in found.readable):
            return lists  # brackets also show where each of the broken records ends
        return [_Elements(begin, found.end, found.records)]
    if not found.ends_readably and not form.others & _names(body[:begin] + body[found.end :]):
        return []  # the page may as well be cut off within its last record: nothing shows whether more follow
    return [_Elements(begin, found.end, found.records)]


def _names(body: bytes) -> frozenset[str]:
    """The names of the outermost object."""
    try:
        return frozenset(msgspec.json.decode(repair(body)[0], type=dict[str, object]))
    except (RecordRejectedError, msgspec.DecodeError):
        return frozenset()


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


def _begin_of_list(body: bytes, key: bytes) -> int | None:
    """Where the list under a key of the outermost object begins, after its bracket."""
    tokens = _tokens(body)
    for token, _, _, depth in tokens:
        if token == key and depth == 1 and next(tokens, _END)[0] == b":":
            opening, _, begin, _ = next(tokens, _END)
            if opening == b"[":
                return begin
    return None


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
