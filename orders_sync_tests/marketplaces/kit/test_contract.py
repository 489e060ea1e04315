"""The shape of a record: names, types and states, and nothing else."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from orders_sync.marketplaces.kit.contract import (
    MAX_FIELDS,
    known_fields,
    parent_of,
    shape_of_record,
)
from orders_sync.marketplaces.kit.states import published


class Line(msgspec.Struct):
    id: int | str
    price: Decimal | None = None


class Record(msgspec.Struct, rename="camel"):
    record_id: str
    state: Annotated[int | None, published({0: "open", 9: "closed"})] = None
    lines: list[Line] | None = None
    created_at: datetime | None = None
    anything: Any = None


def test_fields_have_paths_and_types() -> None:
    shape = shape_of_record(
        {
            "recordId": "1",
            "state": None,
            "lines": [{"id": 1, "price": "1.0"}, {"id": "a", "extra": True}],
            "more": {"a": 1},
        },
        Record,
    )
    assert shape.types == {
        "recordId": {"text"},
        "state": set(),
        "lines": {"list"},
        "lines[]": {"object"},
        "lines[].id": {"number", "text"},
        "lines[].price": {"text"},
        "lines[].extra": {"boolean"},
        "more": {"object"},  # not looked into: its keys may be data
    }


def test_what_an_adapter_reads_has_the_types_that_it_can_read() -> None:
    assert known_fields(Record) == {
        "recordId": {"text"},
        "state": {"number"},
        "lines": {"list"},
        "lines[]": {"object"},
        "lines[].id": {"number", "text"},
        "lines[].price": {"number", "text"},
        "createdAt": {"text"},
        "anything": None,
    }
    assert known_fields(None) == {}


@pytest.mark.parametrize(
    ("state", "found"), [(0, []), (7, [("state", "7")]), ("x" * 41, []), ("Jean\nHugo", []), (None, [])]
)
def test_only_states_that_are_not_known_are_shown(state: Any, found: list[tuple[str, str]]) -> None:
    assert shape_of_record({"recordId": "secret", "state": state, "note": "secret"}, Record).unknown_values == found


def test_names_that_are_data_are_left_out_and_so_are_too_many() -> None:
    assert shape_of_record({"victor@example.com": 1, "33 6 12": 1, "a" * 61: 1, "ok": 1}, Record).types == {
        "ok": {"number"}
    }
    assert len(shape_of_record({f"field{number}": 1 for number in range(5_000)}, None).types) == MAX_FIELDS


def test_the_parent_of_a_field() -> None:
    assert [parent_of(path) for path in ("a", "a[]", "a[].b", "a.b")] == ["", "a", "a[]", "a"]
