"""Reading lists to their end while they change: no record that stays in the list is missed, or the reading fails."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import IncompleteListError, RecordNotFoundError, RequestRefusedError
from orders_sync.marketplaces.kit.linked_pages import read_linked
from orders_sync.marketplaces.kit.page import FetchPage, Page, length_of, offset_page
from orders_sync.marketplaces.kit.paging import MAX_PAGES, read_counted


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

    def fetch(self, number: int, size: int = 0) -> Page:
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

    def fetch(number: int, size: int) -> Page:
        answer = listing.fetch(number)
        if listing.calls == 1:
            listing.records.pop(0)
        return answer

    seen = {record.record_id for page in read_counted(fetch, 10, 1) for record in page}
    assert seen >= {str(number) for number in range(1, 40)}


def test_a_list_that_never_holds_what_it_says_is_an_error() -> None:
    def fetch(number: int, size: int) -> Page:
        return Page([_record(number % 2)], 5, None)

    with pytest.raises(IncompleteListError, match=r"holds 5 records, and 2 readings found 2 .*repeat each other"):
        list(read_counted(fetch, 1, 1))


@pytest.mark.parametrize("said", [0, 7, 50, 10_000])
@pytest.mark.parametrize("connections", [1, 4])
def test_a_length_that_contradicts_the_pages_is_no_end_and_no_reason_to_fail(said: int, connections: int) -> None:
    """The list has three pages, each of which names the next one."""
    listing = ChangingList(130, 50, True, [], 0)

    def fetch(number: int, size: int) -> Page:
        page = listing.fetch(number)
        return Page(page.records, said, page.next)

    seen = {record.record_id for page in read_counted(fetch, 50, connections) for record in page}
    assert len(seen) == 130
    # Two readings of three pages and two empty ones, and the first and last page again; slow answers are read ahead.
    ahead = 0 if connections == 1 else 2 * connections
    assert listing.calls <= 2 * (3 + 2 + ahead) + 2


def test_a_length_that_is_wrong_on_one_page_only_costs_calls() -> None:
    listing = ChangingList(130, 50, True, [], 0)

    def fetch(number: int, size: int) -> Page:
        page = listing.fetch(number)
        return Page(page.records, 0 if number == 2 else 130, page.next)

    assert {record.record_id for page in read_counted(fetch, 50, 1) for record in page} == {str(n) for n in range(130)}


def test_another_page_is_requested_where_the_length_is_too_small() -> None:
    listing = ChangingList(130, 50, True, [], 0)

    def fetch(number: int, size: int) -> Page:
        return Page(listing.fetch(number).records, 0, None)

    assert len([record for page in read_counted(fetch, 50, 1) for record in page]) == 130
    assert listing.calls == 4  # the last one shows the end


def test_pages_that_repeat_each_other_without_end_are_an_error() -> None:
    calls = 0

    def fetch(number: int, size: int) -> Page:
        nonlocal calls
        calls += 1
        return Page([_record(1), _record(2)], 0, number + 1)

    with pytest.raises(IncompleteListError, match="Page 2 of the marketplace's list repeats the pages before it"):
        list(read_counted(fetch, 2, 1))
    assert calls == 2


def test_an_order_that_is_twice_on_a_page_is_read() -> None:
    def fetch(number: int, size: int) -> Page:
        return Page([_record(1), _record(1, datetime(2021, 1, 1, tzinfo=UTC))], 2, None)

    assert {record.record_id for page in read_counted(fetch, 50, 1) for record in page} == {"1"}


def _by_offset(
    count: int, *, at_most: int, newest_first: bool = False, refused_from: int | None = None, said: int | None = None
) -> tuple[Callable[[datetime | None, datetime | None], FetchPage], list[int]]:
    """A list by offsets, one record each minute, of which parts can be had; and its calls."""
    calls: list[int] = []

    def part(since: datetime | None, until: datetime | None) -> FetchPage:
        rows = [n for n in range(count) if (since is None or _at(n) >= since) and (until is None or _at(n) <= until)]
        rows = rows[::-1] if newest_first else rows

        def fetch(number: int, size: int) -> Page:
            offset = (number - 1) * size
            calls.append(offset)
            if refused_from is not None and offset >= refused_from:
                raise RequestRefusedError("the marketplace answers with 400: TOO_DEEP", 400)
            found = rows[offset : offset + min(at_most, 100)]
            records = [RawRecord(str(n), b"{}", b"", _at(n), _at(n)) for n in found]
            return offset_page(records, len(rows) if said is None else min(said, len(rows)), number, size)

        return fetch

    return part, calls


def _at(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)


@pytest.mark.parametrize("said", [None, 0, 100, 200])
@pytest.mark.parametrize("connections", [1, 4])
def test_a_marketplace_that_gives_smaller_pages_is_followed_by_what_it_gives(
    said: int | None, connections: int
) -> None:
    part, _ = _by_offset(240, at_most=50, said=said)
    pages = read_counted(part(None, None), 100, connections, by_offset=True)
    seen = {record.record_id for page in pages for record in page}
    assert seen == {str(n) for n in range(240)}


def test_a_page_that_is_short_in_the_middle_leaves_no_gap() -> None:
    def fetch(number: int, size: int) -> Page:
        offset = (number - 1) * size
        given = 30 if offset == 100 else 100
        return offset_page([_record(n) for n in range(250)][offset : offset + given], 250, number, size)

    seen = {record.record_id for page in read_counted(fetch, 100, 1, by_offset=True) for record in page}
    assert seen == {str(n) for n in range(250)}


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("said", [None, 200])
def test_a_refused_offset_splits_the_list_by_time(newest_first: bool, said: int | None) -> None:
    """`said`: the length that is capped where the offsets are refused, as search servers do."""
    part, calls = _by_offset(530, at_most=100, newest_first=newest_first, refused_from=200, said=said)
    pages = read_counted(part(None, None), 100, 1, by_offset=True, split=part)
    assert {record.record_id for page in pages for record in page} == {str(n) for n in range(530)}
    assert len(calls) <= 12


def test_what_came_before_a_refused_page_is_yielded_and_the_error_names_it() -> None:
    part, _ = _by_offset(530, at_most=100, refused_from=200)
    seen: list[RawRecord] = []
    pages = read_counted(part(None, None), 100, 1, by_offset=True)
    with pytest.raises(IncompleteListError, match=r"400: TOO_DEEP.* refuses page 3 of its list after 200 records"):
        seen.extend(record for page in pages for record in page)
    assert len(seen) == 200


def test_a_page_that_only_the_length_promises_may_be_refused() -> None:
    """Counting rows of a join gives more pages than there are."""

    def fetch(number: int, size: int) -> Page:
        if number > 2:
            raise RecordNotFoundError("the marketplace answers with 404: invalid page", 404)
        page = [_record(n) for n in range(70)][(number - 1) * 50 : number * 50]
        return Page(page, 140, 2 if number == 1 else None)

    assert len({record.record_id for page in read_counted(fetch, 50, 1) for record in page}) == 70


def test_a_hole_in_a_list_is_an_error() -> None:
    def fetch(number: int, size: int) -> Page:
        return Page([] if number == 2 else [_record(number)], 3, None)

    with pytest.raises(IncompleteListError, match="Page 2 of the marketplace's list is empty, yet page 3 is not"):
        list(read_counted(fetch, 1, 1))


@pytest.mark.parametrize("said", [5, 1000, 10**15])
@pytest.mark.parametrize("connections", [1, 4])
def test_a_list_that_is_empty_in_two_readings_is_empty_whatever_its_length(
    said: int, connections: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Some marketplaces count without the filter: the list of waiting orders is mostly empty."""
    calls: list[int] = []

    def fetch(number: int, size: int) -> Page:
        calls.append(number)
        return Page([], said, None)

    assert [record for page in read_counted(fetch, 50, connections) for record in page] == []
    assert calls.count(1) == 3  # two readings, and the first page once more
    assert max(calls) <= MAX_PAGES
    assert f"is said to hold {said} records; two readings found 0" in caplog.text


