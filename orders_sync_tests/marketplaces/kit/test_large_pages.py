"""Pages that are too large: every record comes whole, or as its beginning if it is too large alone; else it is an error."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.cursors import CursorPage, IdPage, read_after_ids, read_cursor, read_links
from orders_sync.marketplaces.kit.decoding import record_reader
from orders_sync.marketplaces.kit.errors import AnswerTooLargeError, IncompleteListError, RecordNotFoundError
from orders_sync.marketplaces.kit.linked_pages import read_linked
from orders_sync.marketplaces.kit.page import FetchPage, Page, offset_page
from orders_sync.marketplaces.kit.pages import first_record_reader
from orders_sync.marketplaces.kit.paging import read_counted

LARGEST = 10
"""How much a page may weigh. A record weighs 1, unless a test says otherwise."""
REMEDY = "Call the marketplace."


class Orders(msgspec.Struct):
    orders: list[msgspec.Raw]


record = record_reader(b"test-1", record_id="id", created="created", modified=None)
first_record = first_record_reader(Orders, record)


class Shop:
    """A list of the records 1, 2, 3 and so on, oldest first."""

    def __init__(self, count: int, weights: dict[int, int]) -> None:
        self.count = count
        self.weights = weights
        self.calls = 0

    def listed(self, begin: int, size: int) -> list[RawRecord]:
        """The records after the first `begin`. Raises AnswerTooLargeError, as the client does."""
        self.calls += 1
        numbers = range(begin + 1, min(begin + size, self.count) + 1)
        if sum(self.weights.get(number, 1) for number in numbers) > LARGEST:
            beginning = b'{"page": 1, "orders": [{"id": %d, "note": "xxx' % numbers[0]
            raise AnswerTooLargeError("The page is too large", beginning, REMEDY)
        return [record(b'{"id": %d}' % number) for number in numbers]

    def too_large(self) -> set[str]:
        return {str(number) for number, weight in self.weights.items() if weight > LARGEST and number <= self.count}


def numbered(shop: Shop) -> FetchPage:
    def fetch(number: int, size: int) -> Page:
        records = shop.listed((number - 1) * size, size)
        if not records and number > 1:
            raise RecordNotFoundError("There is no such page.", 404)
        return Page(records, shop.count, number + 1 if number * size < shop.count else None)

    return fetch


def by_offset(shop: Shop) -> FetchPage:
    return lambda number, size: offset_page(shop.listed((number - 1) * size, size), shop.count, number, size)


def check(shop: Shop, read: list[RawRecord]) -> None:
    assert {one.record_id for one in read} == {str(number) for number in range(1, shop.count + 1)}
    assert {one.record_id for one in read if one.is_cut_off} == shop.too_large()


SHOPS = {
    "count": st.integers(0, 40),
    "weights": st.dictionaries(st.integers(1, 40), st.sampled_from([2, 5, 10, 11, 99]), max_size=8),
    "page_size": st.sampled_from([1, 2, 5, 7, 10, 50]),
}


@settings(max_examples=150, deadline=None)
@given(**SHOPS)
@example(count=1, weights={1: 99}, page_size=50)
@example(count=1, weights={1: 99}, page_size=1)
@example(count=2, weights={1: 99, 2: 99}, page_size=1)
@pytest.mark.parametrize("style", [numbered, by_offset])
@pytest.mark.parametrize("connections", [1, 3])
def test_a_counted_list_is_read_whole(
    style: Callable[[Shop], FetchPage], connections: int, count: int, weights: dict[int, int], page_size: int
) -> None:
    shop = Shop(count, weights)
    pages = read_counted(style(shop), page_size, connections, by_offset=style is by_offset, first_record=first_record)
    # Pages of one record are the same in both styles.
    if (style is numbered or page_size == 1) and len(shop.too_large()) == count > 0:
        with pytest.raises(IncompleteListError, match="No answer of the marketplace's list could be read"):
            list(pages)
    else:
        check(shop, [one for page in pages for one in page])


@settings(max_examples=150, deadline=None)
@given(**SHOPS)
def test_a_list_that_goes_on_after_an_id_is_read_whole(count: int, weights: dict[int, int], page_size: int) -> None:
    shop = Shop(count, weights)

    def fetch(cursor: str | None, size: int) -> IdPage:
        begin = int(cursor or 0)
        return IdPage(shop.listed(begin, size), begin + size < shop.count)

    pages = read_after_ids(fetch, lambda one: one.record_id, page_size, 50, first_record)
    check(shop, [one for page in pages for one in page])


def test_one_large_record_costs_few_calls() -> None:
    shop = Shop(50, {33: 99})
    shop.weights |= {number: 0 for number in range(1, 51) if number != 33}
    list(read_counted(numbered(shop), 50, 1, first_record=first_record))
    assert shop.calls == 1 + 2 + 5 + 5


def test_a_marketplace_that_ignores_the_page_size_is_an_error() -> None:
    shop = Shop(5, {1: 99})
    with pytest.raises(IncompleteListError, match=rf"too large\. The marketplace ignores the page size.*{REMEDY}"):
        list(read_counted(lambda number, size: numbered(shop)(1, 50), 50, 1, first_record=first_record))


def test_a_marketplace_that_ignores_the_page_size_hides_no_record() -> None:
    """Its only page is too large, and its next one is empty."""
    shop = Shop(5, {1: 99})
    with pytest.raises(IncompleteListError):
        list(read_counted(lambda number, size: numbered(shop)(number, 50), 50, 1, first_record=first_record))


def test_a_page_that_is_too_large_though_its_only_record_is_not_is_an_error() -> None:
    with pytest.raises(IncompleteListError, match="the record itself is not"):
        first_record(b'{"orders": [{"id": 1, "lines": [{}]}, {"id": 2, "no')


def test_an_id_that_is_not_in_the_beginning_is_not_known() -> None:
    found = [first_record(b) for b in (b'{"orders": [{"note": "xx', b'{"orders": [{"lines": [{"id": 1}', b'{"x": "y')]
    assert [(one.record_id, one.is_cut_off) for one in found] == [("", True)] * 3


def test_a_list_that_can_not_be_read_in_smaller_pages_ends_with_the_remedy() -> None:
    def pages(*_: object) -> Page:
        raise AnswerTooLargeError("The page is too large", b"", REMEDY)

    def of_ids(*_: object) -> IdPage:
        raise AnswerTooLargeError("The page is too large", b'{"orders": [{"note": "xx', REMEDY)

    def of_cursors(*_: object) -> CursorPage:
        raise AnswerTooLargeError("The page is too large", b"", REMEDY)

    for read, why in (
        (lambda: read_counted(pages, 50, 1), "This list is not read in smaller pages"),
        (lambda: read_after_ids(of_ids, str, 50, 50), "This list is not read in smaller pages"),
        (lambda: read_after_ids(of_ids, lambda one: one.record_id, 50, 50, first_record), "its beginning has no id"),
        (lambda: read_cursor(of_cursors), "Only this page names the next one"),
        (lambda: read_links(of_cursors, "/orders", "https://shop.example.com"), "Only this page names the next one"),
        (lambda: read_linked(pages, lambda: datetime.now(UTC)), "The contract has no page size for this list"),
    ):
        with pytest.raises(IncompleteListError, match=rf"The page is too large\. .*{why}, so .*{REMEDY}"):
            list(read())
