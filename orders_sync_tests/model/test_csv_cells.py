"""Cells of CSV that a spreadsheet would run."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_sync.model.control_characters import without_control
from orders_sync.model.csv_cells import csv_cell, text_of_csv_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('=HYPERLINK("https://evil.example")', '\'=HYPERLINK("https://evil.example")'),
        ("+1+1", "'+1+1"), ("-2+3", "'-2+3"), ("@SUM(1)", "'@SUM(1)"), ("＝1+1", "'＝1+1"),
        ("\t=1+1", "^I=1+1"), ("\r=1+1", "^M=1+1"), ("a\n=1+1", "a\n'=1+1"), ("PHONE;=1+1", "PHONE;'=1+1"), (';"=1', ';"\'=1'),
        ("'=1", "''=1"), ("it's", "it's"), ("'quoted'", "'quoted'"), ("a=b", "a=b"), ("A-B;C", "A-B;C"),
        ("-5", "-5"), ("-5.00", "-5.00"), ("+49", "+49"), ("", ""),
    ],
)  # fmt: skip
def test_a_text_is_never_a_formula_and_a_number_stays_one(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


@given(st.text(st.sampled_from("'=+-@;\"\n\t1a＝")))
def test_reading_a_cell_gives_the_text_back(text: str) -> None:
    assert text_of_csv_cell(csv_cell(text)) == without_control(text)


@given(st.text(st.sampled_from("'=+-@;,\"\n\r\t1a")))
def test_no_cell_begins_like_a_formula_however_the_file_is_separated(text: str) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(["id", csv_cell(text), "end"])
    for delimiter in ",;":
        for row in csv.reader(io.StringIO(written.getvalue(), newline=""), delimiter=delimiter):
            for cell in row:
                assert cell[:1] not in {"=", "@", "\t", "\r"}, row
                assert cell[:1] not in {"+", "-"} or cell.lstrip("+-").replace(".", "").isdigit(), row