def test_a_list_that_is_empty_in_one_reading_only_is_read_again() -> None:
    answers = iter([Page([], 1, None)])

    def fetch(number: int, size: int) -> Page:
        return next(answers, Page([_record(1)], 1, None))

    assert {record.record_id for page in read_counted(fetch, 50, 1) for record in page} == {"1"}


@pytest.mark.parametrize("there", [2, 3, 20])
def test_an_empty_page_before_one_with_records_is_a_hole_and_no_empty_list(there: int) -> None:
    def fetch(number: int, size: int) -> Page:
        return Page([_record(1)] if number == there else [], 1000, None)

    with pytest.raises(IncompleteListError, match=r"is empty, yet page|they are missing|kept changing"):
        list(read_counted(fetch, 50, 1))


def test_an_empty_page_that_names_a_next_one_is_an_error() -> None:
    with pytest.raises(IncompleteListError, match="Page 1 of the marketplace's list is empty, yet names a next one"):
        list(read_counted(lambda number, size: Page([], 1000, 2), 50, 1))


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


UNKNOWN_LENGTHS = [
    None, "", "abc", -1, 1.5, [], {}, True, "-1", float("nan"), float("inf"), 10**18, 10**40, 1e300, "9" * 40,
]  # fmt: skip


@pytest.mark.parametrize("said", UNKNOWN_LENGTHS)
@pytest.mark.parametrize("count", [0, 30, 100, 105])
def test_a_length_that_is_no_number_is_unknown_and_no_error(said: object, count: int) -> None:
    def by_offset(number: int, size: int) -> Page:
        return offset_page([_record(n) for n in range(count)][(number - 1) * size : number * size], said, number, size)

    def by_link(number: int, size: int) -> Page:
        page = ChangingList(count, 50, False, [], 0).fetch(number)
        return Page(page.records, said, page.next)

    for pages in (read_counted(by_offset, 50, 1, by_offset=True), read_counted(by_link, 50, 4)):
        assert {record.record_id for page in pages for record in page} == {str(n) for n in range(count)}


