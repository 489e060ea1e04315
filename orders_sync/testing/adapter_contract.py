"""What must hold for the records of every adapter, as a table of cases: describe your records, and run each case.

A case is one of these: every canonical field is mapped; every published state has its meaning, in other spellings too;
a value of another type in one field is a flaw of that field, and rejects the record only if it is needed to lock stock
and ship; a time out of range counts as none; spaces around an id are left out; an item that is listed twice is stored
once, an empty line not at all; broken JSON is repaired or rejected.
docs/add-a-marketplace.md shows the whole use.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec

from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.marketplaces.kit.lenient import members_of
from orders_sync.marketplaces.kit.registry import find_marketplace, open_adapter
from orders_sync.model.records import CareRecord, Order, OrderItem
from orders_sync.model.statuses import Status
from orders_sync.testing.field_mapping import assert_mapped
from orders_sync.testing.record_outcomes import Outcome, Rejected, Stored, care_outcome, order_outcome
from orders_sync.testing.record_places import (
    Path,
    encoded,
    is_needed,
    last_name,
    places,
    raw_with,
    text_of,
    value_at,
    with_value,
    without_value,
)

RecordKind = Literal["order", "care record"]

ESSENTIAL = frozenset(["order_id", "created_at", "items", "item_id", "sku", "quantity", "care_id"])
"""The canonical fields without which a record can't be stored."""
PLANTED = "a buyer's own words"
"""A text that no flaw and no reason may repeat."""

ODD_VALUES: Mapping[str, str] = {
    "null": "null", "an empty text": '""', "a space": '" "', "the text null": '"null"', "a text": f'"{PLANTED}"',
    "an empty list": "[]", "a list of null": "[null]", "a list of empty texts": '[""]', "a list of a number": "[5]",
    "a list of lists": "[[]]", "a list of an empty object": "[{}]", "an empty object": "{}",
    "an object": f'{{"{PLANTED}": "{PLANTED}"}}', "0": "0", "1": "1", "-1": "-1", "1.0": "1.0", "1.5": "1.5",
    "a large number": "123456789012345678901234567890", "a tiny number": "1e-300", "a huge number": "1e308",
    "a number beyond a float": "1e999", "a number of 400 digits": "9" * 400, "true": "true", "false": "false",
    "the text true": '"true"', "the text 1": '"1"', "the text 1.0": '"1.0"', "the text -1.50": '"-1.50"',
    "the text NaN": '"NaN"', "the text sNaN": '"sNaN"', "the text Infinity": '"-Infinity"', "digits": '"٣"',
    "an underscore between digits": '"1_0"',
    "Unix time": "1772359200", "Unix time as a text": '"1772359200.5"', "Unix time in milliseconds": "1772359200000",
    "a leap second": '"2026-03-01T10:00:60Z"', "the end of a day": '"2026-03-01T24:00:00Z"',
    "the text ²": '"²"', "float noise": "0.30000000000000004", "17 decimals": '"1.00000000000000001"',
    "a lower-case currency": '"eur"', "a date": '"2026-03-01"', "no such day": '"2026-02-30T10:00:00Z"',
    "a time without a zone": '"2026-03-01T10:00:00"', "a time with a space": '" 2026-03-01 10:00:00+01:00 "',
    "the first time": '"0001-01-01T00:00:00+14:00"', "the last time": '"9999-12-31T23:59:59-14:00"',
    "a long text": f'"{"x" * 20_000}"', "a script as a URL": '"javascript:alert(1)"',
    "NaN": "NaN", "Infinity": "-Infinity", "half of an emoji": r'"great \ud83d"', "NUL": r'"a\u0000b"',
    "a raw control character": '"a\x01b"', "a raw newline and tab": '"a\n\tb"', "an unknown escape": r'"C:\Users"',
    "a deep list": "[" * 2_000 + "]" * 2_000, "a backslash and a newline": r'"a\\b\nc\td"',
}  # fmt: skip
"""Values of wrong types and odd forms, as JSON or as what marketplaces write for JSON."""
NO_JSON: Mapping[str, str] = {
    "an unfinished text": '"an unfinished text', "an unfinished object": "{", "a missing colon": '{"a" 1}',
    "nothing": "", "two values": "1 2",
}  # fmt: skip
"""What can't be repaired in the place of a value."""
_MISSING = frozenset([
    "left out", "null", "an empty text", "a space",
    "NaN", "Infinity", "a number beyond a float", "a number of 400 digits",  # repaired JSON has null instead
])  # fmt: skip
"""The odd values that a reason may call missing."""
_NO_LINES = _MISSING | {"an empty list", "an empty object", "an object"}
"""The odd values in the place of a line that may be left out: nothing shows that there is anything to ship."""
NO_TIMES = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
)  # fmt: skip
"""What programs write for no time at all, and for never."""


