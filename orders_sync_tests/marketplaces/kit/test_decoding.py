"""What adapters share to decode records."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from orders_sync.marketplaces.kit.decoding import (
    check_field_order,
    decoded,
    is_set,
    json_object,
    latest,
    path_part,
    record_reader,
    rfc3339,
)
from orders_sync.marketplaces.kit.errors import RecordNotFoundError
from orders_sync.model.records import RecordRejectedError


class Point(msgspec.Struct):
    x: int
    y: int


read = record_reader(b"test-1", record_id="id", created="born", modified="changed", prefix="case-")


def test_the_fields_in_their_order_pass() -> None:
    check_field_order(Point, ("x", "y"))


@pytest.mark.parametrize("fields", [("y", "x"), ("x",), ("x", "y", "z")], ids=["moved", "missing", "too many"])
def test_any_other_order_of_fields_stops_the_import(fields: tuple[str, ...]) -> None:
    with pytest.raises(TypeError, match="the fields of Point are x, y, but this module constructs it with"):
        check_field_order(Point, fields)


def test_the_head_of_a_record_is_read() -> None:
    raw = b'{"id": 7, "born": "2026-01-01T00:00:00Z", "changed": "2026-01-02T00:00:00Z", "more": {}}'
    record = read(raw)
    assert (record.record_id, record.raw) == ("case-7", raw)
    assert (record.created_at, record.modified_at) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 2, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"],
)
def test_a_time_that_can_not_be_compared_is_left_out_of_the_head(text: str) -> None:
    """Else one order of the year 1 would look as if the marketplace ignored the filter, and fail its whole list."""
    record = read(b'{"id": 7, "born": "%s", "changed": "%s"}' % (text.encode(), text.encode()))
    assert (record.record_id, record.created_at, record.modified_at) == ("case-7", None, None)


@pytest.mark.parametrize("year", [1, 9999])
def test_a_time_out_of_range_decides_nothing(year: int) -> None:
    odd = datetime(year, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    for others in ([], [datetime(2026, 1, 1)], [datetime(2026, 1, 1, tzinfo=UTC)]):
        with pytest.raises(ValueError, match="out of range"):
            latest([*others, odd])
    with pytest.raises(ValueError, match="out of range"):
        is_set(odd)
    assert (is_set(datetime(2026, 1, 1)), is_set(None)) == (True, False)


def test_equal_records_have_equal_fingerprints_until_the_version_changes() -> None:
    raw, other = b'{"id": 7}', b'{"id": 7 }'
    next_version = record_reader(b"test-2", record_id="id", created="born", modified="changed")
    assert read(raw).fingerprint == read(raw).fingerprint
    assert len({read(raw).fingerprint, read(other).fingerprint, next_version(raw).fingerprint}) == 3


@pytest.mark.parametrize(
    ("raw", "record_id"),
    [
        (b'{"id": 7, "born": "yesterday"}', "case-7"),
        (b'{"id": [7], "born": "yesterday"}', ""),
        (b'{"born": "yesterday"}', ""),
        (b"[1]", ""),
        (b'{"id": "\xff"}', ""),
        (b'{"id": 8, "note": "\x01 \\ud83d", "deep": ' + b"[" * 3000 + b"]" * 3000 + b"}", "case-8"),
        (b'{"id": 9, "note": }', "case-9"),
        (b'{"id": "a9", "note": "}', "case-a9"),
        (b' {"lines": [{"id": "L1"}], "id": "9", "note": ,}', "case-9"),
        (b'{"lines": [{"id": "L1"}], "note": , "id": "9"}', ""),
        (b'{"buyer": {"name": "Ada", "id": "L1"}, "note": ,}', ""),
        (b'{"buyer": "id": "L1", "id": "9"}', ""),
        (b'{"buyer": {"name": "Ada"}}, "line": {"id": "L1"}, "id": "9"}', ""),
        (b'{"id": null, "lines": [{"id": "L1"}]}', ""),
        (b'{"id": {"id": "L1"}, "lines": []}', ""),
        (b'{"id": [{"id": "L1"}], "note": ,}', ""),
        (b'{"id": true, "lines": [{"id": "L1"}], "note": ,}', ""),
        (b'{"id": ""}', ""),
        (b'{"id": "9\\ud83d", "note": ,}', ""),
        (b'{"note": "C:\\Users", "id": 9, "more": ,}', "case-9"),
        (b"{", ""),
        (b'{"id"', ""),
    ],
)
def test_a_record_whose_head_is_unreadable_keeps_its_own_outermost_id_if_it_is_certain(
    raw: bytes, record_id: str
) -> None:
    record = read(raw)
    assert (record.record_id, record.raw, record.created_at) == (record_id, raw, None)


def test_an_undecodable_record_is_rejected_with_the_place_and_without_its_value() -> None:
    with pytest.raises(RecordRejectedError) as rejected:
        decoded(msgspec.json.Decoder(Point).decode, b'{"x": "Ada Lovelace", "y": 1}', "Bazaar")
    (reason,) = rejected.value.reasons
    assert (reason.where, "Bazaar" in reason.allowed) == ("x", True)
    assert "Ada" not in repr(rejected.value.reasons)


def test_times_ids_and_objects() -> None:
    assert rfc3339(datetime(2026, 1, 1, 1, 30, 5, 999, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-01T00:30:05Z"
    assert json_object(b'{"a": 1}') == b'{"a": 1}'
    with pytest.raises(msgspec.DecodeError):
        json_object(b"[]")


@pytest.mark.parametrize("record_id", ["a/b", "..", ".", "", "a b", "a?b"])
def test_an_id_that_would_change_a_path_is_never_requested(record_id: str) -> None:
    with pytest.raises(RecordNotFoundError):
        path_part(record_id)
    assert path_part("Order_1-A.2") == "Order_1-A.2"
