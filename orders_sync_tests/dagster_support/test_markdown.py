"""Rows as a table in Dagster's metadata: nothing that a row holds breaks the table or the page."""

import pytest

from orders_sync.dagster_support.markdown import as_markdown_table


def test_names_and_rows_stand_in_columns() -> None:
    assert as_markdown_table(["a", "b"], [(1, "x"), (None, 2.5)]).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1 | x |",
        "|  | 2.5 |",
    ]


def test_without_rows_there_are_the_names() -> None:
    assert as_markdown_table(["a"], []).splitlines() == ["| a |", "|---|"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a|b", "a\\|b"), ("two\nlines", "two lines"), ("<script>", "&lt;script>"), ("x" * 500, "x" * 200)],
)
def test_what_would_break_the_table_is_masked(value: str, shown: str) -> None:
    assert as_markdown_table(["a"], [(value,)]).splitlines()[2] == f"| {shown} |"
