"""The CSV files of stock: how they are read, and what is wrong with them."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from orders_sync.model.csv_cells import text_of_csv_cell
from orders_sync.model.errors import UserFacingError
from orders_sync.model.texts import InputError, shown
from orders_sync.stock.input import StockInputError


class StockFileError(UserFacingError):
    """A stock file can't be used. The message has the file, the line, what is wrong, and what is allowed."""


def read_csv(
    file: Path | str, needed: Sequence[str], optional: Sequence[str], take: Callable[[int, Mapping[str, str]], None]
) -> None:
    """Gives each row of a file to `take`: the line, and the cells by column, without the spaces around them.

    `file`: its path, or its text. The separator is a comma or a semicolon, the encoding UTF-8. `needed`: the columns
    that the file must have. `optional`: those that it may have; their cells are empty where it has none. Raises
    StockFileError, which names the line, where the file can't be read, for any other column, for a cell without a
    column, and for what `take` raises as InputError. The apostrophe that our own CSV has before a text that looks like
    a formula is no part of the text.
    """
    text = _text(file) if isinstance(file, Path) else file
    delimiter = ";" if (header := text.partition("\n")[0]).count(";") > header.count(",") else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _columns(next(rows, list[str]()), needed, optional)
        for cells in _cells(rows, columns):
            take(rows.line_num, {**dict.fromkeys(optional, ""), **cells})
    except (csv.Error, InputError) as error:
        where = f"{file}: " if isinstance(file, Path) else ""
        raise StockFileError(f"{where}line {max(1, rows.line_num)}: {error}") from None


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StockFileError(f"{path}: can't be read: {error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StockFileError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as CSV in UTF-8"
        ) from None


def _columns(header: Sequence[str], needed: Sequence[str], optional: Sequence[str]) -> list[str]:
    """The names of the columns; '' of one without a name, which spreadsheets write after the last one."""
    columns = [name.strip() for name in header]
    names = [name for name in columns if name]
    if not set(needed) <= set(names):
        raise StockInputError(f"the columns are {', '.join(names) or 'missing'}; needed are {', '.join(needed)}")
    allowed = f"allowed are {', '.join((*needed, *optional))}, each once"
    if unexpected := [name for name in names if name not in needed and name not in optional]:
        raise StockInputError(f"the file has a column {unexpected[0]!r}; {allowed}")
    if len(set(names)) < len(names):
        raise StockInputError(f"a column is there twice: {', '.join(names)}; {allowed}")
    return columns


def _cells(rows: Iterator[list[str]], columns: Sequence[str]) -> Iterator[dict[str, str]]:
    for row in rows:
        cells = [text_of_csv_cell(cell.strip()) for cell in row]
        for position, cell in enumerate(cells):
            if cell and (position >= len(columns) or not columns[position]):
                raise StockInputError(f"the cell {shown(cell)} has no column")
        if any(cells):
            yield {name: cell for name, cell in zip(columns, cells, strict=False) if name}


def check_spelling(sku: str, first: str, first_line: int) -> None:
    """Raises StockInputError if a SKU is spelled otherwise than in the first line that has it.

    Call it for spellings that are one SKU by the stored case rule.
    """
    if sku != first:
        raise StockInputError(
            f"SKU {sku} differs only in case from {first} in line {first_line}, and they are one; write one of them"
        )
