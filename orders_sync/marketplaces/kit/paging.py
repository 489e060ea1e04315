"""Reads paged lists to their end, completely, while they change."""

import hashlib
import itertools
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from math import ceil
from operator import ne
from urllib.parse import urlsplit

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import IncompleteListError

MAX_PAGES = 200_000
"""Pages of one list. A longer one is an error, never treated as its end."""
MAX_READINGS = 5
"""How often a list that changes during the reading is read again before the pass fails."""

LATENCY_PER_THREAD = 3.0
"""Each further connection needs a thread, which pays once a page's latency is so many times its CPU time."""
CLOCK_MARGIN = timedelta(seconds=5)
"""How far our reading of the marketplace's clock may be wrong: its Date header has whole seconds and arrives late."""


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a list with numbered pages."""

    records: list[RawRecord]
    total: int | None
    """How many records the whole list holds; None if the answer does not say."""
    next: int | None
    """The number of the next page; None on the last one."""


class _Seen:
    """Counts distinct records, in 8 bytes for each."""

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
    """All records of a list of numbered pages whose answers give the list's length; page by page.

    `fetch` gets a page by its number, from 1, and is called from up to `connections` threads. Records may come twice.
    During the reading, records may be added and move within the list, but none leaves it (its filter has no upper
    bound): once as many distinct records were seen as the list holds at its end, none was missed. If fewer were seen,
    the first and the last page are read again, then all pages. Raises IncompleteListError if no reading was complete.
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
    yield from _arrivals(reading, fetch, page_size, _page_count(first.total, page_size))
    yield from _read_until_complete(reading, fetch, page_size, connections)


def _arrivals(
    reading: "_Reading", fetch: Callable[[int], Page], page_size: int, pages_read: int
) -> Iterator[list[RawRecord]]:
    """The pages that were added to the end of the list during the reading: those of a list sorted oldest first."""
    while pages_read < _page_count(reading.total, page_size) or (reading.last.next or 0) > pages_read > 0:
        pages_read += 1
        yield reading.note(_not_empty(pages_read, fetch(pages_read)))


def _read_until_complete(
    reading: "_Reading", fetch: Callable[[int], Page], page_size: int, connections: int
) -> Iterator[list[RawRecord]]:
    """The pages of further readings, none if the list is complete. Raises IncompleteListError after MAX_READINGS."""
    for number in range(1, MAX_READINGS + 1):
        if reading.complete():
            return
        last = max(1, _page_count(reading.total, page_size))
        # A list sorted newest first has its arrivals on its first page.
        pages = sorted({1, last}) if number == 1 and not reading.shrunk else list(range(1, last + 1))
        reading.shrunk = False
        for page in _pages(fetch, pages, connections):
            yield reading.note(page)
    if not reading.complete():
        raise IncompleteListError(
            f"The marketplace says that its list holds {reading.total} records, and {MAX_READINGS} readings found "
            f"{reading.seen.distinct()} of them while it kept changing."
        )


class _Reading:
    """What was seen of a list so far, and how many records it says to hold."""

    def __init__(self, first: Page, total: int) -> None:
        self.seen = _Seen()
        self.seen.add(first.records)
        self.total = total
        self.last = first
        self.shrunk = False

    def note(self, page: Page) -> list[RawRecord]:
        """Counts a page's records, and returns them."""
        if page.total is not None:
            # A record that left the list has moved the later ones up: one may be on a page that was read before.
            self.shrunk = self.shrunk or page.total < self.total
            self.total = page.total
        self.last = page
        self.seen.add(page.records)
        return page.records

    def complete(self) -> bool:
        """Whether every record of the list was seen. Sorts a key of each: call it once for each reading."""
        return not self.shrunk and self.seen.distinct() >= self.total


