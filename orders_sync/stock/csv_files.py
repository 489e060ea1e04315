"""The CSV files of stock: how they are opened, and what is wrong with them."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from orders_sync.model.errors import UserFacingError

T = TypeVar("T")


class StockFileError(UserFacingError):
    """A stock file can't be used. The message has the file, the line, what is wrong, and what is allowed."""


def read_csv(path: Path, needed: tuple[str, ...], parse: Callable[[Path, "csv.DictReader[str]"], T]) -> T:
    """What `parse` makes of a file's rows. The separator is a comma or a semicolon.

    `needed`: the columns that the file must have. Raises StockFileError, which names the line, where one is missing or
    the file can't be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = ";" if header.count(";") > header.count(",") else ","
            file.seek(0)
            rows = csv.DictReader(file, delimiter=delimiter)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or []]
            if not set(needed) <= set(rows.fieldnames):
                found = ", ".join(rows.fieldnames) or "missing"
                raise StockFileError(f"{path}: line 1: the columns are {found}; needed are {', '.join(needed)}")
            return parse(path, rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StockFileError(f"{path}: can't be read: {error}") from None


def check_spelling(where: str, sku: str, first: str, first_line: int) -> None:
    """Raises StockFileError if a SKU is spelled otherwise than in the first line that has it.

    Call it for spellings that are one SKU by the stored case rule.
    """
    if sku != first:
        raise StockFileError(
            f"{where}: SKU {sku} differs only in case from {first} in line {first_line}, and they are one; write one "
            "of them"
        )
