"""Reads lists of numbered pages that name the next one and do not give the list's length, while they change."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.circles import without_circles
from orders_sync.marketplaces.kit.errors import AnswerTooLargeError, IncompleteListError, RecordNotFoundError
from orders_sync.marketplaces.kit.large_pages import can_not_be_smaller
from orders_sync.marketplaces.kit.page import Page, ids_of
from orders_sync.marketplaces.kit.paging import MAX_PAGES, MAX_READINGS

CLOCK_MARGIN = timedelta(seconds=5)
"""How far our reading of the marketplace's clock may be wrong: its Date header has whole seconds and arrives late."""


@without_circles
def read_linked(fetch: Callable[[int], Page], now: Callable[[], datetime]) -> Iterator[list[RawRecord]]:
    """All records of a list whose pages each name the next one and do not give the list's length; page by page.

    `fetch` gets a page by its number, from 1. `now` returns the time by the marketplace's clock. A record that moves
    during the reading can hide another one, and records move when they are modified: if the first or last page changed,
    or a record was modified since the reading began, the list is read again, until two readings agree. Raises
    IncompleteListError if MAX_READINGS did not agree, or for a link that does not lead forward.
    """
    fetch = _bounded(fetch)
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
        moved = any(at is not None and at >= began for _, at in seen)
        if not moved and _ids(fetch(1)) == _ids(first) and _ids(fetch(last_number)) == _ids(last):
            return
        previous = seen
    raise IncompleteListError(f"The marketplace's list changed during each of {MAX_READINGS} readings.")


def _bounded(fetch: Callable[[int], Page]) -> Callable[[int], Page]:
    """Raises IncompleteListError, with the remedy, for a page that is too large: it has no size of our choice."""

    def fetch_page(number: int) -> Page:
        try:
            return fetch(number)
        except AnswerTooLargeError as problem:
            raise can_not_be_smaller(problem, "The contract has no page size for this list") from None

    return fetch_page


def _follow(first: Page, fetch: Callable[[int], Page]) -> Iterator[tuple[int, Page]]:
    """The pages after the first one with their numbers, each fetched once the one before has named it."""
    number, page = 1, first
    known = ids_of(first)
    while page.next is not None:
        if page.next <= number:
            raise IncompleteListError(
                f"Page {number} of the marketplace's list names page {page.next} as its next one."
            )
        if not page.records:
            raise IncompleteListError(f"Page {number} of the marketplace's list is empty, yet names a next one.")
        if page.next > MAX_PAGES:
            raise IncompleteListError(f"The marketplace's list has more than {MAX_PAGES} pages.")
        number, is_guessed = page.next, page.next_is_guessed
        try:
            page = fetch(number)
        except RecordNotFoundError:
            if is_guessed:
                return
            raise
        if is_guessed and page.records and ids_of(page) <= known:
            raise IncompleteListError(f"Page {number} of the marketplace's list repeats the pages before it.")
        known |= ids_of(page)
        yield number, page


def _ids(page: Page) -> list[str]:
    return [record.record_id for record in page.records]
