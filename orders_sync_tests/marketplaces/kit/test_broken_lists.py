"""A record whose structure is broken hides where it ends; it takes no other record of its page with it."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders_sync.marketplaces.kit.pages import page_decoder


class Page(msgspec.Struct):
    orders: list[msgspec.Raw]
    count: int | None = None
    next: str | None = None


decode = page_decoder(Page)
decode_orders = page_decoder(Page, "items", "currency")


def order(number: int, note: str = "x") -> str:
    items = [{"id": f"{number}-{part}", "sku": "PHONE", "tags": ["a", {"id": 1}]} for part in (1, 2)]
    return json.dumps({"id": str(number), "note": note, "items": items, "currency": "EUR"})


BROKEN = {
    "a quote within a text": order(5, "27QQ screen").replace("QQ", '"'),
    "two quotes within a text": order(5, "QQgiftQQ").replace("QQ", '"'),
    "a backslash at the end of a text": order(5, "C:QQ").replace("QQ", "\\"),
    "no closing bracket": order(5)[:-1],
    "no closing bracket of its items": order(5).replace("], ", ", "),
    "a bracket too many": order(5) + "}",
    "cut off in the middle": order(5)[:70],
    "cut off at its begin": order(5)[:4],
    "a decimal comma": order(5).replace('"EUR"', "12,50"),
    "no value": order(5).replace('"EUR"', ""),
    "no comma before the next key": order(5).replace(", ", " ", 1),
}


def page(*records: str, tail: str = ', "count": 3, "next": "/orders?ids[]=1", "facets": [{"id": 1}, [2]]') -> bytes:
    return ('{"orders": [' + ", ".join(records) + "]" + tail + "}").encode()


def texts(body: bytes, decode: Callable[[bytes], Page] = decode) -> list[str]:
    return [bytes(record).decode().strip() for record in decode(body).orders]


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("after", range(3))
def test_the_other_records_of_the_page_are_read(broken: str, before: int, after: int) -> None:
    good = [order(number) for number in range(10, 10 + before + after)]
    body = page(*good[:before], broken, *good[before:])
    found = decode(body)
    assert (found.count, found.next) == (3, "/orders?ids[]=1")
    if not good and "}" not in broken[-1:]:
        return  # without another record, where it ends may stay unknown
    assert [text for text in texts(body) if text in good] == good
    kept = "".join(text for text in texts(body) if text not in good)
    assert kept.replace(" ", "").strip("}") == broken.replace(" ", "").strip("}")


@pytest.mark.parametrize("first", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("second", BROKEN.values(), ids=BROKEN)
def test_a_record_between_two_broken_ones_is_read(first: str, second: str) -> None:
    good = [order(1), order(2), order(3)]
    found = texts(page(good[0], first, good[1], second, good[2]))
    assert [text for text in found if text in good] == good


def test_broken_records_side_by_side_are_kept_one_by_one() -> None:
    broken = [order(number, "27QQ").replace("QQ", '"') for number in (5, 6)]
    first, *found, last = texts(page(order(1), *broken, order(2)))
    assert (first, last, len(found)) == (order(1), order(2), 2)
    assert [len("".join(found).replace(",", ""))] == [len("".join(broken).replace(",", ""))]


def test_what_follows_the_list_decides_where_it_ends() -> None:
    """An item's list ends with a bracket too, and so does a list after the records."""
    broken = order(5, "27QQ").replace("QQ", '"')
    for tail in (', "next": "a]"', ', "facets": [1, [2]], "next": "n"', ', "count": 2, "facets": []'):
        assert texts(page(order(1), broken, tail=tail)) == [order(1), broken]
    for tail in ("", ', "facets": [1]'):  # the page may be cut off within the broken record
        with pytest.raises(msgspec.DecodeError):
            decode(page(order(1), BROKEN["no closing bracket"], tail=tail))


def test_a_page_that_is_cut_off_is_an_error() -> None:
    for body in (page(order(1), tail=""), page(order(1), order(2), tail="")):
        for length in range(len(body)):
            for read in (decode, decode_orders):
                with pytest.raises(msgspec.DecodeError):
                    read(body[:length])


some_texts: st.SearchStrategy[str] = st.text(st.sampled_from('a"\\{}[],: '), max_size=6)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), some_texts), min_size=1, max_size=6))
def test_good_records_are_read_whatever_the_others_are(parts: list[tuple[bool, str]]) -> None:
    """Broken here: a text that nobody escaped. It holds no brackets that look like the end of the page."""
    good = [order(number) for number, (is_good, _) in enumerate(parts) if is_good]
    records = [
        order(number) if is_good else order(number, "QQ").replace("QQ", text)
        for number, (is_good, text) in enumerate(parts)
    ]
    try:
        found = texts(page(*records), decode_orders)
    except msgspec.DecodeError:
        return  # the text closes brackets in a way that leaves no page
    assert [text for text in found if text in good] == good


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "hostile",
    [
        b',{"id":[' * 20_000, b"]" * 100_000, b'{"a":1},' * 20_000 + b'{"', b"[" * 100_000, b'"' * 100_001,
        b'{"id": 1, "x": "' + b'\\"' * 500_000,
    ],
    ids=["openings", "closings", "records", "brackets", "quotes", "escaped quotes"],
)  # fmt: skip
def test_a_hostile_page_ends(hostile: bytes) -> None:
    """Its time grows with the length of the page, not with its square."""
    with contextlib.suppress(msgspec.DecodeError):
        decode(b'{"orders": [' + hostile + b"]}")


def documents(body: bytes) -> list[Any]:
    return [json.loads(text) for text in texts(body)]


def test_records_without_a_comma_between_them_are_read() -> None:
    body = page(order(1) + " " + order(2), order(3))
    assert documents(body) == [json.loads(order(number)) for number in (1, 2, 3)]
