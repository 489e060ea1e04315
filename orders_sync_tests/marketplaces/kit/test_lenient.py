"""Records that are not as their contract says: what is made right, what is left out, and what rejects the record."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from orders_sync.marketplaces.kit.json_repair import repair
from orders_sync.marketplaces.kit.lenient import CREATED_AT, SKU, decode_leniently
from orders_sync.model.records import RecordRejectedError


class Line(msgspec.Struct):
    id: str
    price: float | None = None
    article: Annotated[str | None, SKU] = None


class Label(msgspec.Struct):
    url: str | None = None


class Sale(msgspec.Struct):
    id: int | str
    phone: str | None = None
    at: datetime | None = None
    sold: Annotated[datetime | None, CREATED_AT] = None
    pieces: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    lines: list[Line] | None = None
    labels: list[Label] | None = None


def read(raw: bytes) -> tuple[Sale, list[str]]:
    """The record, and its flaws as `field: found`."""
    decoded = decode_leniently(msgspec.json.Decoder(Sale).decode, Sale, raw)
    return decoded.value, [f"{flaw.field}: {flaw.found}" for flaw in decoded.flaws]


def reasons(record: Any) -> list[str]:
    with pytest.raises(RecordRejectedError) as problem:
        read(json.dumps(record).encode())
    return [reason.where for reason in problem.value.reasons]


def test_an_element_of_a_list_that_the_record_does_not_need_is_left_out() -> None:
    sale, flaws = read(b'{"id": 1, "labels": [null, {"url": "a"}, 5], "lines": []}')
    assert sale.labels == [Label("a")]
    assert flaws == ["labels[0]: is null", "labels[2]: is a number"]


@pytest.mark.parametrize("half", [r"\ud83d", r"\uDE00", r"\ud83d\u0020", r"\ud83d\ud83d\ude00", r"\ud83d\ude00\uDe00"])
def test_half_of_a_surrogate_pair_is_replaced_also_where_the_contract_has_no_field(half: str) -> None:
    raw = f'{{"id": 1, "note": "a{half}"}}'.encode()
    decoded = decode_leniently(msgspec.json.Decoder(Sale).decode, Sale, raw)
    assert "\ufffd" in json.loads(decoded.raw)["note"]
    assert [flaw.found for flaw in decoded.flaws] == ["contains half of a surrogate pair"]


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\uD83D\uDE00", r"\u00e9", r"\\ud83d", r"\n"])
def test_valid_escapes_are_no_flaw(text: str) -> None:
    raw = f'{{"id": 1, "note": "a{text}"}}'.encode()
    decoded = decode_leniently(msgspec.json.Decoder(Sale).decode, Sale, raw)
    assert (decoded.raw, decoded.flaws) == (raw, ())


def test_a_time_out_of_range_is_left_out_once_the_record_is_read_leniently() -> None:
    raw = b'{"id": 1, "phone": [], "at": "%s", "lines": []}'
    for text, year in ((b"0001-01-01T00:00:00+14:00", 1), (b" 1970-01-01", 1970), (b"9999-12-31T23:59:59Z", 9999)):
        sale, flaws = read(raw % text)
        assert (sale.at, flaws) == (None, ["phone: is an empty list", f"at: lies in the year {year}"])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-02-30T10:00:00Z", "can't be read as a time: '2026-02-30T10:00:00Z'"),
        ("1.3.2026 10:00", "can't be read as a time: '1.3.2026 10:00'"),
        ("2026-02-30 " + "1" * 90, f"can't be read as a time: '2026-02-30 {'1' * 29}'"),
        ("Jane Doe", "can't be read as a time"),
        ("+33 6 12 34 56 78", "can't be read as a time"),
        (2026112809, "is a number"),
        ("2026112809", "can't be read as a time"),
        ("", "is an empty text"),
    ],
)
def test_of_a_time_that_can_not_be_read_only_what_looks_like_a_date_is_shown(value: object, found: str) -> None:
    record = {"id": 1, "sold": value, "lines": [{"id": "a"}, {"id": "b", "article": {}}]}
    flaws = decode_leniently(msgspec.json.Decoder(Sale).decode, Sale, json.dumps(record).encode()).flaws
    assert [(flaw.field, flaw.found, flaw.canonical) for flaw in flaws] == [
        ("sold", found, "created_at"),
        ("lines[1].article", "is an empty object", "items[1].sku"),
    ]


@pytest.mark.parametrize(
    ("value", "pieces", "found"),
    [
        ("2", 2, "is a text"),
        (2.0, 2, "is a number"),
        (-1, msgspec.UNSET, "is negative"),
        ("-1", msgspec.UNSET, "is no number"),
        (None, msgspec.UNSET, "is null"),
        (1.5, msgspec.UNSET, "is no whole number"),
    ],
)
def test_a_number_keeps_to_the_bounds_of_its_field(value: object, pieces: object, found: str) -> None:
    sale, flaws = read(json.dumps({"id": 1, "pieces": value}).encode())
    assert (sale.pieces, flaws) == (pieces, [f"pieces: {found}"])


def test_an_element_with_values_that_the_record_needs_rejects_it() -> None:
    assert reasons({"id": 1, "lines": [{"id": "a"}, None]}) == ["lines[1]"]
    assert reasons({"id": 1, "lines": [{"price": 1}]}) == ["lines[0].id"]


@pytest.mark.parametrize("digits", [400, 10_000])
def test_a_number_of_many_digits_is_no_text(digits: int) -> None:
    sale, flaws = read(b'{"id": 1, "phone": %s}' % (b"9" * digits))
    assert sale.phone is None
    assert any(flaw.startswith(("phone: is a number", "record: contains a number that is too")) for flaw in flaws)


def test_a_number_of_more_than_64_bits_beside_a_wrong_value_is_kept() -> None:
    sale, flaws = read(b'{"id": 123456789012345678901234567890, "phone": [], "unread": 123456789012345678901234567890}')
    assert (sale.id, flaws) == (123456789012345678901234567890, ["phone: is an empty list"])


def test_a_number_beyond_all_bounds_beside_a_wrong_value_is_unknown() -> None:
    sale, flaws = read(b'{"id": 1, "phone": [], "unread": 1e999}')
    assert (sale.id, flaws) == (1, ["record: contains a number that is too large", "phone: is an empty list"])
    assert repair(b"[1e999, 1e308]\x00"[:-1])[0] == b"[null, 1e308]"


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (1772359200, "2026-03-01T10:00:00+00:00"),
        ("1772359200", "2026-03-01T10:00:00+00:00"),
        (1772359200.5, "2026-03-01T10:00:00.500000+00:00"),
        (1772359200123, "2026-03-01T10:00:00.123000+00:00"),
        ("1772359200123", "2026-03-01T10:00:00.123000+00:00"),
        (1772359200123456, "2026-03-01T10:00:00.123456+00:00"),
        ("1772359200000000000", "2026-03-01T10:00:00+00:00"),
        ("2026-02-28T24:00:00Z", "2026-03-01T00:00:00+00:00"),
        ("2026-12-31 24:00", "2027-01-01T00:00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2026-03-01T10:00:60.5+01:00", "2026-03-01T10:01:00.500000+01:00"),
    ],
)
def test_a_time_whose_meaning_is_certain_is_read_with_a_flaw(value: object, at: str) -> None:
    sale, flaws = read(json.dumps({"id": 1, "sold": value}).encode())
    assert sale.sold == datetime.fromisoformat(at)
    assert len(flaws) == 1


@pytest.mark.parametrize(
    "value",
    [True, 20260301, 202603011000, 2026030110, 20260301100000, -1772359200, 1e300, "2026-03-01T24:00:01Z",
     "2026-03-01T10:60:00Z", "9999-12-31T24:00:00Z", "1_772_359_200"],
)  # fmt: skip
def test_a_number_that_may_be_another_form_of_a_date_is_no_time(value: object) -> None:
    sale, flaws = read(json.dumps({"id": 1, "sold": value}).encode())
    assert (sale.sold, len(flaws)) == (None, 1)


class Share(msgspec.Struct):
    part: Decimal | None = None
    pieces: int | None = None


class Payment(msgspec.Struct):
    paid: Decimal | None = None
    shares: list[Share] | None = None


@pytest.mark.parametrize("value", ["1_0", " 1_0.5", "-1_0", "1_000.00", "1e1_0", "1__0", "_10", "10_", "-_1", "1_.5"])
def test_an_underscore_between_digits_is_no_number(value: str) -> None:
    """Python reads `1_0` as 10, and so does msgspec for a Decimal."""
    raw = json.dumps({"paid": value, "note": "12_3", "shares": [{"part": value, "pieces": value}]}).encode()
    decode = msgspec.json.Decoder(Payment).decode
    assert decode_leniently(decode, Payment, b'{"paid": "%s"}' % value.encode()).value == Payment()
    decoded = decode_leniently(decode, Payment, raw)
    assert decoded.value == Payment(shares=[Share()])
    places = ("paid", "shares[0].part", "shares[0].pieces")
    assert [(flaw.field, flaw.found) for flaw in decoded.flaws] == [(place, "is no number") for place in places]
