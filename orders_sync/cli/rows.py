"""Rows as a table for people, or as JSON or CSV for programs."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from orders_sync.cli.output import console, print_as_it_is, table
from orders_sync.model.csv_cells import csv_cell
from orders_sync.model.time_words import moment


def format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json` and `--csv` to a command, as the parameters `as_json` and `as_csv`."""
    command = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for spreadsheets.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def print_rows(title: str, names: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool, as_csv: bool) -> None:
    """Prints rows whose columns are `names`. A cell is a text, a number, a time or None.

    Raises click.UsageError if both formats are requested.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if as_json:
        document = [dict(zip(names, map(_for_programs, row), strict=True)) for row in rows]
        click.echo(json.dumps(document, indent=2))
    elif as_csv:
        text = io.StringIO()
        write_csv(text, names, rows)
        print_as_it_is(text.getvalue())
    else:
        shown = table(title, *(name.replace("_", " ") for name in names))
        for row in rows:
            shown.add_row(*map(_for_people, row))
        console.print(shown)


def write_csv(file: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows whose columns are `names`, so that a spreadsheet runs none of their texts."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_for_spreadsheets(cell) for cell in row] for row in rows)


def value_text(value: Any) -> str | None:
    """A value of a JSON document as a cell: a text as it is, any other as JSON; None stays None."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _for_programs(cell: Any) -> Any:
    return cell.astimezone(UTC).isoformat(timespec="seconds") if isinstance(cell, datetime) else cell


def _for_spreadsheets(cell: Any) -> Any:
    written = _for_programs(cell)
    return csv_cell(written) if isinstance(written, str) else written


def _for_people(cell: Any) -> str:
    return moment(cell) if isinstance(cell, datetime) else "-" if cell is None else str(cell)
