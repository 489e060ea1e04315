"""Parquet: the types are kept, and pyarrow reads back what was written."""

import io
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orders_sync.exports.columns import Column, ColumnType
from orders_sync.exports.parquet_rows import ParquetRows
from orders_sync.exports.row_writer import ExportError

COLUMNS = [
    Column("text", ColumnType.TEXT), Column("pieces", ColumnType.WHOLE_NUMBER),
    Column("total", ColumnType.LARGE_WHOLE_NUMBER), Column("price", ColumnType.DECIMAL), Column("at", ColumnType.TIME),
    Column("is_paid", ColumnType.YES_OR_NO),
]  # fmt: skip


def written(*batches: list[Any]) -> io.BytesIO:
    stream = io.BytesIO()
    writer = ParquetRows(stream)
    writer.begin(COLUMNS)
    for batch in batches:
        writer.write(batch)
    writer.end()
    return stream


def test_types_and_values_are_kept() -> None:
    at = datetime(2026, 3, 1, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    table = pq.read_table(
        written(
            [("=1+1", 1, 2**40, Decimal("100.00"), at, True)],
            [(None, None, None, None, None, None), ("手机\n", -2, -1, Decimal("-0.00000000000001"), at, False)],
        )
    )
    assert [str(field.type) for field in table.schema] == [
        "string", "int32", "int64", "decimal128(38, 14)", "timestamp[us, tz=UTC]", "bool",
    ]  # fmt: skip
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("=1+1", 1, 2**40, Decimal("100.00"), at, True),
        (None, None, None, None, None, None),
        ("手机\n", -2, -1, Decimal("-0.00000000000001"), at, False),
    ]
    assert table["at"][0].as_py().utcoffset() == timedelta(0)


def test_a_file_without_rows_has_its_columns() -> None:
    assert pq.read_table(written()).schema.names == [column.name for column in COLUMNS]


def test_decimals_that_no_sync_stores_are_rounded() -> None:
    row = ("", 1, 1, Decimal("0.123456789012345678"), datetime(2026, 1, 1, tzinfo=UTC), True)
    assert pq.read_table(written([row]))["price"][0].as_py() == Decimal("0.12345678901235")


@pytest.mark.parametrize("amount", [Decimal(10) ** 24, Decimal("NaN"), Decimal("12345678901234567890123456.1")])
def test_an_amount_that_can_not_be_kept_is_an_error_that_names_the_column(amount: Decimal) -> None:
    with pytest.raises(ExportError, match=r"^The column price has a number that Parquet can't keep: allowed are 24 "):
        written([("", 1, 1, amount, None, True)])


def test_without_pyarrow_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # an import of it fails then
    with pytest.raises(ExportError, match=r"pip install 'orders-sync\[parquet\]'"):
        ParquetRows(io.BytesIO())


def test_a_writer_that_gives_up_lets_its_stream_go(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO()
    writer = ParquetRows(stream)
    writer.begin(COLUMNS)
    writer.give_up()
    stream.close()
    del writer
    assert capfd.readouterr() == ("", "")
    assert pa.__version__
