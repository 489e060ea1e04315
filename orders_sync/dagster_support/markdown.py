"""Rows of words of ours as a Markdown table, for descriptions in the Dagster UI. Data are shown by `metadata.py`."""

from collections.abc import Sequence
from itertools import chain
from textwrap import wrap
from typing import Any

from orders_sync.model.control_characters import safe_text

LINE = 76
"""Characters of a line of code that the UI shows whole."""


def as_markdown_table(names: list[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """A Markdown table with the columns `names`. Cells are escaped and cut to 200 characters; None is empty."""
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")[:200]


def as_code(text: str) -> str:
    """A text as a block of code, in which nothing is markup. The UI cuts longer lines off, so they are wrapped."""
    lines = safe_text(text).replace("`", "'").splitlines()
    wrapped = [wrap(line, LINE, break_long_words=False, break_on_hyphens=False) or [""] for line in lines]
    return "\n".join(["```text", *chain.from_iterable(wrapped), "```"])
