"""The marketplaces' published contracts, from a folder that an environment variable names."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER_VARIABLE = "ORDERS_SYNC_TEST_CONTRACTS"
REQUIRED = {
    "back_market": ("/ws/orders", "/ws/sav", "/ws/shipping/v1/deliveries"),
    "mirakl": ("/api/orders", "/api/orders/documents", "/api/returns"),
    "refurbed": tuple(
        f"/refb.merchant.v1.{method}"
        for method in (
            "OrderService/ListOrders",
            "OrderItemService/UpdateOrderItemState",
            "OrderItemReturnService/ListOrderItemReturns",
            "TicketService/ListTickets",
        )
    ),
}
"""Paths by which the documents of each marketplace are found, whatever the names of their files."""


class _Yaml12(yaml.SafeLoader):
    """YAML 1.2, as OpenAPI prescribes: `NO` is a country and no boolean, a date is a text."""


_Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


@dataclass(frozen=True, eq=False)
class Document:
    """One OpenAPI or Swagger document."""

    file: Path
    operations: tuple[tuple[str, str, re.Pattern[str]], ...]
    """Method, path as published, and the pattern of a request's path; those without parameters first."""
    content: dict[str, Any]

    def operation(self, method: str, path: str) -> str | None:
        """The operation of a request, e.g. `POST /ws/orders/{order_id}`; None if the document has none."""
        for published_method, published_path, pattern in self.operations:
            if method == published_method and pattern.fullmatch(path):
                return f"{method} {published_path}"
        return None

    def strict(self) -> str:
        """The document as JSON, changed in that an object may have no properties but those published."""
        content = json.loads(json.dumps(self.content))
        parts = set(_parts_of_wholes(content))
        for part in ("paths", "components", "definitions", "parameters", "responses"):
            _close(content.get(part), f"#/{part}", parts)
        return json.dumps(content)


def _parts_of_wholes(node: Any) -> Iterator[str]:
    """The references in every `allOf`: each of these schemas describes only some properties of an object.

    So does one with a `discriminator`: the schemas that it names have further ones.
    """
    if isinstance(node, dict):
        for schema in node.get("allOf", []) if isinstance(node.get("allOf"), list) else []:
            if "$ref" in schema:
                yield schema["$ref"]
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _parts_of_wholes(child)


def _close(node: Any, pointer: str, parts: set[str]) -> None:
    """Adds `additionalProperties: false` to the schemas of objects below a node that is at `pointer`."""
    if isinstance(node, list):
        for schema in node:
            _close(schema, "", parts)
    elif isinstance(node, dict):
        is_whole = "allOf" not in node and "discriminator" not in node and pointer not in parts
        if isinstance(node.get("properties"), dict) and is_whole:
            node.setdefault("additionalProperties", False)
        for key, child in node.items():
            if key not in ("allOf", "example", "examples"):
                _close(child, f"{pointer}/{key}", parts)


def documents() -> dict[str, list[Document]]:
    """The documents of each marketplace. Raises AssertionError if the folder or a document is missing."""
    folder = os.environ.get(FOLDER_VARIABLE)
    assert folder, f"{FOLDER_VARIABLE} must name the folder of the published contracts; see CONTRIBUTING.md."
    files = [path for path in sorted(Path(folder).expanduser().iterdir()) if path.suffix in (".json", ".yaml", ".yml")]
    found = [document for document in map(_read, files) if document is not None]
    return {name: _of(name, paths, found, folder) for name, paths in REQUIRED.items()}


def _read(file: Path) -> Document | None:
    content: Any = json.loads(file.read_text()) if file.suffix == ".json" else yaml.load(file.read_text(), _Yaml12)
    if not isinstance(content, dict) or "paths" not in content:
        return None
    operations = [
        (method.upper(), path, re.compile(re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(path))))
        for path, methods in sorted(content["paths"].items(), key=lambda item: "{" in item[0])
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    ]
    return Document(file, tuple(operations), content)


def _of(marketplace: str, paths: tuple[str, ...], found: list[Document], folder: str) -> list[Document]:
    having = {path: [d for d in found if any(path == published for _, published, _ in d.operations)] for path in paths}
    missing = [path for path, documents in having.items() if not documents]
    assert not missing, f"{marketplace}: no document in {folder} has {', '.join(missing)}; see CONTRIBUTING.md."
    return list(dict.fromkeys(documents[0] for documents in having.values()))
