"""Pages with a broken record, and pages that are cut off."""

import msgspec
import pytest

from orders_sync.marketplaces.kit.pages import page_decoder


class _List(msgspec.Struct):
    rows: list[msgspec.Raw]
    next: str | None = None


decode = page_decoder(_List)


def test_a_broken_record_leaves_the_others_as_they_are() -> None:
    page = decode(b'{"rows": [{"id": 1}, {"id": 2, "a": NaN}, {"id" : 3}], "next": "2"}')
    assert [bytes(row).strip() for row in page.rows] == [b'{"id": 1}', b'{"id": 2, "a": NaN}', b'{"id" : 3}']
    assert page.next == "2"


@pytest.mark.parametrize("body", [b'{"rows": [{"id": 1}], "next": "2"}', b'{"rows":NaN}', b'{"rows":', b'{"rows"', b""])
def test_a_page_that_is_cut_off_is_refused(body: bytes) -> None:
    for length in range(len(body)):
        with pytest.raises(msgspec.DecodeError):
            decode(body[:length])
