"""The check "every field is mapped": each field of a canonical record holds the value of its own source field."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from orders_sync.model.records import NO_ADDRESS

ADDRESS_FIELDS = (
    "first_name", "last_name", "company", "street", "street2", "postal_code", "city", "state", "country", "phone",
)  # fmt: skip


SET_BY_THE_CHECK = "lists_all_items"
"""The field that no adapter sets."""


def assert_mapped(record: msgspec.Struct, expected: Mapping[str, object], *, absent: Collection[str] = ()) -> None:
    """Each field of `record` has its expected value, and all expected values differ, so that no two can be swapped.

    `absent`: the fields for which the published contract has nothing; they must be None, or an empty address. A field
    of the record that is in neither fails the test: a new canonical field has to be mapped, or declared absent, for
    every marketplace.
    """
    fields = [name for name in type(record).__struct_fields__ if name != SET_BY_THE_CHECK]
    # With texts: pytest explains only the assertions of test modules.
    unnamed = set(fields) - {*expected, *absent}
    assert not unnamed, f"neither expected nor absent: {', '.join(sorted(unnamed))}"
    assert len([*expected, *absent]) == len(fields), "a field is named twice, or the record has no such field"
    assert len({repr(value) for value in expected.values()}) == len(expected), "two fields have the same value"
    for field in fields:
        found, required = _plain(getattr(record, field)), _plain(expected.get(field))
        if field in absent and found == _plain(NO_ADDRESS):
            continue
        assert found == required, f"{field} is {found!r}, not {required!r}"


def address(prefix: str, **fields: object) -> dict[str, object]:
    """An address that has `<prefix> <field>` in each canonical field, but for the `fields` that are given."""
    return {**{field: f"{prefix} {field}" for field in ADDRESS_FIELDS}, **fields}


def item_of(item_id: str, quantity: int | None) -> dict[str, object]:
    """An item of a care record."""
    return {"item_id": item_id, "quantity": quantity}


def day(number: int) -> datetime:
    """A time that no other number has."""
    return datetime(2026, 3, number, 10, 30, tzinfo=UTC)


def day_text(number: int) -> str:
    """The same as contracts write it."""
    return f"2026-03-{number:02}T10:30:00Z"


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in cast(list[Any], value)]
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value
