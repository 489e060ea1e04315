"""Rows as Parquet: times as UTC timestamps, amounts as decimals, whole numbers that may be empty.

Only this module knows pyarrow. The package is installed without it unless one asks for it.
"""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal, localcontext
from importlib import import_module
from typing import Any, BinaryIO

from orders_sync.exports.columns import Column, ColumnType
from orders_sync.exports.row_writer import ExportError
from orders_sync.sync.rules import MAX_DECIMALS

DIGITS = 38
"""The most that a decimal of 128 bits has; MAX_DECIMALS of them follow the point."""
INSTALL = "pip install 'orders-sync[parquet]'"
_SMALLEST = Decimal(1).scaleb(-MAX_DECIMALS)


def check_pyarrow() -> None:
    """Raises ExportError, with what to do, if pyarrow is not installed."""
    _pyarrow()


class ParquetRows:
    """Writes rows to a stream of bytes: a RowWriter. Each call of `write` makes a row group."""

    def __init__(self, stream: BinaryIO) -> None:
        """Raises ExportError if pyarrow is not installed."""
        self._pyarrow = _pyarrow()
        self._stream = stream
        self._columns: Sequence[Column] = ()
        self._schema: Any = None
        self._writer: Any = None

    def begin(self, columns: Sequence[Column]) -> None:
        """Writes the begin of the file."""
        self._columns = columns
        self._schema = self._pyarrow.schema([(column.name, self._type_of(column)) for column in columns])
        self._writer = import_module("pyarrow.parquet").ParquetWriter(self._stream, self._schema)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Writes some rows. Raises ExportError for an amount that has too many digits."""
        arrays = [self._array(column, values) for column, *values in zip(self._columns, *rows, strict=True)]
        self._writer.write_batch(self._pyarrow.RecordBatch.from_arrays(arrays, schema=self._schema))

    def end(self) -> None:
        """Writes the end of the file, without which nobody can read it."""
        self._writer.close()

    def give_up(self) -> None:
        """Ends the file while its stream is open: pyarrow would do so later."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.close()

    def _array(self, column: Column, values: Sequence[Any]) -> Any:
        if column.type is ColumnType.DECIMAL:
            values = [_within_decimals(value) for value in values]
        try:
            return self._pyarrow.array(values, type=self._type_of(column))
        except self._pyarrow.ArrowInvalid:
            raise ExportError(
                f"The column {column.name} has a number that Parquet can't keep: allowed are {DIGITS - MAX_DECIMALS} "
                "digits before the point. Export CSV instead."
            ) from None

    def _type_of(self, column: Column) -> Any:
        match column.type:
            case ColumnType.TEXT:
                return self._pyarrow.string()
            case ColumnType.WHOLE_NUMBER:
                return self._pyarrow.int32()
            case ColumnType.LARGE_WHOLE_NUMBER:
                return self._pyarrow.int64()
            case ColumnType.DECIMAL:
                return self._pyarrow.decimal128(DIGITS, MAX_DECIMALS)
            case ColumnType.TIME:
                return self._pyarrow.timestamp("us", tz="UTC")
            case ColumnType.YES_OR_NO:
                return self._pyarrow.bool_()


def _pyarrow() -> Any:
    """pyarrow, which has no types. It is imported here alone: the other commands do without it."""
    try:
        return import_module("pyarrow")
    except ImportError:
        raise ExportError(
            f"Parquet needs pyarrow, which is not installed: {INSTALL}. CSV needs nothing more."
        ) from None


def _within_decimals(value: Decimal | None) -> Decimal | None:
    """Decimals beyond those that the syncs keep are rounded: only rows that others wrote have such."""
    if value is None or not value.is_finite() or int(value.as_tuple().exponent) >= -MAX_DECIMALS:
        return value
    with localcontext(prec=100):
        return value.quantize(_SMALLEST)
