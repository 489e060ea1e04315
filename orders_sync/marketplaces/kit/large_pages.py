"""Pages that are too large to be read: they are read in smaller ones, down to one record, where the contract allows.

A record that is too large alone comes as its beginning, which the pass puts off: the list goes on behind it.
"""

from collections.abc import Callable
from itertools import count

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import (
    AnswerTooLargeError,
    CredentialRefusedError,
    IncompleteListError,
    RequestRefusedError,
)
from orders_sync.marketplaces.kit.page import FetchPage, Page, length_of

FirstRecord = Callable[[bytes], RawRecord]
"""Reads the first record of an answer of which only the beginning is there: `pages.first_record_reader`."""


def can_not_be_smaller(problem: AnswerTooLargeError, why: str) -> IncompleteListError:
    """The error of a list that can't go on behind a page that is too large."""
    return IncompleteListError(f"{problem}. {why}, so the list can't go on. {problem.remedy}")


def in_smaller_pages(
    fetch: FetchPage, number: int, size: int, first_record: FirstRecord | None, problem: AnswerTooLargeError
) -> Page:
    """The page with this number, which is too large, from pages whose size divides its own.

    Raises IncompleteListError if the marketplace gives larger pages than requested, and if there is no `first_record`.
    """
    if first_record is None:
        raise can_not_be_smaller(problem, "This list is not read in smaller pages") from None
    if size == 1:
        # The list may as well end here.
        return Page([first_record(problem.beginning)], None, number + 1, next_is_guessed=True)
    parts = next(factor for factor in count(2) if size % factor == 0)
    smaller = size // parts
    records: list[RawRecord] = []
    total: object = None
    last: Page | None = None
    for part in range((number - 1) * parts + 1, number * parts + 1):
        page = _part(fetch, part, smaller, first_record, last)
        if page is None:
            break
        if len(page.records) > smaller or (last is not None and _is_same_beginning(page, last)):
            raise can_not_be_smaller(problem, "The marketplace ignores the page size") from None
        records += page.records
        total = page.total if length_of(page.total) is not None else total
        last = page
        if page.next is None:
            break
    more = last is not None and last.next is not None
    return Page(records, total, number + 1 if more else None, more and last is not None and last.next_is_guessed)


def _is_same_beginning(page: Page, before: Page) -> bool:
    """Whether two pages end with the beginning of the same record."""
    ends = [one.records[-1] for one in (page, before) if one.records and one.records[-1].is_cut_off]
    return len(ends) == 2 and ends[0].fingerprint == ends[1].fingerprint


def _part(fetch: FetchPage, number: int, size: int, first_record: FirstRecord, before: Page | None) -> Page | None:
    """A smaller page; None if the marketplace refuses it and the list may have ended before it."""
    try:
        return fetch(number, size)
    except AnswerTooLargeError as problem:
        return in_smaller_pages(fetch, number, size, first_record, problem)
    except CredentialRefusedError:
        raise
    except RequestRefusedError:
        if before is None or not before.next_is_guessed:
            raise
        return None