@dataclass(frozen=True)
class Example:
    """A record with another value in each field, and the canonical record that it must become."""

    record: Mapping[str, Any]
    """The record as the contract publishes it."""
    fields: Mapping[str, object]
    """The canonical fields (of an order without its items) and their values, which all differ."""
    absent: Collection[str] = ()
    """The canonical fields for which the contract has nothing."""


@dataclass(frozen=True)
class StateTable:
    """A field of the record with a state, all states that the contract publishes, and what each means."""

    name: str
    published: Collection[Any]
    """The states of the contract's enum, copied from the contract and not from the adapter."""
    meaning: Mapping[Any, object]
    """What each state becomes; usually the adapter's own table."""
    path: Path
    """Where the state is in the record."""
    read: Callable[[Any], object]
    """What the state became: of the decoded order or care record."""
    record: Mapping[str, Any]
    """The record that the states are put into."""
    kind: RecordKind = "order"
    unknown: object = Status.UNKNOWN
    """What a state becomes that nobody published."""


@dataclass(frozen=True)
class AdapterContract:
    """The examples that the cases are made of."""

    open: Callable[[], Adapter]
    """Opens the adapter; no case sends a request. See `opened`."""
    order: Example
    """An order with exactly one item."""
    item: Example
    """That item; its `record` is not used and may be empty."""
    care: Sequence[Example]
    """One care record of each form that the marketplace has."""
    states: Sequence[StateTable]


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    run: Callable[[Adapter], None]
    contract: AdapterContract

    def check(self) -> None:
        """Raises AssertionError, with the value and the place, if the adapter does not keep to it."""
        adapter = self.contract.open()
        try:
            self.run(adapter)
        finally:
            adapter.close()

    def __str__(self) -> str:
        return self.name


def opened(marketplace: str, **settings: Any) -> Adapter:
    """The adapter of a marketplace with placeholders for its credentials: to decode records, not to send requests."""
    model = find_marketplace(marketplace).settings
    names = {key: f"ORDERS_SYNC_CONTRACT_{key.upper()}" for key in model.CREDENTIALS}
    for name in names.values():
        os.environ.setdefault(name, "placeholder")
    attributes = {
        "marketplace": marketplace, "base_url": "https://marketplace.example.com", "limits": {"enforced": False},
        **names, **settings,
    }  # fmt: skip
    return open_adapter(account_from("contract", attributes, "defs.yaml"))


def contract_cases(contract: AdapterContract) -> list[Case]:
    """All cases of an adapter, for `pytest.mark.parametrize(..., ids=str)`."""
    return [Case(name, run, contract) for name, run in _runs(contract)]


def _runs(contract: AdapterContract) -> Iterator[tuple[str, Callable[[Adapter], None]]]:
    yield "every field of an order is mapped", partial(_order_is_mapped, contract)
    yield "every field of an item is mapped", partial(_item_is_mapped, contract)
    examples: list[tuple[RecordKind, str, Example]] = [("order", "order", contract.order)]
    for number, example in enumerate(contract.care, 1):
        yield f"every field of care record {number} is mapped", partial(_care_is_mapped, example)
        examples.append(("care record", f"care record {number}", example))
    for table in contract.states:
        yield f"every state: {table.name}", partial(_states_have_their_meaning, table)
        yield f"another spelling: {table.name}", partial(_a_state_may_be_written_in_another_way, table)
        yield f"no state: {table.name}", partial(_a_missing_state_is_a_flaw, table)
    yield "an item that is listed twice", partial(_a_double_item_is_stored_once, contract.order.record)
    yield "an empty line beside an item", partial(_an_empty_line_is_left_out, contract.order.record)
    adapter = contract.open()
    adapter.close()
    for kind, name, example in examples:
        yield f"{name}: spaces around its ids", partial(_spaces_around_ids_are_left_out, kind, example)
        yield f"{name}: cut off", partial(_cut_off_is_rejected, kind, example)
        yield f"{name}: no JSON in a field", partial(_no_json_is_rejected, kind, example)
        yield f"{name}: odd values in a field that nobody reads", partial(_unread_is_harmless, kind, example)
        struct = _struct(adapter, kind)
        for path, hint in [] if struct is None else places(struct, example.record):
            yield f"{name}: odd values in {text_of(path)}", partial(_odd_values, kind, example, path)
            if datetime in members_of(hint):
                yield f"{name}: no time in {text_of(path)}", partial(_no_time_counts_as_none, kind, example, path)


