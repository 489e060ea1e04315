"""Reading lists to their end while they change: no record that stays in the list is missed, or the reading fails."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import IncompleteListError
from orders_sync.marketplaces.kit.paging import CursorPage, Page, path_of_link, read_counted, read_cursor, read_linked


class ChangingList:
    """A list that is changed between the reader's calls; sorted newest or oldest first."""

    def __init__(self, size: int, page_size: int, newest_first: bool, changes: list[str], seed: int) -> None:
        self.records = list(range(size))
        self.page_size = page_size
        self.newest_first = newest_first
        self.changes = changes
        self.random = random.Random(seed)
        self.next_id = size
        self.calls = 0
        self.moved: dict[int, datetime] = {}

    def fetch(self, number: int) -> Page:
        self.calls += 1
        rows = list(reversed(self.records)) if self.newest_first else self.records
        page = rows[(number - 1) * self.page_size : number * self.page_size]
        more = number * self.page_size < len(rows)
        answer = Page([_record(row, self.moved.get(row)) for row in page], len(rows), number + 1 if more else None)
        if self.changes:
            self._change(self.changes.pop())
        return answer

    def _change(self, change: str) -> None:
        if change == "insert":
            self.records.append(self.next_id)
            self.next_id += 1
        elif change == "move" and self.records:
            moved = self.records.pop(self.random.randrange(len(self.records)))
            self.records.append(moved)
            self.moved[moved] = datetime.now(UTC)


def _record(number: int, moved: datetime | None = None) -> RawRecord:
    return RawRecord(str(number), b"{}", b"", None, moved or datetime(2020, 1, 1, tzinfo=UTC))


def now() -> datetime:
    return datetime.now(UTC)


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(0, 60),
    page_size=st.integers(1, 10),
    newest_first=st.booleans(),
    changes=st.lists(st.sampled_from(["insert", "move", "nothing"]), max_size=12),
    seed=st.integers(0, 99),
)
def test_a_counted_list_is_seen_whole_while_it_grows_and_moves(
    size: int, page_size: int, newest_first: bool, changes: list[str], seed: int
) -> None:
    listing = ChangingList(size, page_size, newest_first, list(changes), seed)
    seen = {record.record_id for page in read_counted(listing.fetch, page_size, 1) for record in page}
    assert seen >= {str(number) for number in range(size)}


def test_a_list_that_stands_still_costs_no_call_too_many() -> None:
    listing = ChangingList(1000, 50, True, [], 0)
    pages = list(read_counted(listing.fetch, 50, 8))
    assert (len(pages), listing.calls) == (20, 20)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(0, 60), newest_first=st.booleans(), at=st.integers(0, 6), seed=st.integers(0, 99))
def test_a_linked_list_is_seen_whole_though_a_record_moves(size: int, newest_first: bool, at: int, seed: int) -> None:
    changes = ["move"] + ["nothing"] * at
    listing = ChangingList(size, 10, newest_first, changes, seed)
    seen = {record.record_id for page in read_linked(listing.fetch, now) for record in page}
    assert seen == {str(number) for number in range(size)}


def test_a_list_that_shrinks_is_read_again() -> None:
    """A record that leaves moves the later ones up: one may slip past the reader."""
    listing = ChangingList(40, 10, False, [], 0)

    def fetch(number: int) -> Page:
        answer = listing.fetch(number)
        if listing.calls == 1:
            listing.records.pop(0)
        return answer

    seen = {record.record_id for page in read_counted(fetch, 10, 1) for record in page}
    assert seen >= {str(number) for number in range(1, 40)}


def test_a_list_that_never_holds_what_it_says_is_an_error() -> None:
    def fetch(number: int) -> Page:
        return Page([_record(number % 2)], 5, None)

    with pytest.raises(IncompleteListError, match="holds 5 records, and 5 readings found 2"):
        list(read_counted(fetch, 1, 1))


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page([_record(1)], None, 1), "names page 1 as its next one"),
        (Page([], None, 2), "is empty, yet names a next"),
    ],
)
def test_a_link_that_leads_nowhere_is_an_error_and_not_a_loop(page: Page, reason: str) -> None:
    with pytest.raises(IncompleteListError, match=reason):
        list(read_linked(lambda number: page, now))


def _cursor_pages(*pages: tuple[list[str], str | None]) -> Callable[[str | None], CursorPage]:
    """Pages by their cursors: the first one's is None, the others' is what the one before names."""
    by_cursor = dict(zip([None, *(following for _, following in pages)], pages, strict=False))

    def fetch(cursor: str | None) -> CursorPage:
        ids, following = by_cursor[cursor]
        return CursorPage([RawRecord(record_id, b"{}", b"") for record_id in ids], following)

    return fetch


def test_a_cursor_is_followed_to_the_end() -> None:
    fetch = _cursor_pages((["1", "2"], "2"), (["3"], "3"), ([], None))
    assert [[record.record_id for record in page] for page in read_cursor(fetch)] == [["1", "2"], ["3"], []]


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ([(["1"], "1"), ([], "2"), (["3"], None)], "Page 2 of the marketplace's list is empty, yet there is more"),
        ([(["1"], "1"), (["2"], "1")], "Page 2 of the marketplace's list leads back to an earlier page"),
    ],
)
def test_a_cursor_that_leads_nowhere_is_an_error(pages: list[tuple[list[str], str | None]], reason: str) -> None:
    with pytest.raises(IncompleteListError, match=reason):
        list(read_cursor(_cursor_pages(*pages)))


def test_a_link_is_followed_on_the_accounts_own_host_only() -> None:
    base = "https://api.example.com/shop"
    assert path_of_link("https://api.example.com/shop/orders?page=2", base) == "/orders?page=2"
    assert path_of_link("/shop/orders?page=2", base) == "/orders?page=2"
    with pytest.raises(IncompleteListError, match=r"another host \(evil.example.com\): not followed"):
        path_of_link("https://evil.example.com/orders", base)
