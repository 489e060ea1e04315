"""Finds the records of a list where the structure of a record is broken: a quote or bracket is missing or too many.

Such a record hides where it ends. What is certain are the records before the first broken one, and those of an unbroken
chain up to the end of the list. A readable object between them is a record if it has the keys of a record. All other
text is broken records, and is kept as it is.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from orders_sync.marketplaces.kit.json_repair import repair
from orders_sync.model.records import RecordRejectedError

MAX_BRACKETS = 5_000
"""How many closing brackets are tried as the end of the list, from the end of the page on."""
MAX_EFFORT = 20
"""Characters that are read at most, in lengths of the page: a hostile page must not take long."""
MIN_COMMON_KEYS = 2
"""How many keys certain records must have in common, for an object with these keys to count as a record."""

Span = tuple[int, int]
"""Where a part of the page begins and ends."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NEXT_RECORD = re.compile(rb"[,}]\s*(?=\{)")
_COMMA = re.compile(rb"\s*,\s*")
_SPACE = re.compile(rb"\s*")


class _Record(NamedTuple):
    begin: int
    end: int
    keys: frozenset[str]


class _TooMuchEffortError(Exception):
    """The page would take too long."""


class FoundList(NamedTuple):
    """The records of a list, broken ones too."""

    records: list[Span]
    end: int
    """Where the list ends."""
    readable: list[Span]
    """Those of the records that are readable."""
    ends_readably: bool
    """Whether its last record is readable, so that the end is certain."""


def find_records(
    body: bytes, begin: int, is_end: Callable[[int], bool], record_keys: frozenset[str] = frozenset()
) -> FoundList | None:
    """The records of the list that begins at `begin` (after its bracket).

    `is_end`: whether the page is whole if the list ends at this bracket. `record_keys`: keys that every record has, and
    no object within one; if empty, those that all certain records have. Returns None if the end is not found, as in a
    page that is cut off, or takes too long to find.
    """
    end = _end_of_list(body, begin, is_end)
    if end is None:
        return None
    try:
        return _Search(body, begin, end).found(record_keys)
    except _TooMuchEffortError:
        return None


def _end_of_list(body: bytes, begin: int, is_end: Callable[[int], bool]) -> int | None:
    """The first bracket that ends the list: those after it end other lists of the page."""
    found, position, effort = None, len(body), MAX_EFFORT * len(body)
    for _ in range(MAX_BRACKETS):
        position = body.rfind(b"]", begin, position)
        if position < 0 or effort < 0:
            break
        read_to, is_balanced = _rest_of_page(body, position + 1)
        effort -= read_to - position
        if is_balanced:
            effort -= begin + len(body) - position
            found = position if is_end(position) else found
    return found


def _rest_of_page(body: bytes, begin: int) -> tuple[int, bool]:
    """How far the outermost object goes if the list ends here, and whether nothing comes after it."""
    depth = 1
    for match in _TOKEN.finditer(body, begin):
        depth += (match.group() in (b"{", b"[")) - (match.group() in (b"}", b"]"))
        if depth == 0:
            return match.end(), not body[match.end() :].strip()
    return len(body), False


class _Search:
    """One list of a page."""

    def __init__(self, body: bytes, begin: int, end: int) -> None:
        self._body = body
        self._begin = _SPACE.match(body, begin, end).end()  # pyright: ignore[reportOptionalMemberAccess]
        self._end = end
        self._effort = MAX_EFFORT * len(body)

    def found(self, record_keys: frozenset[str]) -> FoundList:
        """All records, in their order."""
        first = self._chain(self._begin)
        broken_from = _after(self._body, first, self._begin)
        starts = [match.end() for match in _NEXT_RECORD.finditer(self._body, max(broken_from - 1, 0), self._end)]
        keys = record_keys or _common_keys(first)
        last = next((chain for start in starts if (chain := self._last_chain(start, keys))), list[_Record]())
        ends_readably = (bool(last) and bool(keys)) or (bool(first) and not starts)
        certain = [*first, *last]
        keys = keys or _common_keys(certain)
        broken_to = last[0].begin if last else self._end
        between = self._between([start for start in starts if start < broken_to], broken_to, keys)
        found = [(record.begin, record.end) for record in (*first, *between, *last)]
        records = sorted([*found, *self._gaps(found, self._key_of_one_record(certain, keys))])
        return FoundList(records, self._end, found, ends_readably)

    def _chain(self, start: int) -> list[_Record]:
        """The readable records that follow each other from `start` on."""
        found: list[_Record] = []
        while (record := self._record(start)) is not None:
            found.append(record)
            comma = _COMMA.match(self._body, record.end, self._end)
            if comma is None:
                break
            start = comma.end()
        return found

    def _last_chain(self, start: int, keys: frozenset[str]) -> list[_Record]:
        """The chain from `start` on if it goes to the end of the list, and all of it are records; otherwise none."""
        chain = self._chain(start)
        if not chain or self._body[chain[-1].end : self._end].strip():
            return []
        return chain if all(record.keys >= keys for record in chain) else []

    def _record(self, start: int) -> _Record | None:
        """The object that begins here; None if there is none, or it can't be read."""
        if self._body[start : start + 1] != b"{":
            return None
        open_brackets: list[bytes] = []
        end = None
        read_to = self._end
        for match in _TOKEN.finditer(self._body, start, self._end):
            token = match.group()
            if token in (b"{", b"["):
                open_brackets.append(token)
            elif token in (b"}", b"]"):
                is_match = open_brackets.pop() == (b"{" if token == b"}" else b"[")
                if not is_match or not open_brackets:
                    read_to = match.end()
                    end = read_to if is_match else None
                    break
        self._spend(read_to - start)
        if end is None:
            return None
        try:
            document: Any = msgspec.json.decode(repair(self._body[start:end])[0])
        except (RecordRejectedError, msgspec.DecodeError, RecursionError):
            return None
        return _Record(start, end, frozenset(document))

    def _spend(self, characters: int) -> None:
        self._effort -= characters
        if self._effort < 0:
            raise _TooMuchEffortError

    def _between(self, starts: Sequence[int], end: int, keys: frozenset[str]) -> list[_Record]:
        """The readable objects with these keys that begin at one of these places and end before `end`."""
        if not keys:
            return []
        found: list[_Record] = []
        for start in starts:
            if found and start < found[-1].end:
                continue
            record = self._record(start)
            if record is not None and record.end <= end and record.keys >= keys:
                found.append(record)
        return found

    def _key_of_one_record(self, certain: Sequence[_Record], keys: frozenset[str]) -> bytes | None:
        """A key that occurs once in each certain record, and in no object within it."""
        for name in sorted(keys):
            key = msgspec.json.encode(name)
            if all(self._body.count(key, record.begin, record.end) == 1 for record in certain):
                return key
        return None

    def _gaps(self, found: Sequence[Span], key: bytes | None) -> Iterator[Span]:
        """The broken records: the text between those that were found."""
        position = self._begin
        for begin, end in [*sorted(found), (self._end, self._end)]:
            gap = _stripped(self._body, position, begin)
            if gap[0] < gap[1]:
                yield from self._pieces(gap, key)
            position = end

    def _pieces(self, gap: Span, key: bytes | None) -> Iterator[Span]:
        """The records of a text: each has the key once."""
        begin, end = gap
        if key is not None:
            keys = [match.start() for match in re.finditer(re.escape(key), self._body[begin:end])]
            for previous, following in itertools.pairwise(keys):
                cuts = list(_NEXT_RECORD.finditer(self._body, gap[0] + previous, gap[0] + following))
                if cuts:
                    yield _stripped(self._body, begin, cuts[-1].start() + 1)
                    begin = cuts[-1].end()
        yield begin, end


def _common_keys(certain: Sequence[_Record]) -> frozenset[str]:
    """The keys that these records have in common; none if those are too few to tell a record from another object."""
    keys = frozenset[str].intersection(*(record.keys for record in certain)) if certain else frozenset[str]()
    return keys if len(keys) >= MIN_COMMON_KEYS else frozenset()


def _after(body: bytes, records: Sequence[_Record], begin: int) -> int:
    """Where the record after these begins."""
    if not records:
        return begin
    comma = _COMMA.match(body, records[-1].end)
    return comma.end() if comma else records[-1].end


def _stripped(body: bytes, begin: int, end: int) -> Span:
    """A part of the page without the commas and spaces around it."""
    text = body[begin:end]
    lead = len(text) - len(text.lstrip(b" \t\r\n,"))
    return begin + lead, begin + max(lead, len(text.rstrip(b" \t\r\n,")))
