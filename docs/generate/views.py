"""Parts of docs/data.md: the views of the schema reporting, and a picture of the tables and what connects them."""

import importlib.util
from types import ModuleType
from typing import Any

from sqlalchemy import Table

from docs.generate.markdown import code, sentence, table
from orders_sync.database import tables
from orders_sync.database.schema import REVISIONS

PARENTS = ("orders", "order_items", "order_events", "care_records", "stock_levels", "lanes", "subscriptions")
"""The tables whose keys others have."""
CHILDREN = (
    "order_items", "order_changes", "order_events", "order_documents", "care_record_items", "stock_locks",
    "stock_movements", "acceptances", "lane_runs", "event_deliveries",
)  # fmt: skip
"""What the picture shows besides."""


def reporting_views() -> dict[str, Any]:
    """All views by name: what the revisions make, the newest of each."""
    found: dict[str, Any] = {}
    for path in sorted((REVISIONS / "versions").glob("[0-9]*.py")):
        text = path.read_text()
        if "\nVIEWS = " in text:
            found |= vars(_module(path.stem))["VIEWS"]
        if "\nVIEW_COMMENTS = " in text:
            for (name, column), comment in vars(_module(path.stem))["VIEW_COMMENTS"].items():
                found[name] = _with_comment(found[name], column, comment)
    return found


def _with_comment(view: Any, column: str, comment: str) -> Any:
    """A view with another comment: its own, or one of a column."""
    return view._replace(columns={**view.columns, column: comment}) if column else view._replace(comment=comment)


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REVISIONS / "versions" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def views_part() -> str:
    """A section for each view, with its columns."""
    return "\n\n".join(
        f"### reporting.{name}\n\n{view.comment}\n\n"
        + table(("column", "meaning"), ((code(column), sentence(text)) for column, text in view.columns.items()))
        for name, view in reporting_views().items()
    )


def tables_picture() -> str:
    """The tables as a diagram: a table with the key of another one belongs to that."""
    lines = ["```mermaid", "erDiagram"]
    metadata = tables.metadata.tables
    for name in CHILDREN:
        child = metadata[name]
        for parent in _parents(child):
            keys = ", ".join(column.name for column in metadata[parent].primary_key.columns)
            lines.append(f'  {parent} ||--o{{ {name} : "{keys}"')
    return "\n".join([*lines, "```"])


def _parents(child: Table) -> list[str]:
    """The tables that a table belongs to: those with the longest keys that it has, and no key of its own is."""
    metadata = tables.metadata.tables
    own = {column.name for column in child.primary_key.columns}
    return [
        parent
        for parent in PARENTS
        if parent != child.name
        and (key := {column.name for column in metadata[parent].primary_key.columns}) <= set(child.columns.keys())
        and key != own
    ]
