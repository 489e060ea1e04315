"""Rows, texts and plots in Dagster's metadata: shown as they are, and never as Markdown."""

import ast
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

import orders_sync
from orders_sync.dagster_support.metadata import CELL_CHARACTERS, plot, rows_table, texts_table
from orders_sync.model.control_characters import without_control
from orders_sync_tests.hostile_texts import SKUS


class Word(StrEnum):
    SHORT = "short"


class Number(IntEnum):
    TWO = 2


def cell_of(value: object) -> object:
    """A cell as the UI gets it."""
    event = dg.AssetMaterialization("a", metadata={"rows": rows_table(["it"], [(value,)])})
    stored = dg.deserialize_value(dg.serialize_value(event), dg.AssetMaterialization)
    shown = stored.metadata["rows"]
    assert isinstance(shown, dg.TableMetadataValue)
    text = json.dumps(shown.records[0].data["it"])
    return json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1), (-2.5, -2.5), (None, None), (True, True), ("a|b\nc", "a|b\nc"), (Word.SHORT, "short"), (Number.TWO, 2),
        (Decimal("5.00"), "5.00"), (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01 00:00:00+00:00"),
        (2**53, 2**53), (2**53 + 1, str(2**53 + 1)), (float("nan"), "nan"), (float("-inf"), "-inf"),
        (np.int64(3), "3"), (np.float64(0.5), 0.5),
        ("x" * CELL_CHARACTERS, "x" * CELL_CHARACTERS), ("x" * 500, "x" * (CELL_CHARACTERS - 1) + "…"),
        *((sku, without_control(sku)) for sku in SKUS),
    ],
)  # fmt: skip
def test_a_value_is_a_cell(value: object, shown: object) -> None:
    found = cell_of(value)
    assert (found, type(found)) == (shown, type(shown))


def test_a_table_without_rows_has_its_columns() -> None:
    shown = rows_table(["a", "b"], [])
    assert (list(shown.records), [column.name for column in shown.schema.columns]) == ([], ["a", "b"])


def test_texts_stand_below_each_other_and_whole() -> None:
    shown = texts_table("problem", ["x" * 500, *SKUS])
    assert [record.data["problem"] for record in shown.records] == ["x" * 500, *map(without_control, SKUS)]


def test_a_plot_is_a_picture_of_ours() -> None:
    assert plot("by day", "data:image/png;base64,AAAA").value == "![by day](data:image/png;base64,AAAA)"
    with pytest.raises(AssertionError):
        plot("by day", "https://evil.example/x.png")


PACKAGE = Path(orders_sync.__file__).parent


def test_no_module_makes_markdown_of_data() -> None:
    """Only plots are Markdown, and tables of words of ours in the descriptions of definitions: at the module's level."""
    of_ours = [PACKAGE / "dagster_support" / name for name in ("metadata.py", "markdown.py")]
    found: list[str] = []
    for path in sorted(set(PACKAGE.rglob("*.py")) - set(of_ours)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {id(part) for node in tree.body if isinstance(node, ast.Assign) for part in ast.walk(node)}
        for node in ast.walk(tree):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            is_constant = name == "as_markdown_table" and id(node) in constants
            if name in ("md", "MarkdownMetadataValue", "as_markdown_table") and not is_constant:
                found.append(f"{path.relative_to(PACKAGE)}: {ast.unparse(node)}")
    assert found == []