def _order_is_mapped(contract: AdapterContract, adapter: Adapter) -> None:
    order = adapter.decode_order(encoded(contract.order.record))
    assert order.items is not None, "the example of an order has no items"
    assert_mapped(order, {**contract.order.fields, "items": order.items}, absent=contract.order.absent)


def _item_is_mapped(contract: AdapterContract, adapter: Adapter) -> None:
    items = adapter.decode_order(encoded(contract.order.record)).items or []
    assert len(items) == 1, "the example of an order must have exactly one item"
    assert_mapped(items[0], contract.item.fields, absent=contract.item.absent)


def _care_is_mapped(example: Example, adapter: Adapter) -> None:
    assert_mapped(adapter.decode_care_record(encoded(example.record)), example.fields, absent=example.absent)


def _states_have_their_meaning(table: StateTable, adapter: Adapter) -> None:
    assert set(table.meaning) == set(table.published), (
        f"not published: {set(table.meaning) - set(table.published)}; "
        f"without a meaning: {set(table.published) - set(table.meaning)}"
    )
    assert table.published, "no state is published"
    numbers = all(isinstance(state, int) for state in table.published)
    unknown = 987_654 if numbers else "TELEPORTED"
    for state, meaning in [*table.meaning.items(), (unknown, table.unknown)]:
        outcome = _outcome(adapter, table.kind, encoded(with_value(table.record, table.path, state)))
        assert isinstance(outcome, Stored), f"state {state!r}: {outcome}"
        found = table.read(outcome.value)
        assert found == meaning, f"state {state!r} became {found!r}, not {meaning!r}"


def _a_state_may_be_written_in_another_way(table: StateTable, adapter: Adapter) -> None:
    """With spaces around it, or in another case: its meaning is certain. The adapter needs `kit.states` for that."""
    for state, meaning in table.meaning.items():
        if not isinstance(state, str):
            continue
        for spelling in {f" {state}\n", state.lower(), state.upper(), state.title()} - set(table.published):
            outcome = _outcome(adapter, table.kind, encoded(with_value(table.record, table.path, spelling)))
            assert isinstance(outcome, Stored), f"state {spelling!r}: {outcome}"
            found = table.read(outcome.value)
            assert found == meaning, f"state {spelling!r} became {found!r}, not {meaning!r}"
            assert outcome.flaws, f"state {spelling!r} is no flaw"


def _a_missing_state_is_a_flaw(table: StateTable, adapter: Adapter) -> None:
    for name, record in (
        ("null", with_value(table.record, table.path, None)),
        ("left out", without_value(table.record, table.path)),
    ):
        outcome = _outcome(adapter, table.kind, encoded(record))
        assert isinstance(outcome, Stored), f"{name}: {outcome}"
        assert outcome.flaws or "unknown" not in _statuses(outcome.value), f"{name} is no flaw, and nothing is known"


def _statuses(value: Order | CareRecord) -> list[str]:
    if isinstance(value, CareRecord):
        return [value.state]
    return [value.status, *(item.status for item in value.items or ())]


