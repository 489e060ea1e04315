"""Reads lists whose next page is found by what the page before says: a page token, a link, or the last record's id."""

import itertools
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.circles import without_circles
from orders_sync.marketplaces.kit.errors import AnswerTooLargeError, IncompleteListError
from orders_sync.marketplaces.kit.large_pages import FirstRecord, can_not_be_smaller
from orders_sync.marketplaces.kit.links import path_of_link
from orders_sync.marketplaces.kit.paging import MAX_PAGES


class CursorPage(msgspec.Struct, frozen=True, gc=False):
    """One page of a list that is read by page tokens or links."""

    records: list[RawRecord]
    next: object
    """The token of the next page, or the link to it, as the answer has it; None, "" and false on the last page.

    Give it as it is, of whatever type: what can't be read is an error, never the end of the list.
    """


class IdPage(msgspec.Struct, frozen=True, gc=False):
    """One page of a list whose next page begins after the id of a record."""

    records: list[RawRecord]
    has_more: object
    """Whether more records follow, as the answer has it, of whatever type.

    False means no, and so does None on a page that is not full: JSON of protocol buffers (proto3) leaves false out.
    After a full page with None, and after what can't be read, the next page is requested; if it is empty, the list has
    ended.
    """


class _AnyPage(Protocol):
    @property
    def records(self) -> list[RawRecord]: ...


_Page = TypeVar("_Page", bound=_AnyPage)


def read_cursor(fetch: Callable[[str | None], CursorPage]) -> Iterator[list[RawRecord]]:
    """All records of a list that is sorted by something that never changes (an id, the creation time); page by page.

    `fetch` gets a page by its token, None for the first one. Records that are added or changed during the reading move
    no others, so one reading is enough. Raises IncompleteListError, after the page's records, for a token that can't be
    read or comes again, for an empty page that is not the last, and for more than MAX_PAGES.
    """

    def following(page: CursorPage, cursor: str | None, number: int) -> str | None:
        return _text(page.next, number)

    return _read(_bounded(fetch), following)


def read_links(fetch: Callable[[str], CursorPage], first: str, base_url: str) -> Iterator[list[RawRecord]]:
    """Like `read_cursor`, of a list whose pages link to the next one.

    `fetch` gets a page by its path and query; `first` is that of the first page. Links are followed on the account's
    own host only, that of `base_url`.
    """

    def following(page: CursorPage, cursor: str | None, number: int) -> str | None:
        link = _text(page.next, number)
        return None if link is None else path_of_link(link, base_url, cursor or first)

    return _read(_bounded(lambda cursor: fetch(cursor or first)), following)


def _bounded(fetch: Callable[[str | None], CursorPage]) -> Callable[[str | None], CursorPage]:
    """Raises IncompleteListError, with the remedy, for a page that is too large: only the page names the next one."""

    def fetch_page(cursor: str | None) -> CursorPage:
        try:
            return fetch(cursor)
        except AnswerTooLargeError as problem:
            raise can_not_be_smaller(problem, "Only this page names the next one") from None

    return fetch_page


def read_after_ids(
    fetch: Callable[[str | None, int], IdPage],
    id_of: Callable[[RawRecord], str],
    page_size: int,
    largest: int,
    first_record: FirstRecord | None = None,
) -> Iterator[list[RawRecord]]:
    """Like `read_cursor`, of a list whose next page begins after the id of the last record.

    `fetch` gets the page of so many records after an id, None for the first one. `id_of` returns the id of a record as
    the contract writes it; "" if it is not certain. If the last record has none, the page after it begins after the
    last certain id, so that records come again and none is missed. If a page has none, it is requested again with
    `largest` records, the most that the contract allows; then it is an error. `first_record`
    (`pages.first_record_reader`): a page that is too large is read in smaller ones; a record that is too large alone
    comes as its beginning, and needs its id there.
    """

    def fetch_page(cursor: str | None) -> IdPage:
        try:
            page = _marked(fetch(cursor, page_size), page_size)
        except AnswerTooLargeError as problem:
            return _smaller_page(fetch, cursor, page_size, id_of, first_record, problem)
        is_stuck = page.records and page.has_more and not _last_id(page, id_of)
        return _marked(fetch(cursor, largest), largest) if is_stuck and page_size < largest else page

    def following(page: IdPage, cursor: str | None, number: int) -> str | None:
        if not page.has_more:
            return None
        last = _last_id(page, id_of)
        if page.records and not last:
            raise IncompleteListError(
                f"None of the {len(page.records)} records on page {number} of the marketplace's list has an id that "
                "can be read. The next page begins after such an id: it can't be requested."
            )
        return last

    return _read(fetch_page, following)


def _smaller_page(
    fetch: Callable[[str | None, int], IdPage],
    cursor: str | None,
    size: int,
    id_of: Callable[[RawRecord], str],
    first_record: FirstRecord | None,
    problem: AnswerTooLargeError,
) -> IdPage:
    """As many of the records after an id as can be read at once; a single one as its beginning."""
    if first_record is None:
        raise can_not_be_smaller(problem, "This list is not read in smaller pages") from None
    while size > 1:
        size //= 2
        try:
            return _marked(fetch(cursor, size), size)
        except AnswerTooLargeError as of_smaller:
            problem = of_smaller
    record = first_record(problem.beginning)
    if not id_of(record):
        raise can_not_be_smaller(problem, "A single record is too large, and its beginning has no id") from None
    return IdPage([record], has_more=True)


def _marked(page: IdPage, size: int) -> IdPage:
    """A page of at most so many records, with true or false for whether to request the next one."""
    if isinstance(page.has_more, bool):
        return page
    is_last = len(page.records) < size if page.has_more is None else not page.records
    return IdPage(page.records, not is_last)


def _last_id(page: IdPage, id_of: Callable[[RawRecord], str]) -> str:
    """The last certain id on a page; "" if there is none."""
    return next((certain for record in reversed(page.records) if (certain := id_of(record))), "")


@without_circles
def _read(
    fetch: Callable[[str | None], _Page], following: Callable[[_Page, str | None, int], str | None]
) -> Iterator[list[RawRecord]]:
    """The pages' records. `following` returns the cursor after a page, by the page, its own cursor and its number.

    A page's records are yielded before the cursor is read, so that they are kept if it is an error.
    """
    cursor: str | None = None
    seen: set[str] = set()
    for number in itertools.count(1):
        page = fetch(cursor)
        yield page.records
        cursor = following(page, cursor, number)
        if cursor is None:
            return
        if not page.records:
            raise IncompleteListError(f"Page {number} of the marketplace's list is empty, yet there is more.")
        if cursor in seen:
            raise IncompleteListError(f"Page {number} of the marketplace's list leads back to an earlier page.")
        if number >= MAX_PAGES:
            raise IncompleteListError(f"The marketplace's list has more than {MAX_PAGES} pages.")
        seen.add(cursor)


def _text(value: object, number: int) -> str | None:
    """A token or link; None if there is none. Raises IncompleteListError if there is one that can't be read."""
    if value is None or value is False or value == "":
        return None
    if isinstance(value, int) and value is not True:
        return str(value)
    if not isinstance(value, str):
        raise IncompleteListError(
            f"Page {number} of the marketplace's list names the next page by a value that is neither text nor null: "
            "it can't be requested."
        )
    return value
