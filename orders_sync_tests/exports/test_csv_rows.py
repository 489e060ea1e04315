"""CSV by RFC 4180: what is read back is what was written, whatever texts there are, and no cell is a formula."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orders_sync.exports.columns import Column, ColumnType
from orders_sync.exports.csv_rows import CsvRows
from orders_sync.model.control_characters import without_control
from orders_sync.model.csv_cells import text_of_csv_cell
from orders_sync_tests.hostile_texts import FORMULA, SKUS

COLUMNS = [
    Column("text", ColumnType.TEXT), Column("pieces", ColumnType.WHOLE_NUMBER), Column("price", ColumnType.DECIMAL),
    Column("at", ColumnType.TIME), Column("is_paid", ColumnType.YES_OR_NO),
]  # fmt: skip
ODD = (
    "a,b",
    'say "hello"',
    "two\nlines",
    "\r\n",
    " ",
    "手机 📱",
    "ß",
    "'",
    '"=1',
    "a;=1",
    "x\n@SUM(A1)",
    "-",
    "+49",
    *SKUS,
)
TEXTS = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ROWS = st.lists(
    st.tuples(
        st.none() | TEXTS,
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none()
        | st.decimals(allow_nan=False, allow_infinity=False, places=14, min_value=-(10**12), max_value=10**12),
        st.none() | st.datetimes(datetime(2000, 1, 2), datetime(2098, 1, 1), timezones=ZONES),
        st.none() | st.booleans(),
    ),
    max_size=6,
)


def written(*batches: list[Any]) -> bytes:
    stream = io.BytesIO()
    writer = CsvRows(stream)
    writer.begin(COLUMNS)
    for batch in batches:
        writer.write(batch)
    writer.end()
    return stream.getvalue()


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


@given(ROWS)
def test_what_is_read_back_is_what_was_written(rows: list[tuple[Any, ...]]) -> None:
    header, *found = read(written(rows))
    assert header == ["text", "pieces", "price", "at", "is_paid"]
    assert [
        (
            text_of_csv_cell(text),
            int(pieces) if pieces else None,
            Decimal(price) if price else None,
            datetime.fromisoformat(at) if at else None,
            {"true": True, "false": False, "": None}[is_paid],
        )
        for text, pieces, price, at, is_paid in found
    ] == [(without_control(text or ""), *others) for text, *others in rows]


@given(ROWS)
def test_no_cell_is_a_formula_unless_it_is_a_number(rows: list[tuple[Any, ...]]) -> None:
    for text, *_ in read(written(rows))[1:]:
        assert text[:1] not in ("=", "+", "-", "@", "\t", "\r") or text.strip("+-.0123456789") == ""


def test_the_bytes_are_those_of_rfc_4180() -> None:
    at = datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=1)))
    content = written(
        [("a,b", 1, Decimal("100.00"), at, True), (FORMULA, None, None, at.astimezone(UTC), False)],
        [('"ä"\n', -2, Decimal("0.10"), None, None)],
    )
    assert content.decode() == (
        "text,pieces,price,at,is_paid\r\n"
        '"a,b",1,100.00,2026-03-01T08:30:00+00:00,true\r\n'
        f'"\'{FORMULA.replace(chr(34), chr(34) * 2)}",,,2026-03-01T08:30:00+00:00,false\r\n'
        '"""ä""\n",-2,0.10,,\r\n'
    )


def test_an_amount_is_never_written_with_an_exponent() -> None:
    assert b",0.00000000000001," in written([("", 1, Decimal("0.00000000000001"), None, None)])