def read_linked(fetch: Callable[[int], Page], now: Callable[[], datetime]) -> Iterator[list[RawRecord]]:
    """All records of a list whose pages each name the next one and do not give the list's length; page by page.

    `fetch` gets a page by its number, from 1. `now` returns the time by the marketplace's clock. A record that moves
    during the reading can hide another one, and records move when they are modified: if the first or last page changed,
    or a record was modified since the reading began, the list is read again, until two readings agree. Raises
    IncompleteListError if MAX_READINGS did not agree, or for a link that does not lead forward.
    """
    previous: set[tuple[str, datetime | None]] | None = None
    for _ in range(MAX_READINGS):
        first = fetch(1)
        began = now() - CLOCK_MARGIN
        seen = {(record.record_id, record.modified_at) for record in first.records}
        last_number, last = 1, first
        yield first.records
        for number, page in _follow(first, fetch):
            last_number, last = number, page
            seen |= {(record.record_id, record.modified_at) for record in last.records}
            yield last.records
        if last_number == 1 or seen == previous:
            return
        moved = any(at is not None and at.tzinfo is not None and at >= began for _, at in seen)
        if not moved and _ids(fetch(1)) == _ids(first) and _ids(fetch(last_number)) == _ids(last):
            return
        previous = seen
    raise IncompleteListError(f"The marketplace's list changed during each of {MAX_READINGS} readings.")


class CursorPage(msgspec.Struct, frozen=True, gc=False):
    """One page of a list that is read by a cursor."""

    records: list[RawRecord]
    next: str | None
    """The cursor of the next page, e.g. an id, a page token or a link; None on the last one."""


def read_cursor(fetch: Callable[[str | None], CursorPage]) -> Iterator[list[RawRecord]]:
    """All records of a list that is sorted by something that never changes (an id, the creation time); page by page.

    `fetch` gets a page by its cursor, None for the first one. Records that are added or changed during the reading move
    no others, so one reading is enough. Raises IncompleteListError for a cursor that comes again, for an empty page
    that is not the last, and for more than MAX_PAGES.
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
            raise IncompleteListError(f"Page {number} of the marketplace's list leads back to an earlier page.")
        if number >= MAX_PAGES:
            raise IncompleteListError(f"The marketplace's list has more than {MAX_PAGES} pages.")
        seen.add(page.next)
        cursor = page.next
        yield page.records


def path_of_link(link: str, base_url: str) -> str:
    """The path and query of a link to the next page, to be requested at the account's own `base_url`.

    Raises IncompleteListError for a link to another host.
    """
    target, base = urlsplit(link), urlsplit(base_url)
    if target.netloc and target.netloc != base.netloc:
        raise IncompleteListError(f"The marketplace's list goes on at another host ({target.hostname}): not followed.")
    return target.path.removeprefix(base.path.rstrip("/")) + (f"?{target.query}" if target.query else "")


def _follow(first: Page, fetch: Callable[[int], Page]) -> Iterator[tuple[int, Page]]:
    """The pages after the first one with their numbers, each fetched once the one before has named it."""
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


def _pages(fetch: Callable[[int], Page], numbers: Sequence[int], connections: int) -> Iterator[Page]:
    """The pages with these numbers, in their order, over as many of the connections as the latency is worth."""
    if not numbers:
        return
    wall_began, cpu_began = time.perf_counter(), time.thread_time()
    first = fetch(numbers[0])
    latency, cpu_seconds = time.perf_counter() - wall_began, time.thread_time() - cpu_began
    yield _not_empty(numbers[0], first)
    # Threads that wait for each other instead of the marketplace cost more than they gain.
    useful = min(connections, max(1, round(latency / max(cpu_seconds, 1e-6) / LATENCY_PER_THREAD)))
    if useful > 1:
        yield from _fetched_ahead(fetch, numbers[1:], useful)
    else:
        for number in numbers[1:]:
            yield _not_empty(number, fetch(number))


def _fetched_ahead(fetch: Callable[[int], Page], numbers: Sequence[int], connections: int) -> Iterator[Page]:
    """The pages with these numbers, in their order; for each connection at most two are fetched ahead."""
    with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
        ahead: deque[tuple[int, Future[Page]]] = deque()
        try:
            for number in numbers:
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
    """The page. Raises IncompleteListError if it is empty and not the last one."""
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
    """A hash of a raw record, 16 bytes. `version` is the adapter's: a new one makes every record count as changed."""
    return hashlib.blake2b(raw, digest_size=16, person=version).digest()
