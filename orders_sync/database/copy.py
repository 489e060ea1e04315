"""COPY in text format: how rows reach PostgreSQL fastest."""

from collections.abc import Callable, Iterable, Sequence

from psycopg import Cursor
from psycopg.sql import SQL, Identifier

Row = tuple[str | None, ...]
"""A row as texts that PostgreSQL can read; None is NULL."""

NULL = "\\N"

_UNKNOWN = "\x01"
"""Stands for NULL while rows are put together, so that one look at them all finds what needs escaping."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def copy_into(cursor: Cursor[tuple[object, ...]], table: str, columns: Sequence[str], content: bytes | str) -> None:
    """Copies what `in_copy_format` made into a table."""
    if not content:
        return
    statement = SQL("COPY {} ({}) FROM STDIN").format(
        Identifier(table), SQL(", ").join(Identifier(column) for column in columns)
    )
    with cursor.copy(statement) as copy:
        copy.write(content)


def in_copy_format(rows: Callable[[], Iterable[Row]]) -> str:
    """Rows of one width as COPY's text format wants them; every line ends with a newline.

    `rows` may be asked twice: first all rows are put together as if nothing needed escaping, and one look at the
    whole tells whether that was right. Rows are not kept: hundreds of thousands of tuples are work for the garbage
    collector.
    """
    lines: list[str] = []
    tabs = nulls = 0
    for row in rows():
        lines.append("\t".join([_UNKNOWN if value is None else value for value in row]))
        nulls += row.count(None)
        tabs += len(row) - 1
    if not lines:
        return ""
    lines.append("")
    text = "\n".join(lines)
    if (
        "\\" in text
        or "\r" in text
        or text.count("\n") != len(lines) - 1
        or text.count("\t") != tabs
        or text.count(_UNKNOWN) != nulls
    ):
        return "".join(
            [
                "\t".join([NULL if value is None else value.translate(_ESCAPES) for value in row]) + "\n"
                for row in rows()
            ]
        )
    return text.replace(_UNKNOWN, NULL)


def with_tails(content: str, tails: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Two more columns for each line of `content`: a text in UTF-8, and a bytea.

    They are kept as bytes all the way: most of an order is its raw record.
    """
    parts: list[bytes] = []
    for line, (text, binary) in zip(content.encode().split(b"\n"), tails, strict=False):
        parts += (line, b"\t", _escaped_bytes(text), b"\t\\\\x", binary.hex().encode(), b"\n")
    return b"".join(parts)


def _escaped_bytes(text: bytes) -> bytes:
    if b"\\" in text:
        text = text.replace(b"\\", b"\\\\")
    if b"\n" in text or b"\t" in text or b"\r" in text:
        text = text.replace(b"\n", b"\\n").replace(b"\t", b"\\t").replace(b"\r", b"\\r")
    return text
