"""Rows as CSV by RFC 4180, in UTF-8: a header, commas, CRLF, quotes where they are needed.

Times are ISO 8601 in UTC, amounts have all their decimals, and what is empty is nothing between two commas. A
spreadsheet runs no text of it (orders_sync/model/csv_cells.py).
"""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from orders_sync.exports.columns import Column
from orders_sync.model.csv_cells import csv_cell


class CsvRows:
    """Writes rows to a stream of bytes: a RowWriter."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def begin(self, columns: Sequence[Column]) -> None:
        """Writes the header."""
        self._write([[column.name for column in columns]])

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Writes some rows."""
        self._write([[_cell(value) for value in row] for row in rows])

    def end(self) -> None:
        """Nothing follows the last row."""
        self._stream.flush()

    def give_up(self) -> None:
        """Nothing is kept open."""

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        self._stream.write(text.getvalue().encode())


def _cell(value: Any) -> Any:
    match value:
        case str():
            return csv_cell(value)
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Decimal():
            return format(value, "f")  # a small one has an exponent else
        case _:
            return value
