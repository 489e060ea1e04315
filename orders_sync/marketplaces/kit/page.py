"""One page of a list with numbered pages, as `paging` and `linked_pages` read it."""

from collections.abc import Callable

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import RequestRefusedError


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a list with numbered pages."""

    records: list[RawRecord]
    total: object
    """How many records the whole list holds, as the answer has it, of whatever type.

    Anything but a whole number from 0 on means that the length is not known.
    """
    next: int | None
    """The number of the next page; None on the last one. Where the contract names none: whether more may follow."""
    next_is_guessed: bool = False
    """Whether the answer names a next page in a way that can't be read: the list may as well end here."""
    refused: RequestRefusedError | None = None
    """Why the marketplace refused this page, which then has no records."""


MAX_LENGTH = 10**18
"""No list is as long as this: the length that an answer has is then no length."""

FetchPage = Callable[[int, int], Page]
"""Fetches a page of a list by its number, from 1, where each page holds so many records (the second argument).

With `first_record`, `read_counted` calls it for pages of any size from 1 to the page size: request that size.
"""


def length_of(total: object) -> int | None:
    """The length of a list, by what an answer has for it; None if that is no such number."""
    if isinstance(total, str) and len(total) <= 18 and total.isascii() and total.isdecimal():
        return int(total)
    if isinstance(total, bool) or not isinstance(total, int | float):
        return None
    return int(total) if 0 <= total < MAX_LENGTH and total == total // 1 else None


def offset_page(records: list[RawRecord], total: object, number: int, size: int) -> Page:
    """A page of a list that is paged by an offset, whose answers name no next page.

    `total`: the list's length, as the answer has it, of whatever type. `size`: how many records lie between two
    offsets. More may follow a full page, whatever length the list is said to have.
    """
    length = length_of(total)
    reached = (number - 1) * size + len(records)
    more = bool(records) and (len(records) >= size or (length is not None and reached < length))
    return Page(records, total, number + 1 if more else None)


def ids_of(page: Page) -> set[str]:
    return {record.record_id or record.fingerprint.hex() for record in page.records}
