"""Texts in the cells of CSV files: a spreadsheet runs a cell that begins like a formula, whoever wrote its text.

The measures are those of OWASP ("CSV Injection").
"""

import re

from orders_sync.model.control_characters import without_control


def csv_cell(text: str) -> str:
    """The text of a cell, with an apostrophe before what a spreadsheet would take for the begin of a formula.

    A number stays a number, also with a sign. Control characters are shown as `without_control` shows them: no cell
    begins with a tab or a CR. A `;` and a line feed begin a cell as well where a spreadsheet separates cells otherwise.
    """
    text = without_control(text)
    return text if _NUMBER.fullmatch(text) else _BEGIN.sub(r"\1'", text)


def text_of_csv_cell(cell: str) -> str:
    """The text that `csv_cell` has made this cell of, but for its control characters."""
    return _WRITTEN_BEGIN.sub(r"\1", cell)


_NUMBER = re.compile(r"[-+]?[0-9.]+")
_FORMULA = r"'*[=+\-@\uff1d\uff0b\uff0d\uff20]"  # the wide forms count in Japanese spreadsheets
_BEGIN = re.compile(rf"""(^|[;\n]"*)(?={_FORMULA})""")
_WRITTEN_BEGIN = re.compile(rf"""(^|[;\n]"*)'(?={_FORMULA})""")
