"""Rows and documents as tables for people, or as JSON or CSV for programs."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TextIO, cast

import click

from orders_sync.cli.output import console, print_as_it_is
from orders_sync.cli.tables import table
from orders_sync.model.csv_cells import csv_cell
from orders_sync.model.time_words import moment


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json` to a command, as the parameter `as_json`. What is printed so is a document of `print_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json` and `--csv` to a command, as the parameters `as_json` and `as_csv`."""
    command = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for spreadsheets.")(command)
    return json_option(command)


def print_rows(
    title: str,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    as_json: bool,
    as_csv: bool,
    optional: Sequence[str] = (),
) -> None:
    """Prints rows whose columns are `names`. A cell is a text, a number, a time or None.

    `optional`: columns that a table leaves out where there is no room for them. Raises click.UsageError if both formats
    are requested.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif as_csv:
        text = io.StringIO()
        write_csv(text, names, rows)
        print_as_it_is(text.getvalue())
    else:
        shown = table(title, *map(_heading, names), optional=[_heading(name) for name in optional])
        for row in rows:
            shown.add_row(*map(cell_text, row))
        console.print(shown)


def print_json(document: Any) -> None:
    """Prints a document as JSON: times as ISO 8601 in UTC, durations as seconds, named tuples as objects."""
    print_as_it_is(json.dumps(for_programs(document), indent=2))


def for_programs(value: Any) -> Any:
    """A value as JSON has it."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds")
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case Mapping():
            return {str(key): for_programs(each) for key, each in cast(Mapping[Any, Any], value).items()}
        case tuple() if hasattr(cast(object, value), "_asdict"):
            return for_programs(cast(Any, value)._asdict())
        case list() | tuple():
            return [for_programs(each) for each in cast(Sequence[Any], value)]
        case _:
            return value


def write_csv(file: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows whose columns are `names`, so that a spreadsheet runs none of their texts."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_for_spreadsheets(cell) for cell in row] for row in rows)


def value_text(value: Any) -> str | None:
    """A value of a JSON document as a cell: a text as it is, any other as JSON; None stays None."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def cell_text(cell: Any) -> str:
    """A cell as people read it."""
    match cell:
        case None:
            return "-"
        case bool():
            return "yes" if cell else "no"
        case datetime():
            return moment(cell)
        case _:
            return str(cell)


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _for_spreadsheets(cell: Any) -> Any:
    written = for_programs(cell)
    return csv_cell(written) if isinstance(written, str) else written