def _a_double_item_is_stored_once(record: Mapping[str, Any], adapter: Adapter) -> None:
    """An item and a copy that lacks one field: one item, if the copy alone has the same SKU and quantity."""
    [expected] = adapter.decode_order(encoded(record)).items or []
    name = _name_of_items(adapter, record)
    [item] = record[name]
    for left_out in [None, *item]:
        copy = {key: value for key, value in item.items() if key != left_out}
        alone = _outcome(adapter, "order", encoded({**record, name: [copy]}))
        if isinstance(alone, Rejected) or not _agrees(alone.value, expected):
            continue
        for items in ([item, copy], [copy, item]):
            outcome = _outcome(adapter, "order", encoded({**record, name: items}))
            assert isinstance(outcome, Stored), f"a copy without {left_out} rejects the order: {outcome}"
            assert _agrees(outcome.value, expected), f"a copy without {left_out}: {outcome.value.items}"
            assert outcome.flaws, f"a copy without {left_out} is no flaw"


def _an_empty_line_is_left_out(record: Mapping[str, Any], adapter: Adapter) -> None:
    [expected] = adapter.decode_order(encoded(record)).items or []
    name = _name_of_items(adapter, record)
    [item] = record[name]
    for empty in (None, "", " ", []):
        for items in ([item, empty], [empty, item]):
            outcome = _outcome(adapter, "order", encoded({**record, name: items}))
            assert isinstance(outcome, Stored), f"the empty line {empty!r} rejects the order: {outcome}"
            assert _agrees(outcome.value, expected), f"the empty line {empty!r}: {outcome.value.items}"
            assert outcome.flaws, f"the empty line {empty!r} is no flaw"


def _spaces_around_ids_are_left_out(kind: RecordKind, example: Example, adapter: Adapter) -> None:
    expected = _outcome(adapter, kind, encoded(example.record))
    assert isinstance(expected, Stored), f"the example itself is rejected: {expected}"
    value = expected.value
    of_items = [item.item_id for item in value.items or ()]
    own_id = value.order_id if isinstance(value, Order) else value.care_id
    struct = _struct(adapter, kind)
    for path, _ in [] if struct is None else places(struct, example.record):
        if kind == "order" and len(path) > 1 and path[0] != _name_of_items(adapter, example.record):
            continue  # a document's item: see `mend_document`
        text = str(value_at(example.record, path))
        # An adapter may put something before the id, so that two lists with equal ids can become one.
        if text in of_items or (len(path) == 1 and own_id in (text, f"{own_id.partition('-')[0]}-{text}")):
            outcome = _outcome(adapter, kind, encoded(with_value(example.record, path, f" {text}\r\n\t")))
            assert isinstance(outcome, Stored), f"spaces in {text_of(path)} reject the record: {outcome}"
            assert outcome.value == value, f"spaces in {text_of(path)} change the record: {outcome.value}"
            assert outcome.flaws, f"spaces in {text_of(path)} are no flaw"


def _name_of_items(adapter: Adapter, record: Mapping[str, Any]) -> str:
    """The name of the list with the order's lines."""
    return next(
        name
        for name, value in record.items()
        if isinstance(value, list) and not adapter.decode_order(encoded({**record, name: []})).items
    )


def _agrees(value: Order | CareRecord, expected: OrderItem) -> bool:
    """Whether the order has one item, with the expected SKU and quantity."""
    items = value.items if isinstance(value, Order) else None
    of_items = [(item.item_id, item.sku, item.quantity) for item in items or ()]
    return of_items == [(expected.item_id, expected.sku, expected.quantity)]


def _no_time_counts_as_none(kind: RecordKind, example: Example, path: Path, adapter: Adapter) -> None:
    none = _outcome(adapter, kind, encoded(with_value(example.record, path, None)))
    for text in NO_TIMES:
        outcome = _outcome(adapter, kind, encoded(with_value(example.record, path, text)))
        if isinstance(outcome, Rejected):
            assert isinstance(none, Rejected), f"{text} rejects the record: {outcome}"
            continue
        assert isinstance(none, Stored)
        assert outcome.value == none.value, f"{text} is not as good as none: {outcome}"
        is_read = _decoded(adapter, kind, encoded(example.record)) != none.value
        assert outcome.flaws or not is_read, f"{text} is no flaw"


def _cut_off_is_rejected(kind: RecordKind, example: Example, adapter: Adapter) -> None:
    raw = encoded(example.record)
    for length in range(len(raw)):
        outcome = _outcome(adapter, kind, raw[:length])
        assert isinstance(outcome, Rejected), f"{length} bytes of the record are stored: {outcome}"


