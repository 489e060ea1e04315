"""The contract with consumers: what it says of an event is so, and nothing of a released version is taken back."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from docs.generate.contract import TYPES, asyncapi_file, event_schema, field_texts
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.subscriptions.webhooks.envelope import cloud_event
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync_tests.subscriptions.conftest import Subscribe

RELEASED = Path(__file__).parent / "released_contract.v1.json"
"""What the first release of version 1 has said. It never changes: a change that this test refuses needs a version 2."""


def test_nothing_of_a_released_version_is_taken_back() -> None:
    released: dict[str, Any] = json.loads(RELEASED.read_text())["$defs"]
    present: dict[str, Any] = event_schema()["$defs"]
    assert broken_promises(released, present) == []


def broken_promises(released: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """What a consumer of the released version could rely on, and now can't."""
    found: list[str] = []
    for name, definition in released.items():
        now = present.get(name, {})
        if "enum" in definition:
            found += [f"{name}: {value} is gone" for value in definition["enum"] if value not in now.get("enum", ())]
            continue
        for field, kind in definition["properties"].items():
            if without_texts(kind) != without_texts(now.get("properties", {}).get(field)):
                found.append(f"{name}.{field} has changed")
        found += [f"{name}.{field} may be missing" for field in definition["required"] if field not in now["required"]]
    return found


def without_texts(kind: Any) -> Any:
    """A type without its description, and without the values that may be added to."""
    return {key: value for key, value in kind.items() if key not in ("description", "enum")} if kind else kind


def test_a_promise_that_is_broken_is_found() -> None:
    schema: dict[str, Any] = {
        "A": {"properties": {"x": {"type": "string"}, "y": {"type": "string"}}, "required": ["x"]}
    }
    schema["S"] = {"enum": ["one", "two"]}
    assert broken_promises(schema, schema) == []
    changed = {
        "A": {"properties": {"x": {"type": "integer"}, "z": {}}, "required": []},
        "S": {"enum": ["one", "three"]},
    }
    assert broken_promises(schema, changed) == [
        "A.x has changed", "A.y has changed", "A.x may be missing", "S: two is gone",
    ]  # fmt: skip


def test_events_are_as_the_schema_and_the_asyncapi_document_say(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(kinds=["OrderChanged"])
    an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    for change in ({"state": 9}, {"price": "1.00"}):
        marketplace.pass_time(minutes=5)
        marketplace.change(1, **change)
        sync(account, "modified")
    contents = [
        row[0] for row in connection.execute("SELECT order_event(event_id) FROM order_events ORDER BY event_id")
    ]
    assert [content["kind"] for content in contents] == ["OrderCreated", "OrderStatusChanged", "OrderChanged"]
    checker = jsonschema.FormatChecker()
    document = json.loads(asyncapi_file())
    for content in contents:
        jsonschema.validate(content, event_schema(), format_checker=checker)
        assert content.keys() == event_schema()["$defs"]["OrderEvent"]["properties"].keys(), "it says nothing else"
        message = document["components"]["messages"][content["kind"]]
        envelope = {**message["payload"], "components": document["components"]}
        jsonschema.validate(json.loads(cloud_event(content)), envelope, format_checker=checker)


def test_every_field_has_a_meaning() -> None:
    for each in TYPES:
        assert field_texts(each).keys() == set(each.__struct_fields__)
