"""Odd records and pages: bytes of the examples that are mutated, and records built from the adapters' structs."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from random import Random
from types import NoneType
from typing import Any, get_args, get_origin

import msgspec

from orders_sync.marketplaces import back_market, medusa, mirakl, refurbed
from orders_sync.marketplaces.kit.lenient import members_of
from orders_sync.testing.adapter_contract import NO_JSON, ODD_VALUES, AdapterContract
from orders_sync_tests.marketplaces import back_market_contract, medusa_contract, mirakl_contract, refurbed_contract

Page = tuple[Callable[[bytes], Any], Callable[[bytes], object], Mapping[str, Any]]
"""A decoder of pages, what the adapter does with each of its records, and a page."""
CONTRACTS: Mapping[str, AdapterContract] = {
    "back_market": back_market_contract.CONTRACT,
    "medusa": medusa_contract.CONTRACT,
    "mirakl": mirakl_contract.CONTRACT,
    "refurbed": refurbed_contract.CONTRACT,
}
_ORDERS: Mapping[str, Any] = {name: contract.order.record for name, contract in CONTRACTS.items()}
_CARE: Mapping[str, Any] = {name: contract.care[0].record for name, contract in CONTRACTS.items()}
PAGES: Mapping[str, Sequence[Page]] = {
    "back_market": [
        (
            back_market._decode_list, back_market._order_record,
            {"count": 3, "next": None, "results": [_ORDERS["back_market"]] * 3},
        ),
        (
            back_market._decode_list, back_market._care_list_record,
            {"count": 3, "next": "?page=2", "results": [_CARE["back_market"]] * 3},
        ),
    ],
    "medusa": [
        (medusa._decode_orders, medusa._record, {"orders": [_ORDERS["medusa"]] * 3, "count": 3}),
        (
            medusa._decode_care_page["returns"], lambda raw: medusa._is_to_be_stored(medusa._record(raw)),
            {"returns": [_CARE["medusa"]] * 3, "count": 3},
        ),
    ],
    "mirakl": [
        (mirakl._decode_orders, mirakl._order_record, {"orders": [_ORDERS["mirakl"]] * 3, "total_count": 3}),
        (mirakl._decode_returns, mirakl._return_record, {"data": [_CARE["mirakl"]] * 3, "next_page_token": "t"}),
    ],
    "refurbed": [
        (refurbed._decode_orders, refurbed._order_record, {"orders": [_ORDERS["refurbed"]] * 3, "has_more": False}),
        (refurbed._decode_returns, refurbed._return_record, {"returns": [_CARE["refurbed"]] * 3, "has_more": True}),
        (
            refurbed._decode_tickets, lambda raw: refurbed._is_about_an_item(refurbed._ticket_record(raw)),
            {"tickets": [refurbed_contract.TICKET] * 3, "has_more": True},
        ),
    ],
}  # fmt: skip

_TEXTS = [
    "", " ", "EUR", "eur", "null", "true", "1", "-1", "1.50", "1e5", "NaN", "sNaN", "²", "٣", "a\tb\nc\\d\re", "\u202e",
    "x" * 300, "https://example.com/a", "//example.com", "2026-03-01", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-03-01T24:00:00Z", "é😀", "\ufffd",
]  # fmt: skip
_NUMBERS = [0, 1, -1, 2, 10**9, 2**31, 2**63, 2**64, -(10**30), 10**70, 1.0, 0.5, -0.0, 1e-300, 1e300, 0.1 + 0.2]
_SLICES = [text.encode() for text in [*ODD_VALUES.values(), *NO_JSON.values()] if len(text) < 500]
_BYTES = [b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"\\", b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":",
          b"e", b"-", b"."]  # fmt: skip


def mutated(raw: bytes, random: Random) -> bytes:
    """The same JSON with one to four changes to its bytes."""
    for _ in range(random.randint(1, 4)):
        raw = _changed(raw, random)
    return raw


def _changed(raw: bytes, random: Random) -> bytes:
    begin = random.randint(0, len(raw))
    end = min(len(raw), begin + random.choice([1, 1, 2, 8, 60]))
    match random.choice(["flip", "delete", "insert", "duplicate", "odd slice", "cut off"]):
        case "flip" if begin < len(raw):
            return raw[:begin] + bytes([raw[begin] ^ (1 << random.randint(0, 7))]) + raw[begin + 1 :]
        case "delete":
            return raw[:begin] + raw[end:]
        case "insert":
            return raw[:begin] + random.choice(_BYTES) + raw[begin:]
        case "duplicate":
            return raw[:end] + raw[begin:]
        case "odd slice":
            return raw[:begin] + random.choice(_SLICES) + raw[end:]
        case _:
            return raw[:begin] if random.randint(0, 9) == 0 else raw
    return raw


def with_odd_values(record: Any, random: Random) -> bytes:
    """The record's JSON with odd values in the places of one to three others."""
    places = _places(record)
    chosen = {random.choice(places) for _ in range(random.randint(1, 3))}
    texts: list[str] = []

    def copy(value: Any, path: tuple[Any, ...]) -> Any:
        if path in chosen:
            texts.append(random.choice(list(ODD_VALUES.values())))
            return f"@{len(texts) - 1}@"
        if isinstance(value, dict):
            return {key: copy(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [copy(inner, (*path, position)) for position, inner in enumerate(value)]
        return value

    raw = json.dumps(copy(record, ()), ensure_ascii=random.random() < 0.5)
    for number, text in enumerate(texts):
        raw = raw.replace(f'"@{number}@"', text)
    return raw.encode(errors="surrogatepass")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [place for key, one in inner for place in _places(one, (*path, key))]
    return [path, *found] if path else found


def built(struct: type[msgspec.Struct], random: Random) -> bytes:
    """A record of the contract's form: each field right, odd or left out; about one in ten is not right."""
    return json.dumps(_built(struct, random), ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")


def _built(hint: Any, random: Random) -> Any:
    if random.random() < 0.08:
        return _odd(random)
    member = random.choice([one for one in members_of(hint) if one not in (NoneType, msgspec.UnsetType)])
    if get_origin(member) is list:
        return [_built(get_args(member)[0], random) for _ in range(random.choice([0, 1, 1, 1, 2, 3]))]
    if isinstance(member, type) and issubclass(member, msgspec.Struct):
        return {
            field.encode_name: _built(field.type, random)
            for field in msgspec.structs.fields(member)
            if random.random() > 0.05
        }
    right: Mapping[Any, Any] = {
        str: ["EUR", "A-1", "SHIPPED", "https://example.com/1", "line\nbreak", "é😀\\N"], int: [1, 2, 3, 9],
        float: [1.5], Decimal: [1.5, "12.50", "0.30000000000000004", -2, "-0"], bool: [True, False],
        datetime: ["2026-03-01T10:00:00Z", "2026-03-01T10:00:00.123456+05:30"],
    }  # fmt: skip
    return random.choice(right.get(member, _TEXTS))


def _odd(random: Random) -> Any:
    return random.choice(
        [
            None,
            [],
            {},
            [None],
            [{}],
            {"a": 1},
            True,
            False,
            math.inf,
            math.nan,
            random.choice(_TEXTS),
            random.choice(_NUMBERS),
        ]
    )
