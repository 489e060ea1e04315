"""COPY in text format: how rows reach PostgreSQL fastest."""

import os
import socket
from collections.abc import Iterable, Sequence

from psycopg import Cursor
from psycopg.sql import SQL, Identifier

from orders_sync.database.engine import Connection

Column = Sequence[str | None]
"""A column as texts that PostgreSQL can read; None is NULL."""

NULL = "\\N"

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


SEND_BUFFER = 2 * 1024**2


def with_large_send_buffer(connection: Connection) -> Connection:
    """The connection with a send buffer (bytes) that holds most of a batch, as far as the system allows.

    Else PostgreSQL waits for the sending thread's turn each 200 kB.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return connection


def copy_into(cursor: Cursor[tuple[object, ...]], table: str, columns: Sequence[str], content: bytes | str) -> None:
    """Copies what `to_copy_text` made into a table."""
    if not content:
        return
    statement = SQL("COPY {} ({}) FROM STDIN").format(
        Identifier(table), SQL(", ").join(Identifier(column) for column in columns)
    )
    with cursor.copy(statement) as copy:
        copy.write(content)


def to_copy_text(columns: Sequence[Column]) -> str:
    """Columns of one length as COPY's text format wants them; every line ends with a newline.

    First all is put together as if nothing needed escaping, and one look at the whole tells whether that was right.
    """
    if not columns or not columns[0]:
        return ""
    nulls = [column.count(None) for column in columns]
    text = _lines(
        [
            [NULL if value is None else value for value in column] if any_null else column
            for column, any_null in zip(columns, nulls, strict=True)
        ]
    )
    rows = len(columns[0])
    if (
        text.count("\\") == sum(nulls)
        and text.count("\n") == rows
        and text.count("\t") == rows * (len(columns) - 1)
        and "\r" not in text
    ):
        return text
    return _lines([[NULL if value is None else value.translate(_ESCAPES) for value in column] for column in columns])


def _lines(columns: Sequence[Sequence[str | None]]) -> str:
    return "\n".join([*map("\t".join, zip(*columns, strict=True)), ""])


def append_bytes_columns(content: str, tails: Iterable[tuple[bytes, bytes]]) -> bytes:
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
