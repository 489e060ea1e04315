"""Reading paged lists to their end, with certainty, while they change."""

import hashlib
import itertools
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from math import ceil
from operator import ne
from urllib.parse import urlsplit

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import IncompleteListError

MAX_PAGES = 200_000
"""A list longer than that is an error, never an end."""
SWEEPS = 5
"""How often a list that changes under the reader is read again before the pass gives up."""

WORTH_A_THREAD = 3.0
"""A page must take so many times the work it makes us, for each further connection to be worth its thread."""
CLOCK_MARGIN = timedelta(seconds=5)
"""How far the marketplace's clock may be misread: its Date header has whole seconds, and answers take a while."""


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a list: its records, how many the whole list holds (if told), and the next page's number."""

    records: list[RawRecord]
    total: int | None
    next: int | None


class _Seen:
    """Counts distinct records in 8 bytes each, whatever the list's length."""

    def __init__(self) -> None:
        self._keys = array("q")

    def add(self, records: list[RawRecord]) -> None:
        self._keys.extend([hash(record.record_id or record.fingerprint) for record in records])

    def distinct(self) -> int:
        if not self._keys:
            return 0
        ordered = sorted(self._keys)
        return 1 + sum(map(ne, ordered, itertools.islice(ordered, 1, None)))


def read_counted(fetch: Callable[[int], Page], page_size: int, connections: int) -> Iterator[list[RawRecord]]:
    """All records of a list of numbered pages whose answers tell the list's length.

    Pages are fetched ahead, `connections` at once. Records may come twice. While pages are read, records may be
    added, and change places, but none leaves the list (its filter has no upper bound): when as many distinct
    records were seen as the list holds in the end, none was missed. Else the ends of the list are read again,
    then all of it; a list that never holds still raises IncompleteListError.
    """
    first = fetch(1)
    if first.total is None:
        yield first.records
        for _, page in _follow(first, fetch):
            yield page.records
        return
    reading = _Reading(first, first.total)
    yield first.records
    for page in _pages(fetch, range(2, _page_count(first.total, page_size) + 1), connections):
        yield reading.note(page)
    # Arrivals since: at the end of the list if it is sorted oldest first, else on the first page.
    read_to = _page_count(first.total, page_size)
    while read_to < _page_count(reading.total, page_size) or (reading.last.next or 0) > read_to > 0:
        read_to += 1
        yield reading.note(_not_empty(read_to, fetch(read_to)))
    for sweep in range(1, SWEEPS + 1):
        if reading.complete():
            return
        last = max(1, _page_count(reading.total, page_size))
        again = sorted({1, last}) if sweep == 1 and not reading.shrunk else list(range(1, last + 1))
        reading.shrunk = False
        for page in _pages(fetch, again, connections):
            yield reading.note(page)
    if not reading.complete():
        raise IncompleteListError(
            f"The marketplace says that its list holds {reading.total} records, and {SWEEPS} readings found "
            f"{reading.seen.distinct()} of them while it kept changing."
        )


class _Reading:
    """What was seen of a list so far, against what it says to hold."""

    def __init__(self, first: Page, total: int) -> None:
        self.seen = _Seen()
        self.seen.add(first.records)
        self.total = total
        self.last = first
        self.shrunk = False

    def note(self, page: Page) -> list[RawRecord]:
        if page.total is not None:
            # A record that left the list moved all later ones up: one may have slipped past the reader.
            self.shrunk = self.shrunk or page.total < self.total
            self.total = page.total
        self.last = page
        self.seen.add(page.records)
        return page.records

    def complete(self) -> bool:
        return not self.shrunk and self.seen.distinct() >= self.total


def read_linked(fetch: Callable[[int], Page], now: Callable[[], datetime]) -> Iterator[list[RawRecord]]:
    """All records of a list of pages that each name the next one and do not tell the list's length.

    A record that moves within the list while it is read can hide another one. Records move when they are modified:
    where the first or last page changed meanwhile, or a record was modified since the reading began, the list is
    read again, until two readings agree. `now` is the marketplace's clock.
    """
    before: set[tuple[str, datetime | None]] | None = None
    for _ in range(SWEEPS):
        first = fetch(1)
        began = now() - CLOCK_MARGIN
        seen = {(record.record_id, record.modified_at) for record in first.records}
        last_number, last = 1, first
        yield first.records
        for number, page in _follow(first, fetch):
            last_number, last = number, page
            seen |= {(record.record_id, record.modified_at) for record in last.records}
            yield last.records
        if last_number == 1 or seen == before:
            return
        moved = any(at is not None and at.tzinfo is not None and at >= began for _, at in seen)
        if not moved and _ids(fetch(1)) == _ids(first) and _ids(fetch(last_number)) == _ids(last):
            return
        before = seen
    raise IncompleteListError(f"The marketplace's list changed during each of {SWEEPS} readings.")


