"""COPY's text format: every text arrives as it was."""

import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.database.copy import (
    SEND_BUFFER_BYTES,
    append_bytes_columns,
    copy_into,
    to_copy_text,
    with_large_send_buffer,
)
from orders_sync.database.engine import Connection

TEXTS = st.none() | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=("Cs",)) | st.sampled_from("\\\t\n\r\x01N"), max_size=12
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS, st.binary(max_size=6)), max_size=6))
def test_every_text_and_null_arrives_as_it_was(
    connection: Connection, rows: list[tuple[str | None, str | None, str | None, bytes]]
) -> None:
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS copied (n int, a text, b text, raw text, fingerprint bytea)")
    connection.execute("TRUNCATE copied")
    content = to_copy_text(list(zip(*((str(n), a, b) for n, (a, b, _, _) in enumerate(rows)), strict=True)))
    whole = append_bytes_columns(content, [((raw or "").encode(), fingerprint) for _, _, raw, fingerprint in rows])
    with connection.cursor() as cursor:
        copy_into(cursor, "copied", ("n", "a", "b", "raw", "fingerprint"), whole)
    stored = connection.execute("SELECT a, b, raw, fingerprint FROM copied ORDER BY n").fetchall()
    assert [(a, b, raw, bytes(fingerprint)) for a, b, raw, fingerprint in stored] == [
        (a, b, raw or "", fingerprint) for a, b, raw, fingerprint in rows
    ]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ([], ""),
        ([[], []], ""),
        ([["a", "b"], ["c", None]], "a\tc\nb\t\\N\n"),
        ([["a\tb"], ["c"]], "a\\tb\tc\n"),
        ([["a\nb"], ["c\r"]], "a\\nb\tc\\r\n"),
        ([["\\N"], [None]], "\\\\N\t\\N\n"),  # the text "\N" is not NULL
        ([[""], [""]], "\t\n"),
    ],
)
def test_the_format_has_a_line_for_each_row(columns: list[list[str | None]], text: str) -> None:
    assert to_copy_text(columns) == text.encode()


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "a\x00\tb", "\udfff\n"], ids=repr)
def test_a_character_that_can_not_be_stored_is_an_error(text: str) -> None:
    for column in (["a", text], [None, text], [text]):
        with pytest.raises(ValueError, match=r"NUL|surrogates"):
            to_copy_text([column])


def test_columns_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        to_copy_text([["a", "b"], ["c"]])


def test_the_two_columns_of_bytes_follow_the_others() -> None:
    assert append_bytes_columns(b"1\n2\n", [(b"x\ty", b"\x00\xff"), (b"", b"")]) == (
        b"1\tx\\ty\t\\\\x00ff\n2\t\t\\\\x\n"
    )
    assert append_bytes_columns(b"", []) == b""


@pytest.mark.parametrize("count", [1, 3])
def test_other_than_one_value_for_each_row_is_an_error(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        append_bytes_columns(b"1\n2\n", [(b"x", b"y")] * count)


def test_without_rows_nothing_is_copied(connection: Connection) -> None:
    with connection.cursor() as cursor:
        copy_into(cursor, "there_is_no_such_table", ("a",), b"")


def test_the_send_buffer_grows_and_the_connection_works_on(connection: Connection) -> None:
    def buffer() -> int:
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as same:
            return same.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    before = buffer()
    assert with_large_send_buffer(connection) is connection
    assert before < buffer() <= 2 * SEND_BUFFER_BYTES  # Linux doubles the value for its own bookkeeping
    assert connection.execute("SELECT 1").fetchone() == (1,)
