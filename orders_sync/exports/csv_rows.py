"""Rows as CSV by RFC 4180, in UTF-8: a header, commas, CRLF, quotes where they are needed.

Times are ISO 8601 in UTC, amounts have all their decimals, and what is empty is nothing between two commas. A
spreadsheet runs no text of it (orders_sync/model/csv_cells.py).
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, BinaryIO

from orders_sync.exports.columns import Column, ColumnType
from orders_sync.model.csv_cells import csv_cell

_REMEMBERED_TEXTS = 10_000
"""Most texts are the same again: accounts, statuses, SKUs."""


class CsvRows:
    """Writes rows to a stream of bytes: a RowWriter."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._forms: Sequence[Callable[[Any], object]] = ()

    def begin(self, columns: Sequence[Column]) -> None:
        """Writes the header."""
        self._forms = [_FORMS[column.type] for column in columns]
        self._write([[column.name for column in columns]])

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Writes some rows."""
        self._write(
            [
                [None if value is None else form(value) for form, value in zip(self._forms, row, strict=True)]
                for row in rows
            ]
        )

    def end(self) -> None:
        """Nothing follows the last row."""
        self._stream.flush()

    def give_up(self) -> None:
        """Nothing is kept open."""

    def _write(self, rows: Sequence[Sequence[object]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        self._stream.write(text.getvalue().encode())


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


def _decimal(value: Decimal) -> str:
    return format(value, "f")  # a small one has an exponent else


def _yes_or_no(value: bool) -> str:
    return "true" if value else "false"


_FORMS: Mapping[ColumnType, Callable[[Any], object]] = {
    ColumnType.TEXT: lru_cache(_REMEMBERED_TEXTS)(csv_cell),
    ColumnType.WHOLE_NUMBER: str,
    ColumnType.LARGE_WHOLE_NUMBER: str,
    ColumnType.DECIMAL: _decimal,
    ColumnType.TIME: _time,
    ColumnType.YES_OR_NO: _yes_or_no,
}
