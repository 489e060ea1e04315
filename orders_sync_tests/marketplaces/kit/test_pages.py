"""Pages of a list: what is odd about one record, or about the page, takes no other record with it."""

from contextlib import suppress

import msgspec
import pytest

from orders_sync.marketplaces.kit.pages import page_decoder


class Page(msgspec.Struct):
    results: list[msgspec.Raw]
    count: int | None = None
    next: str | None = None


class Optional(msgspec.Struct):
    orders: list[msgspec.Raw] = []
    has_more: bool = False


decode = page_decoder(Page)


def records(body: bytes) -> list[bytes]:
    return [bytes(record) for record in decode(body).results]


def test_a_right_page_is_decoded_as_it_is() -> None:
    page = decode(b'{"count": 1, "next": "n", "results": [{"id": 1}]}')
    assert ([bytes(record) for record in page.results], page.count, page.next) == ([b'{"id": 1}'], 1, "n")


@pytest.mark.parametrize(("count", "read"), [(b'"4"', 4), (b"4.0", 4), (b"NaN", None), (b'""', None), (b"[]", None)])
def test_an_odd_count_takes_no_record_with_it(count: bytes, read: int | None) -> None:
    page = decode(b'{"count": %s, "results": [{"id": 1}, {"id": 2}]}' % count)
    assert ([bytes(record) for record in page.results], page.count) == ([b'{"id": 1}', b' {"id": 2}'], read)


def test_records_are_cut_out_byte_for_byte() -> None:
    odd = [b'{"id": 1, "note": "\x01 \\ud83d ],["}', b'{"id": 2, "price": NaN}', b'{"id": 3, "lines": [{}, []]}']
    assert records(b'{"results": [' + b",".join(odd) + b"]}") == odd


def test_two_broken_records_side_by_side_take_no_other_with_them() -> None:
    broken = [b'{"id": 1, "a": 2,}', b'{"id": 2, "a": }', b'{"id": 3}']
    assert records(b'{"results": [' + b",".join(broken) + b"]}") == broken


@pytest.mark.parametrize(
    "body",
    [
        b'{"results": [{"id": 1}, {"id": 2',
        b'{"results": ',
        b'{"count": 1}',
        b"[]",
        b"",
    ],
)
def test_a_page_whose_records_are_not_certain_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(body)


@pytest.mark.parametrize("odd", [b"2", b"NaN"], ids=["valid JSON", "JSON to be repaired"])
def test_a_page_that_has_its_list_twice_loses_no_record(odd: bytes) -> None:
    """JSON allows a name twice (RFC 8259, 4); msgspec and Python keep the last one."""
    one, two = b'{"id": 1, "price": %s, "results": []}' % odd, b'{"id": 2}'
    body = b'{"results": [%s], "count": 2, "results": [%s], "next": "n"}' % (one, two)
    page = decode(body)
    assert ([bytes(record) for record in page.results], page.count, page.next) == ([one, two], 2, "n")


def test_a_name_of_the_list_within_a_record_is_not_the_list() -> None:
    record = b'{"id": 1, "results": [{"id": 2}], "note": "\\"results\\": []"}'
    assert records(b'{"results": [%s]}' % record) == [record]
    assert records(b'{"next": "results", "results": [%s]}' % record) == [record]


def test_null_is_an_empty_list_where_the_list_may_be_missing() -> None:
    """The JSON form of protocol buffers allows null for any field."""
    page = page_decoder(Optional)(b'{"orders": null, "has_more": null}')
    assert (page.orders, page.has_more) == ([], False)


RIGHT = b'{"count": 1, "results": [{"id": 1}], "next": "n"}'


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + RIGHT,
        b"\n\n" + RIGHT,
        RIGHT + b"\0",
        RIGHT + b",",
        RIGHT + b"\n<!-- 0.2 s -->",
        RIGHT[:-1] + b",}",
        RIGHT[:-1] + b', "results": null}',
        b'{"results": null, ' + RIGHT[1:],
        RIGHT.replace(b'[{"id": 1}]', b'{"0": {"id": 1}}'),
    ],
)
def test_what_surrounds_the_records_takes_none_with_it(body: bytes) -> None:
    page = decode(body)
    assert ([bytes(record).strip() for record in page.results], page.count, page.next) == ([b'{"id": 1}'], 1, "n")


@pytest.mark.parametrize("empty", [b"null", b"{}", b'""', b"[]"])
def test_an_empty_list_may_be_written_in_the_ways_of_go_and_php(empty: bytes) -> None:
    for page in (
        decode(b'{"count": 0, "results": %s}' % empty), page_decoder(Optional)(b'{"orders": %s, "new": 1}' % empty),
    ):  # fmt: skip
        assert (page.results if isinstance(page, Page) else page.orders) == []


@pytest.mark.parametrize(
    "body", [b'{"error": {"code": "throttled"}}', b'{"message": "no"}', b'{"has_more": 1, "x": 1}']
)
def test_an_answer_that_says_something_else_is_no_empty_page(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        page_decoder(Optional)(body)


@pytest.mark.parametrize("struct", [Page, Optional])
def test_bytes_that_are_not_utf_8_are_an_error_or_take_no_record_with_them(struct: type[msgspec.Struct]) -> None:
    """In the name of the list or anywhere else: msgspec does not look into names that it does not know."""
    name = next(field.encode_name for field in msgspec.structs.fields(struct) if field.type == list[msgspec.Raw])
    for body in (b'{"has_more": true, "%s": [{"id": 1}], "x": "y"}', b'{"x": {"y": 1}, "%s": []}'):
        raw = body % name.encode()
        for position in range(len(raw)):
            with suppress(msgspec.DecodeError):
                page = page_decoder(struct)(raw[:position] + b"\xf4" + raw[position + 1 :])
                assert len(getattr(page, name)) == raw.count(b'"id"')


@pytest.mark.parametrize("value", [b'{"a": {"id": 1}}', b"1", b"true", b'"x"', b'{"0": 1, "x": 2}'])
def test_what_is_no_list_is_an_error(value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b'{"results": %s}' % value)
