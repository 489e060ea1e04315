"""The contract of order events as JSON Schema and as AsyncAPI document, from the types in subscriptions/event.py."""

import ast
import inspect
import json
import textwrap
from typing import Any

import msgspec

from orders_sync.model.event_kinds import KINDS
from orders_sync.subscriptions.event import (
    VERSION,
    ChangedFields,
    EventAddress,
    EventBuyer,
    EventCare,
    EventCareItem,
    EventDocument,
    EventItem,
    EventLock,
    EventOrder,
    OrderEvent,
)

TYPES = (
    OrderEvent, EventOrder, EventItem, ChangedFields, EventDocument, EventCare, EventCareItem, EventLock, EventBuyer,
    EventAddress,
)  # fmt: skip
SCHEMA_FILE = f"reference/order-event.v{VERSION}.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema() -> dict[str, Any]:
    """The JSON Schema of an event."""
    (root,), definitions = msgspec.json.schema_components([OrderEvent], ref_template="#/$defs/{name}")
    for each in TYPES:
        definition = definitions[each.__name__]
        definition["description"] = inspect.getdoc(each)
        for field, text in field_texts(each).items():
            definition["properties"][field] = {"description": text, **definition["properties"][field]}
    version = definitions["OrderEvent"]["properties"]["version"]
    version["const"] = VERSION
    definitions["OrderEvent"]["properties"]["kind"]["enum"] = list(KINDS)
    return {
        "$schema": _DIALECT, "$id": f"urn:orders-sync:order-event:{VERSION}", "title": "OrderEvent", **root,
        "$defs": definitions,
    }  # fmt: skip


def field_texts(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The meaning of each field that has one: the docstrings below the fields."""
    (body,) = (node for node in ast.parse(textwrap.dedent(inspect.getsource(struct))).body)
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for before, node in zip(body.body, body.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)
            texts[before.target.id] = inspect.cleandoc(str(node.value.value))
    return texts


def schema_file() -> str:
    """The file of the JSON Schema."""
    return json.dumps(event_schema(), indent=2, ensure_ascii=False) + "\n"


def asyncapi_file() -> str:
    """The AsyncAPI 3.0 document of the webhooks: what we send, in which envelope, with which headers."""
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "orders_sync order events", "version": f"{VERSION}.0.0",
            "description": "Order events as webhooks: Standard Webhooks signatures, CloudEvents envelopes.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "webhook": {
                "address": None, "description": "The URL of the receiver, one call for each event.",
                "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in KINDS},
            }
        },
        "operations": {
            "sendEvent": {"action": "send", "channel": {"$ref": "#/channels/webhook"}, "summary": "Sends an event."}
        },
        "components": {
            "messages": {
                kind: {
                    "name": kind, "title": kind, "summary": text, "contentType": "application/cloudevents+json",
                    "headers": {"$ref": "#/components/schemas/headers"},
                    "payload": _envelope(kind),
                }
                for kind, text in KINDS.items()
            },
            "schemas": {"headers": _HEADERS, **_definitions()},
        },
    }  # fmt: skip
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


_HEADERS = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {"type": "string", "description": "The event's id, the same each time it is sent."},
        "webhook-timestamp": {"type": "string", "description": "When the call was made, in seconds since 1970."},
        "webhook-signature": {
            "type": "string",
            "description": "One signature for each secret: `v1,` and Base64 of HMAC-SHA256, separated by spaces.",
        },
    },
}


def _envelope(kind: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "specversion": {"type": "string", "const": "1.0"},
        "id": {"type": "string", "description": "The event's id."},
        "source": {"type": "string", "description": "`/orders_sync/` and the account."},
        "type": {"type": "string", "const": f"orders_sync.{kind}"},
        "subject": {"type": "string", "description": "The marketplace's id of the order."},
        "time": {"type": "string", "format": "date-time", "description": "When the change was stored, in UTC."},
        "datacontenttype": {"type": "string", "const": "application/json"},
        "dataschema": {"type": "string", "const": f"urn:orders-sync:order-event:{VERSION}"},
        "data": {"$ref": "#/components/schemas/OrderEvent"},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _definitions() -> dict[str, Any]:
    """The types of the schema, with references within an AsyncAPI document."""
    text = json.dumps(event_schema()["$defs"])
    return json.loads(text.replace("#/$defs/", "#/components/schemas/"))
