"""Rows as a table for people, or as JSON or CSV for programs."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from orders_sync.cli.output import console, moment, print_as_it_is, table


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
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_for_spreadsheets(cell) for cell in row] for row in rows)
        print_as_it_is(text.getvalue())
    else:
        shown = table(title, *(name.replace("_", " ") for name in names))
        for row in rows:
            shown.add_row(*map(_for_people, row))
        console.print(shown)


def value_text(value: Any) -> str | None:
    """A value of a JSON document as a cell: a text as it is, any other as JSON; None stays None."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _for_programs(cell: Any) -> Any:
    return cell.astimezone(UTC).isoformat(timespec="seconds") if isinstance(cell, datetime) else cell


def _for_spreadsheets(cell: Any) -> Any:
    """A cell of CSV. A spreadsheet would run a text that begins like a formula: an apostrophe makes it a text."""
    written = _for_programs(cell)
    is_formula = isinstance(written, str) and written[:1] in _FORMULA and not _NUMBER.fullmatch(written)
    return f"'{written}" if is_formula else written


_FORMULA = tuple("=+-@\t\r")
_NUMBER = re.compile(r"[-+]?[0-9.]+")


def _for_people(cell: Any) -> str:
    return moment(cell) if isinstance(cell, datetime) else "-" if cell is None else str(cell)
