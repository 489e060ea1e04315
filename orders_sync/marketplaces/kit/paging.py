"""Reads lists of numbered pages and of offsets to their end, completely, while they change."""

import logging
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from operator import ge, le

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.circles import without_circles
from orders_sync.marketplaces.kit.clock import MAX_AHEAD
from orders_sync.marketplaces.kit.errors import (
    AnswerTooLargeError,
    CredentialRefusedError,
    IncompleteListError,
    RequestRefusedError,
)
from orders_sync.marketplaces.kit.fetch_ahead import pages_ahead
from orders_sync.marketplaces.kit.large_pages import FirstRecord, in_smaller_pages
from orders_sync.marketplaces.kit.page import FetchPage, Page, ids_of, length_of
from orders_sync.model.errors import OrdersSyncError

log = logging.getLogger("orders_sync.sync")

MAX_PAGES = 200_000
"""Pages of one list. A longer one is an error, never treated as its end."""
MAX_READINGS = 5
"""How often a list that changes during the reading is read again before the pass fails."""

Split = Callable[[datetime | None, datetime | None], FetchPage | None]
"""The pages of a part of a list: created at or after the first time, or at or before the second one; None of both is
set at once. Returns None if the contract has no such filter."""


class _Seen:
    """Counts distinct records, in 8 bytes for each."""

    def __init__(self) -> None:
        self._keys = array("q")

    def add(self, records: list[RawRecord]) -> None:
        self._keys.extend([hash(record.record_id or record.fingerprint) for record in records])

    def distinct(self) -> int:
        return len(set(self._keys))


@without_circles
def read_counted(
    fetch: FetchPage,
    page_size: int,
    connections: int,
    *,
    by_offset: bool = False,
    split: Split | None = None,
    first_record: FirstRecord | None = None,
) -> Iterator[list[RawRecord]]:
    """All records of a list of numbered pages whose answers give the list's length; page by page.

    `fetch` is called from up to `connections` threads, and requests pages of `page_size` records. If the marketplace
    gives fewer, its size is followed. `by_offset`: pages begin at a number of records: a short page leaves a gap.
    `split` makes the rest of a list a list of its own, which begins where the marketplace refuses to go on.
    `first_record` (`pages.first_record_reader`): a page that is too large is read in smaller ones.

    Records may come twice. During the reading, records may be added and move within the list, but none leaves it (its
    filter has no upper bound): once as many distinct records were seen as the list holds at its end, none was missed.
    If fewer were seen, the first and the last page are read again, then all pages. The length that the marketplace
    gives is never the end of a list whose pages go on, and where two readings find the same records and their end,
    they count more than the length. Raises IncompleteListError if no reading was complete.
    """
    part = fetch
    seen = 0
    while True:
        reading = _CountedList(part, page_size, connections, by_offset, first_record)
        try:
            yield from reading.read()
        except _RefusedPageError as refused:
            rest = reading.rest(split)
            seen += reading.seen.distinct()
            if rest is None:
                raise IncompleteListError(
                    f"{refused.reason} The marketplace refuses page {refused.number} of its list after {seen} records, "
                    "which are kept; the list can't be split by time."
                ) from None
            part = rest
        else:
            return


class _RefusedPageError(OrdersSyncError):
    """The marketplace refuses a page that must exist. It never leaves this module."""

    def __init__(self, number: int, reason: RequestRefusedError) -> None:
        super().__init__(str(reason))
        self.number = number
        self.reason = reason


class _Versions:
    """The distinct versions of records that one reading saw, in 8 bytes for each."""

    def __init__(self) -> None:
        self._keys = array("q")

    def add(self, records: list[RawRecord]) -> None:
        self._keys.extend([hash(record.fingerprint) for record in records])

    def distinct(self) -> bytes:
        """The versions, in a form that can be compared with another reading's."""
        return array("q", sorted(set(self._keys))).tobytes()


