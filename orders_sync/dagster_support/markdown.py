"""Rows of words of ours as a Markdown table, for descriptions in the Dagster UI. Data are shown by `metadata.py`."""

from collections.abc import Sequence
from typing import Any

from orders_sync.model.control_characters import safe_text


def as_markdown_table(names: list[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """A Markdown table with the columns `names`. Cells are escaped and cut to 200 characters; None is empty."""
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")[:200]


def as_code(text: str) -> str:
    """A text as a block of code, in which nothing is markup."""
    return f"```text\n{safe_text(text).replace('`', chr(39))}\n```"