class CursorPage(msgspec.Struct, frozen=True, gc=False):
    """One page of a list that is walked by a cursor: its records, and where the next page starts (None: at its end)."""

    records: list[RawRecord]
    next: str | None


def read_cursor(fetch: Callable[[str | None], CursorPage]) -> Iterator[list[RawRecord]]:
    """All records of a list that is sorted by something that never changes (an id, the time of creation).

    What is added or changed while it is read moves nothing, so one reading is enough. Raises IncompleteListError for a
    cursor that does not advance, and for an empty page that is not the last.
    """
    cursor: str | None = None
    seen: set[str] = set()
    for number in itertools.count(1):
        page = fetch(cursor)
        if page.next is None:
            yield page.records
            return
        if not page.records:
            raise IncompleteListError(f"Page {number} of the marketplace's list is empty, yet there is more.")
        if page.next in seen:
            raise IncompleteListError(f"Page {number} of the marketplace's list leads back to where it has been.")
        if number >= MAX_PAGES:
            raise IncompleteListError(f"The marketplace's list has more than {MAX_PAGES} pages.")
        seen.add(page.next)
        cursor = page.next
        yield page.records


def path_of_link(link: str, base_url: str) -> str:
    """The path and query of a link to the next page. Raises IncompleteListError for one that leads to another host.

    The account's own address is asked, whatever the link says of it.
    """
    there, here = urlsplit(link), urlsplit(base_url)
    if there.netloc and there.netloc != here.netloc:
        raise IncompleteListError(f"The marketplace's list goes on at another host ({there.hostname}): not followed.")
    return there.path.removeprefix(here.path.rstrip("/")) + (f"?{there.query}" if there.query else "")


def _follow(first: Page, fetch: Callable[[int], Page]) -> Iterator[tuple[int, Page]]:
    number, page = 1, first
    while page.next is not None:
        if page.next <= number:
            raise IncompleteListError(
                f"Page {number} of the marketplace's list names page {page.next} as its next one."
            )
        if not page.records:
            raise IncompleteListError(f"Page {number} of the marketplace's list is empty, yet names a next one.")
        if page.next > MAX_PAGES:
            raise IncompleteListError(f"The marketplace's list has more than {MAX_PAGES} pages.")
        number = page.next
        page = fetch(number)
        yield number, page


def _pages(fetch: Callable[[int], Page], numbers: range | list[int], connections: int) -> Iterator[Page]:
    """The pages of these numbers, in their order, fetched ahead; never more than 2 a connection wait.

    As many connections are used as the marketplace's latency calls for: threads that wait for nothing but each
    other cost more than they bring.
    """
    waiting = iter(numbers)
    for number in waiting:
        began, worked = time.perf_counter(), time.thread_time()
        page = fetch(number)
        latency, work = time.perf_counter() - began, time.thread_time() - worked
        yield _not_empty(number, page)
        connections = min(connections, max(1, round(latency / max(work, 1e-6) / WORTH_A_THREAD)))
        break
    if connections == 1:
        for number in waiting:
            yield _not_empty(number, fetch(number))
        return
    with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
        ahead: deque[tuple[int, Future[Page]]] = deque()
        try:
            for number in waiting:
                ahead.append((number, pool.submit(fetch, number)))
                if len(ahead) >= 2 * connections:
                    number, future = ahead.popleft()
                    yield _not_empty(number, future.result())
            while ahead:
                number, future = ahead.popleft()
                yield _not_empty(number, future.result())
        finally:
            for _, future in ahead:
                future.cancel()


def _not_empty(number: int, page: Page) -> Page:
    if not page.records and page.next is not None:
        raise IncompleteListError(f"Page {number} of the marketplace's list is empty, yet names a next one.")
    return page


def _page_count(total: int, page_size: int) -> int:
    pages = ceil(total / page_size)
    if pages > MAX_PAGES:
        raise IncompleteListError(f"The marketplace's list has {pages} pages; more than {MAX_PAGES} are not read.")
    return pages


def _ids(page: Page) -> list[str]:
    return [record.record_id for record in page.records]


def fingerprint(raw: bytes, version: bytes) -> bytes:
    """A 16-byte hash of a raw record. `version` is the adapter's: a new one makes every record count as changed."""
    return hashlib.blake2b(raw, digest_size=16, person=version).digest()