@pytest.mark.parametrize(
    ("said", "length"), [(7, 7), (0, 0), ("7", 7), (7.0, 7), *((x, None) for x in UNKNOWN_LENGTHS)]
)
def test_the_length_of_a_list_is_a_whole_number_from_0_on(said: object, length: int | None) -> None:
    assert length_of(said) == length


def _guessing(count: int, *, not_found: bool) -> Callable[[int], Page]:
    """A list in pages of 10 whose links to the next page can't be read; after the last one comes none, or an empty one."""

    def fetch(number: int) -> Page:
        records = [_record(n) for n in range(count)][(number - 1) * 10 : number * 10]
        if not_found and number > 1 and not records:
            raise RecordNotFoundError("the marketplace answers with 404: invalid page", 404)
        return Page(records, count, number + 1 if records else None, next_is_guessed=True)

    return fetch


@pytest.mark.parametrize("count", [0, 7, 20, 25])
@pytest.mark.parametrize("not_found", [False, True])
def test_after_an_unreadable_link_the_list_is_read_to_the_page_that_is_not_there(count: int, not_found: bool) -> None:
    fetch = _guessing(count, not_found=not_found)
    for pages in (read_counted(lambda number, _: fetch(number), 10, 1), read_linked(fetch, now)):
        assert {record.record_id for page in pages for record in page} == {str(n) for n in range(count)}


def test_a_guessed_page_that_repeats_the_others_is_an_error_and_not_a_loop() -> None:
    with pytest.raises(IncompleteListError, match="Page 2 of the marketplace's list repeats the pages before it"):
        list(read_linked(lambda number: Page([_record(1)], None, number + 1, next_is_guessed=True), now))
