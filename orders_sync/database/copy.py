"""COPY in text format: how rows reach PostgreSQL fastest."""

from collections.abc import Iterable, Sequence

from psycopg import Cursor
from psycopg.sql import SQL, Identifier

NULL = "\\N"

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def escaped(text: str) -> str:
    """A text as COPY wants it."""
    if "\\" in text or "\n" in text or "\t" in text or "\r" in text:
        return text.translate(_ESCAPES)
    return text


def copy_lines(cursor: Cursor[tuple[object, ...]], table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """Copies rows, each a line of escaped fields joined by tabs and ended by a newline."""
    statement = SQL("COPY {} ({}) FROM STDIN").format(
        Identifier(table), SQL(", ").join(Identifier(column) for column in columns)
    )
    with cursor.copy(statement) as copy:
        copy.write("".join(lines))
