"""Records that are not as their contract says: what is made right, what is left out, and what rejects the record."""

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest

from orders_sync.marketplaces.kit.json_repair import repair
from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.model.records import RecordRejectedError


class Line(msgspec.Struct):
    id: str
    price: float | None = None


class Label(msgspec.Struct):
    url: str | None = None


class Sale(msgspec.Struct):
    id: int | str
    phone: str | None = None
    at: datetime | None = None
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
