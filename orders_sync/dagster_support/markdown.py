"""Rows of a table as the Dagster UI shows them in metadata."""

from collections.abc import Sequence
from typing import Any


def as_markdown_table(names: list[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """Rows as a table that the UI shows."""
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")[:200]