class _CountedList:
    """A list of numbered pages, and what was seen of it so far."""

    def __init__(
        self, fetch: FetchPage, page_size: int, connections: int, by_offset: bool, first_record: FirstRecord | None
    ) -> None:
        self._fetch = fetch
        self._first_record = first_record
        self._size = self._shortest = page_size
        self._connections = connections
        self._by_offset = by_offset
        self.seen = _Seen()
        self._begin_reading()

    def _begin_reading(self) -> None:
        self._versions = _Versions()
        self._total = 0
        self._times: list[datetime] = []
        self._shrunk = False
        """Whether the list lost records during this reading."""
        self._uneven = False
        """Whether a page may have left a gap."""
        self._repeats = False
        """Whether a full page of this reading brought nothing new."""
        self._is_cut_off = False
        """Whether a record of this reading was too large to be read whole."""
        self._is_certain = False
        """Whether an answer of this reading had the list's length, or a whole record."""
        self._size = max(1, self._shortest)

    def read(self) -> Iterator[list[RawRecord]]:
        """The pages of as many readings as it takes. Raises IncompleteListError, or _RefusedPageError."""
        previous: tuple[int, bytes] | None = None
        for number in range(1, MAX_READINGS + 1):
            yield from self._read_once(again=number > 1)
            if self._complete():
                return
            if number == 1 and not self._shrunk and not self._uneven:
                # A list sorted newest first has its arrivals on its first page.
                ends = {1, max(1, self._page_count())}
                for page_number in sorted(number for number in ends if number <= MAX_PAGES):
                    page = self._request(page_number)
                    if page.refused is None:
                        yield self._note(page_number, page)
                if self._complete():
                    return
            found = self._total, self._versions.distinct()
            agree = found == previous and not self._shrunk
            if agree or number == MAX_READINGS:
                self._settle(number, agree)
                return
            previous = found
            self._begin_reading()

    def _settle(self, readings: int, agree: bool) -> None:
        """Ends the reading of a list that has fewer records than it is said to hold.

        Where two readings agree, the length is wrong: it counts records twice, or some that are not listed; of an empty
        list, it may be that of the list without the filter. Raises IncompleteListError where they do not agree, where
        pages repeat each other, or where a page beyond empty ones has records.
        """
        count = self.seen.distinct()
        is_hollow = count > 0 and not self._versions.distinct()
        if agree and not (self._repeats or self._is_cut_off or is_hollow):
            log.warning("The marketplace's list is said to hold %d records; two readings found %d.", self._total, count)
            return
        why = "its pages repeat each other" if self._repeats else "they are missing" if agree else "it kept changing"
        why += ", beside a record that is too large" if self._is_cut_off else ""
        raise IncompleteListError(
            f"The marketplace says that its list holds {self._total} records, and {readings} readings found {count} of "
            f"them: {why}."
        )

    def _read_once(self, *, again: bool) -> Iterator[list[RawRecord]]:
        """The pages of one reading, each requested while the list's length or the page before says that it exists."""
        last = _not_empty(1, self._fetch_whole(1))
        yield self._note(1, last)
        more = last.next is not None or self._total != len(last.records)
        if more and 0 < len(last.records) < self._size:
            self._size = self._shortest = len(last.records)
        number = 1
        known = ids_of(last) if again else None
        counted = range(2, min(self._page_count(), MAX_PAGES) + 1)
        with closing(pages_ahead(self._request, counted, self._connections)) as pages:
            for number, page in pages:
                if self._is_end(number, page, last):
                    return
                if known is not None:
                    self._repeats = self._repeats or self._is_repeat(page, known)
                    known |= ids_of(page)
                self._note_gap(last)
                last = page
                yield self._note(number, page)
        while (following := self._following(number, last)) is not None:
            if following > MAX_PAGES:
                raise IncompleteListError(f"The marketplace's list has more than {MAX_PAGES} pages.")
            number, page = following, self._request(following)
            if self._is_end(number, page, last):
                return
            if number > self._page_count():  # the list's length does not show its end
                known = ids_of(last) if known is None else known
                if ids_of(page) <= known:
                    if len(page.records) < self._size:
                        return  # the last page comes again
                    raise IncompleteListError(f"Page {number} of the marketplace's list repeats the pages before it.")
            if known is not None:
                known |= ids_of(page)
            self._note_gap(last)
            last = page
            yield self._note(number, page)

    def _following(self, number: int, last: Page) -> int | None:
        """The number of the page to request after the last one; None at the end."""
        if last.next is not None and last.next > number:
            return last.next
        if number < self._page_count():
            return number + 1
        said_too_few = self._total < (number - 1) * self._size + len(last.records)
        if last.next is not None and said_too_few:
            raise IncompleteListError(
                f"Page {number} of the marketplace's list names page {last.next} as its next one."
            )
        return number + 1 if said_too_few else None

    def _is_end(self, number: int, page: Page, before: Page) -> bool:
        """Whether the list has ended before this page. Raises if it can't have."""
        if page.refused is not None:
            is_missing = page.refused.status == HTTPStatus.NOT_FOUND
            if before.next is None or (before.next_is_guessed and is_missing):
                return True  # only the list's length says that there is such a page, or nothing does
            if is_missing:
                self._shrunk = True
                return True
            raise _RefusedPageError(number, page.refused)
        _not_empty(number, page)
        if page.records:
            if not before.records:
                raise IncompleteListError(
                    f"Page {number - 1} of the marketplace's list is empty, yet page {number} is not."
                )
            return False
        if number < self._page_count() and self._request(number + 1).records:
            raise IncompleteListError(
                f"Page {number} of the marketplace's list is empty, yet page {number + 1} is not."
            )
        return True

    def _is_repeat(self, page: Page, known: set[str]) -> bool:
        """Whether a full page brings nothing but what is known."""
        return len(page.records) >= self._size and ids_of(page) <= known

    def _note_gap(self, page: Page) -> None:
        """Notes a page that is short though another one follows it: after it, a list by offsets leaves a gap."""
        if self._by_offset and len(page.records) < self._size:
            self._uneven = True
            self._shortest = min(self._shortest, len(page.records))

    def _request(self, number: int) -> Page:
        """A page; one without records that says why, if the marketplace refuses it."""
        try:
            return self._fetch_whole(number)
        except CredentialRefusedError:
            raise
        except RequestRefusedError as error:
            if number == 1:
                raise
            return Page([], None, None, refused=error)

    def _fetch_whole(self, number: int) -> Page:
        """A page; from smaller ones if it is too large."""
        try:
            return self._fetch(number, self._size)
        except AnswerTooLargeError as problem:
            return in_smaller_pages(self._fetch, number, self._size, self._first_record, problem)

    def _note(self, number: int, page: Page) -> list[RawRecord]:
        """Counts a page's records, and returns them."""
        total = length_of(page.total)
        if total is not None and (number == 1 or total >= (number - 1) * self._size + len(page.records)):
            # A record that left the list has moved the later ones up: one may be on a page that was read before.
            self._shrunk = self._shrunk or total < self._total
            self._total = total
        self.seen.add(page.records)
        self._versions.add(page.records)
        self._is_cut_off = self._is_cut_off or any(record.is_cut_off for record in page.records)
        self._is_certain = self._is_certain or total is not None or not all(r.is_cut_off for r in page.records)
        self._times += _middle_times(page.records)
        return page.records

    def _page_count(self) -> int:
        return -(-self._total // self._size)

    def _complete(self) -> bool:
        """Whether every record of the list was seen. Sorts a key of each: call it once for each reading.

        Raises IncompleteListError if no answer was read, so that nothing shows whether the page size is obeyed.
        """
        if self._is_cut_off and not self._is_certain:
            raise IncompleteListError(
                "No answer of the marketplace's list could be read: a record is too large, and nothing shows whether "
                "there are others. The next pass that finds another record goes on; limits.answer_megabytes in the "
                "account's file allows larger answers."
            )
        return not self._shrunk and not self._uneven and self.seen.distinct() >= self._total

    def rest(self, split: Split | None) -> FetchPage | None:
        """The pages from the last one on that was read, as a list of their own; None if the contract has no such list.

        The list's order of creation shows on which side the rest lies. The end of the last page is read again, since
        the rest begins at a time that no odd one decides: the middle one of the page's second half.
        """
        if split is None or not self._times or self._times[0] == self._times[-1]:
            return None
        if all(map(le, self._times, self._times[1:])):
            return split(self._times[-1], None)
        if all(map(ge, self._times, self._times[1:])):
            return split(None, self._times[-1])
        return None


def _middle_times(records: list[RawRecord]) -> list[datetime]:
    """The middle creation time of each half of a page, as far as they are known and not of the future.

    An odd time of a record is none of them, as long as most times of the half are right.
    """
    middle = (len(records) + 1) // 2
    latest = datetime.now(UTC) + MAX_AHEAD
    halves = (records[:middle], records[middle:])
    known = ([r.created_at for r in half if r.created_at is not None and r.created_at <= latest] for half in halves)
    return [sorted(times)[len(times) // 2] for times in known if times]


def _not_empty(number: int, page: Page) -> Page:
    """The page. Raises IncompleteListError if it is empty and not the last one."""
    if not page.records and page.next is not None:
        raise IncompleteListError(f"Page {number} of the marketplace's list is empty, yet names a next one.")
    return page
