"""Rows, texts and plots as metadata that the Dagster UI shows.

The UI renders Markdown: a SKU that is `![](https://…)` would load an image from outside, and tell its owner who looks.
The cells of a table, and texts, it shows as they are. So nothing of a marketplace, a buyer or a person is Markdown.
"""

import math
from collections.abc import Iterable, Sequence

import dagster as dg

from orders_sync.model.control_characters import safe_text

CELL_CHARACTERS = 200
"""A longer text in a cell is cut."""
_MAX_EXACT_INTEGER = 2**53
"""JavaScript, and so the UI, has no exact integers beyond."""

Cell = str | int | float | bool | None


def rows_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.TableMetadataValue:
    """A table with the columns `names`. Numbers stay numbers; None is an empty cell; any other value is its text."""
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(names, map(_cell, row), strict=True))) for row in rows],
        dg.TableSchema([dg.TableColumn(name) for name in names]),
    )


def texts_table(name: str, texts: Iterable[str]) -> dg.TableMetadataValue:
    """Texts, one below the other and none of them cut; `name`: what each of them is, e.g. `problem`."""
    records = [dg.TableRecord({name: safe_text(text)}) for text in texts]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name)]))


def plot(title: str, data_url: str) -> dg.MarkdownMetadataValue:
    """A picture. `title`: words of ours. `data_url`: as `reports.plots` makes it."""
    assert data_url.startswith("data:image/png;base64,")
    return dg.MetadataValue.md(f"![{title}]({data_url})")


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _MAX_EXACT_INTEGER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):  # JSON has no others
        return float(value)
    text = safe_text(str(value))
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"
