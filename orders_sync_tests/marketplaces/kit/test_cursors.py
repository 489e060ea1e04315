"""Lists that are read by page tokens, links or ids: what is unreadable is never taken for their end."""

from collections.abc import Callable

import pytest

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.cursors import (
    CursorPage,
    IdPage,
    read_after_ids,
    read_cursor,
    read_links,
)
from orders_sync.marketplaces.kit.errors import IncompleteListError


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


@pytest.mark.parametrize("end", [None, "", False])
def test_no_token_is_the_end(end: object) -> None:
    assert len(list(read_cursor(lambda _: CursorPage(_records("1"), end)))) == 1


@pytest.mark.parametrize("token", [True, {}, [], ["2"], {"token": "2"}, 1.5])
def test_a_token_that_can_not_be_read_is_an_error_after_the_records_of_its_page(token: object) -> None:
    pages = read_cursor(lambda _: CursorPage(_records("1"), token))
    assert _ids(next(pages)) == ["1"]
    with pytest.raises(IncompleteListError, match=r"Page 1 .* names the next page by a value that is neither text nor"):
        next(pages)


def test_a_token_that_is_a_number_is_followed() -> None:
    pages = {None: CursorPage(_records("1"), 2), "2": CursorPage(_records("2"), None)}
    assert [_ids(page) for page in read_cursor(lambda cursor: pages[cursor])] == [["1"], ["2"]]


class Numbers:
    """A list of numbered records; those in `without_id` have no readable id."""

    def __init__(self, count: int, without_id: set[int], *, says: object = True) -> None:
        self.count = count
        self.without_id = without_id
        self.says = says
        """What it says in the place of true and false; True: the truth."""
        self.calls: list[tuple[str | None, int]] = []

    def fetch(self, cursor: str | None, size: int) -> IdPage:
        self.calls.append((cursor, size))
        first = 1 + int(cursor or 0)
        numbers = range(first, min(first + size, self.count + 1))
        records = [RawRecord("" if n in self.without_id else str(n), str(n).encode(), b"") for n in numbers]
        return IdPage(records, first + size <= self.count if self.says is True else self.says)

    def read(self, size: int, largest: int = 100) -> set[int]:
        pages = read_after_ids(self.fetch, lambda record: record.record_id, size, largest)
        return {int(record.raw) for page in pages for record in page}


@pytest.mark.parametrize("without_id", [set[int](), {5}, {4, 5}, {10}, {11}, {5, 10, 6}])
def test_the_list_goes_on_after_the_last_certain_id(without_id: set[int]) -> None:
    assert Numbers(11, without_id).read(5) == set(range(1, 12))


def test_a_page_without_a_certain_id_is_requested_again_as_large_as_possible() -> None:
    numbers = Numbers(11, {3, 4})
    assert numbers.read(2, largest=4) == set(range(1, 12))
    assert numbers.calls[:3] == [(None, 2), ("2", 2), ("2", 4)]


def test_a_page_without_a_certain_id_is_an_error_that_says_so_after_its_records() -> None:
    seen: list[str] = []
    pages = read_after_ids(Numbers(11, {1, 2, 3}).fetch, lambda record: record.record_id, 2, 3)
    with pytest.raises(IncompleteListError, match=r"None of the 3 records on page 1 .* has an id that can be read"):
        seen.extend(record.raw.decode() for page in pages for record in page)
    assert seen == ["1", "2", "3"]


def test_the_last_page_needs_no_certain_id() -> None:
    assert Numbers(2, {1, 2}).read(2) == {1, 2}


@pytest.mark.parametrize("end", ["yes", "TRUE", "false", {}, [], 0, 2, 1.5])
@pytest.mark.parametrize("count", [0, 3, 4, 5])
def test_an_end_marker_that_can_not_be_read_is_no_end(end: object, count: int) -> None:
    numbers = Numbers(count, set(), says=end)
    assert numbers.read(2) == set(range(1, count + 1))
    assert len(numbers.calls) == -(-count // 2) + 1  # an empty page is the end


def test_false_is_the_end() -> None:
    assert Numbers(5, set(), says=False).read(2) == {1, 2}


@pytest.mark.parametrize(("count", "calls"), [(0, 1), (3, 2), (4, 3), (5, 3)])
def test_no_end_marker_is_the_end_of_a_page_that_is_not_full(count: int, calls: int) -> None:
    numbers = Numbers(count, set(), says=None)
    assert numbers.read(2) == set(range(1, count + 1))
    assert len(numbers.calls) == calls


BASE = "https://api.example.com/shop"


def test_links_are_followed_from_page_to_page() -> None:
    pages = {"/orders?page=1": "?page=2", "/orders?page=2": f"{BASE}/orders?page=3", "/orders?page=3": None}
    read: list[str] = []

    def fetch(path: str) -> CursorPage:
        read.append(path)
        return CursorPage(_records(path), pages[path])

    assert len(list(read_links(fetch, "/orders?page=1", BASE))) == 3
    assert read == list(pages)


def _records(*ids: str) -> list[RawRecord]:
    return [RawRecord(record_id, b"{}", b"") for record_id in ids]


def _ids(page: list[RawRecord]) -> list[str]:
    return [record.record_id for record in page]
