"""Lists that never end: each new page, link or token is another one, and its records are those of earlier pages."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.circles import MAX_TIMES
from orders_sync.marketplaces.kit.cursors import CursorPage, IdPage, read_after_ids, read_cursor
from orders_sync.marketplaces.kit.errors import IncompleteListError
from orders_sync.marketplaces.kit.linked_pages import read_linked
from orders_sync.marketplaces.kit.page import Page
from orders_sync.marketplaces.kit.paging import read_counted

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Circle:
    """A list of a few pages of two records that come again for ever."""

    def __init__(self, length: int, before: int) -> None:
        """`before`: pages before the circle begins."""
        self.length = length
        self.before = before
        self.calls = 0

    def records(self) -> list[RawRecord]:
        page = self.calls if self.calls < self.before else self.before + (self.calls - self.before) % self.length
        self.calls += 1
        return [RawRecord(f"{page}-{n}", b"{}", b"") for n in range(2)]

    def counted(self) -> Iterator[list[RawRecord]]:
        return read_counted(lambda number, _: Page(self.records(), 10**9, number + 1), 2, 1)

    def linked(self) -> Iterator[list[RawRecord]]:
        return read_linked(lambda number: Page(self.records(), None, number + 1), lambda: NOW)

    def tokens(self) -> Iterator[list[RawRecord]]:
        return read_cursor(lambda _: CursorPage(self.records(), str(self.calls)))

    def ids(self) -> Iterator[list[RawRecord]]:
        return read_after_ids(lambda _, __: IdPage(self.records(), True), lambda _: str(self.calls), 2, 2)


@pytest.mark.parametrize("read", [Circle.counted, Circle.linked, Circle.tokens, Circle.ids])
@pytest.mark.parametrize(("length", "before"), [(1, 0), (1, 3), (3, 0), (7, 20)])
def test_a_circle_is_an_error_that_says_so_after_a_bounded_number_of_calls(
    read: Callable[[Circle], Iterator[list[RawRecord]]], length: int, before: int
) -> None:
    circle = Circle(length, before)
    with pytest.raises(
        IncompleteListError, match=r"leads in a circle: after \d+ pages, the same page of 2 records has"
    ):
        list(read(circle))
    assert circle.calls <= 4 * (MAX_TIMES * length + before) + 4


def test_a_long_list_that_is_read_several_times_is_no_circle() -> None:
    """Its first reading misses a record: it is read anew until two readings agree."""
    calls: list[int] = []

    def fetch(number: int, size: int) -> Page:
        calls.append(number)
        records = [RawRecord(str(n), b"{}", b"") for n in range((number - 1) * size, min(number * size, 9))]
        return Page(records, 10, number + 1 if number < 5 else None)

    seen = {record.record_id for page in read_counted(fetch, 2, 1) for record in page}
    assert seen == {str(n) for n in range(9)}
    assert len(calls) > 10