def _no_json_is_rejected(kind: RecordKind, example: Example, adapter: Adapter) -> None:
    for name, text in NO_JSON.items():
        outcome = _outcome(adapter, kind, raw_with(example.record, ("nobody reads this",), text))
        assert isinstance(outcome, Rejected), f"{name}: {outcome}"
        assert [reason.where for reason in outcome.reasons] == ["record"]


def _unread_is_harmless(kind: RecordKind, example: Example, adapter: Adapter) -> None:
    expected = _outcome(adapter, kind, encoded(example.record))
    assert isinstance(expected, Stored), f"the example itself is rejected: {expected}"
    for name, text in ODD_VALUES.items():
        outcome = _outcome(adapter, kind, raw_with(example.record, ("nobody reads this",), text))
        assert isinstance(outcome, Stored), f"{name}: {outcome}"
        assert outcome.value == expected.value, f"{name} changes the record: {outcome}"
        assert {flaw.field for flaw in outcome.flaws} <= {"record"}, f"{name}: {outcome.flaws}"


def _odd_values(kind: RecordKind, example: Example, path: Path, adapter: Adapter) -> None:
    """One odd value after the other in the same field; also the field left out."""
    struct = _struct(adapter, kind)
    assert struct is not None
    raws = {name: raw_with(example.record, path, text) for name, text in ODD_VALUES.items()}
    raws["left out"] = encoded(without_value(example.record, path))
    expected = _decoded(adapter, kind, encoded(example.record))
    is_of_lines = kind == "order" and path[0] == _name_of_items(adapter, example.record) and len(path) <= 2
    for name, raw in raws.items():
        outcome = _outcome(adapter, kind, raw)
        what = f"{name} in {text_of(path)}"
        if isinstance(outcome, Rejected):
            for reason in outcome.reasons:
                assert PLANTED not in repr(reason), f"{what}: the reason repeats the value: {reason}"
                is_of_a_part = reason.where.startswith(
                    (f"{text_of(path)}.", f"{text_of(path)}[", *(["items["] if is_of_lines else []))
                )
                assert reason.what != "is missing" or name in _MISSING or is_of_a_part, f"{what} is there: {reason}"
                assert last_name(reason.where) in ESSENTIAL or is_needed(struct, path, reason.where), (
                    f"{what} rejects the record, though it can be locked and shipped: {reason}"
                )
            continue
        assert PLANTED not in repr(outcome.flaws), f"{what}: a flaw repeats the value: {outcome.flaws}"
        changed = _changed_fields(outcome.decoded, expected)
        if kind == "order" and len(path) > 1:
            # A line of which nothing is left to ship may be left out, and so may what is no line.
            is_gone = name in ("0", "left out") or (isinstance(path[-1], int) and name in _NO_LINES)
            assert is_gone or len(outcome.value.items or ()) == len(expected.items or ()), f"{what} loses an item"
        for flaw in outcome.flaws:
            assert flaw.field == "record" or flaw.field.startswith(text_of(path)) or flaw.field in changed, (
                f"{what} is reported as a flaw of another field: {flaw}"
            )
        if not outcome.flaws:
            _decoded(adapter, kind, raw)  # a record without flaws is one that is decoded as it is


def _outcome(adapter: Adapter, kind: RecordKind, raw: bytes) -> Outcome:
    return order_outcome(adapter, raw) if kind == "order" else care_outcome(adapter, raw)


def _decoded(adapter: Adapter, kind: RecordKind, raw: bytes) -> Order | CareRecord:
    return adapter.decode_order(raw) if kind == "order" else adapter.decode_care_record(raw)


def _struct(adapter: Adapter, kind: RecordKind) -> type[msgspec.Struct] | None:
    return adapter.order_struct if kind == "order" else adapter.care_struct


def _changed_fields(value: Order | CareRecord, expected: Order | CareRecord) -> set[str]:
    """The canonical fields with another value than expected, by the names that flaws have."""
    # By their texts: to compare the number sNaN raises.
    changed = {n for n in value.__struct_fields__ if repr(getattr(value, n)) != repr(getattr(expected, n))}
    for position, item in enumerate(value.items or ()):
        others = expected.items or []
        other = others[position] if position < len(others) else None
        changed |= {
            f"items[{position}].{name}"
            for name in item.__struct_fields__
            if repr(getattr(item, name)) != repr(getattr(other, name, None))
        }
    return changed
