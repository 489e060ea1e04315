"""What stays of a record, held against the marketplaces' published contracts where they are at hand."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync_tests.privacy.planted import MARK, paths, planted

FOLDER = os.environ.get("ORDERS_SYNC_TEST_CONTRACTS", "")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="ORDERS_SYNC_TEST_CONTRACTS names no folder with the marketplaces' published contracts"
)
MAX_DEPTH = 8
#: The paths of the operations that answer with orders and care records, and where these are in the answer.
RECORDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "back_market": (("order", "/ws/orders", "results"), ("care", "/ws/sav/{careFolderId}", "")),
    "mirakl": (("order", "/api/orders", "orders"), ("care", "/api/returns", "data")),
    "refurbed": (
        ("order", "/refb.merchant.v1.OrderService/ListOrders", "orders"),
        ("care", "/refb.merchant.v1.OrderItemReturnService/ListOrderItemReturns", "returns"),
        ("care", "/refb.merchant.v1.TicketService/ListTickets", "tickets"),
    ),
}
UNPUBLISHED = {"back_market": {"orderline", "lines"}}
"""Paths that stay and that the schema does not have: the list of folders has ids where a folder has objects."""


def documents() -> list[dict[str, Any]]:
    texts = [file.read_text() for file in sorted(Path(FOLDER).iterdir()) if file.suffix in (".json", ".yaml", ".yml")]
    return [yaml.load(text, yaml.CSafeLoader) for text in texts]


def example(document: Mapping[str, Any], schema: Any, depth: int = 0) -> Any:
    """A record with every property of a schema; `x` for each single value, since only their places count."""
    while isinstance(schema, dict) and "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        schema = found
    if depth > MAX_DEPTH or not isinstance(schema, dict):
        return "x"
    parts = [*schema.get("allOf", ()), *schema.get("oneOf", ())[:1], *schema.get("anyOf", ())[:1]]
    made: dict[str, Any] = {}
    for part in parts:
        value = example(document, part, depth + 1)
        made |= value if isinstance(value, dict) else {}
    made |= {name: example(document, value, depth + 1) for name, value in schema.get("properties", {}).items()}
    if made:
        return made
    return [example(document, schema["items"], depth + 1)] if "items" in schema else "x"


def records(name: str) -> Iterator[tuple[str, Any]]:
    for kind, path, place in RECORDS[name]:
        [document] = [each for each in documents() if path in each.get("paths", {})]
        operation = next(iter(document["paths"][path].values()))
        answer = operation["responses"].get("200") or operation["responses"].get(200)
        while "$ref" in answer:
            answer = document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        schema = answer.get("schema") or answer["content"]["application/json"]["schema"]
        made = example(document, schema)
        found = made[place] if place else made
        yield kind, found[0] if isinstance(found, list) else found


@pytest.mark.parametrize("name", RECORDS)
def test_every_published_text_goes_but_those_that_are_named(name: str) -> None:
    fields = find_marketplace(name).kept_fields
    for kind, record in records(name):
        allowed = fields.order if kind == "order" else fields.care
        left = fields.part_of(kind, json.dumps(planted(record, ())).encode())
        assert set(paths(json.loads(left))) <= set(allowed)
        whole = json.dumps(planted(record, allowed)).encode()
        assert whole.count(MARK.encode()) > 5
        assert MARK.encode() not in fields.part_of(kind, whole)


@pytest.mark.parametrize("name", RECORDS)
def test_what_stays_is_published(name: str) -> None:
    """A misspelled path would keep nothing."""
    fields = find_marketplace(name).kept_fields
    published: dict[str, set[str]] = {"order": set(), "care": set()}
    for kind, record in records(name):
        published[kind] |= set(paths(record))
    assert set(fields.order) - published["order"] - UNPUBLISHED.get(name, set()) == set()
    assert set(fields.care) - published["care"] - UNPUBLISHED.get(name, set()) == set()
