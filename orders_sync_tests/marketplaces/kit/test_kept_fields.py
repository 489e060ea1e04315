"""What stays of a record: the fields that are named, byte for byte, and nothing else."""

import json

import pytest

from orders_sync.marketplaces.kit.kept_fields import NOTHING, NOTHING_KEPT, KeptFields

FIELDS = KeptFields(order=("id", "lines", "lines.sku", "lines.offer.id", "tags"), care=("id",))


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ('{"id": 1, "name": "Victor"}', '{"id":1}'),
        ('{"lines": [{"sku": "A", "note": "for Ann"}, {"sku": "B"}]}', '{"lines":[{"sku":"A"},{"sku":"B"}]}'),
        ('{"lines": [7, 8]}', '{"lines":[7,8]}'),
        ('{"lines": {"sku": "A", "offer": {"id": 3, "by": "Ann"}}}', '{"lines":{"sku":"A","offer":{"id":3}}}'),
        ('{"tags": ["a", {"by": "Ann"}, ["b", {"c": "Ann"}]]}', '{"tags":["a",["b"]]}'),
        ('{"id": {"mail": "ann@example.com"}}', "{}"),
        ('{"lines": [{"offer": "Ann"}]}', '{"lines":[{}]}'),
        ('{"other": {"id": 1, "sku": "A"}}', "{}"),
        ('{"": "Ann", "id": {"": "Ann"}}', "{}"),
        ('{"id": 1.10}', '{"id":1.10}'),
        ('{"id": 12345678901234567890.123456789}', '{"id":12345678901234567890.123456789}'),
        ('{"id": "caf\\u00e9 \\ud800"}', '{"id":"caf\\u00e9 \ufffd"}'),
        ('{"id": null}', '{"id":null}'),
    ],
)
def test_what_is_named_stays_and_nothing_else(record: str, kept: str) -> None:
    part = FIELDS.part_of("order", record.encode())
    assert part.decode() == kept
    assert FIELDS.part_of("order", part) == part


@pytest.mark.parametrize("raw", [b"", b"Victor", b'"Victor"', b'["Victor"]', b'{"id": "Victor'])
def test_nothing_stays_of_what_is_no_record(raw: bytes) -> None:
    assert FIELDS.part_of("order", raw) == NOTHING


def test_an_adapter_that_names_nothing_keeps_nothing() -> None:
    assert NOTHING_KEPT.part_of("order", json.dumps({"id": 1, "lines": [{"sku": "A"}]}).encode()) == NOTHING


def test_orders_and_care_records_have_lists_of_their_own() -> None:
    assert FIELDS.part_of("care", b'{"id": 1, "lines": [{"sku": "A"}]}') == b'{"id":1}'


def test_bytes_that_are_no_text_are_replaced() -> None:
    """PostgreSQL stores no others."""
    assert FIELDS.part_of("order", b'{"id": "a\xff", "name": "\xff"}').decode() == '{"id":"a\ufffd"}'
