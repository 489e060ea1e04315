"""COPY's text format: whatever a text holds arrives as it was."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.database.copy import append_bytes_columns, copy_into, to_copy_text
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
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS copied (n int, a text, b text, raw text, mark bytea)")
    connection.execute("TRUNCATE copied")
    content = to_copy_text(list(zip(*((str(n), a, b) for n, (a, b, _, _) in enumerate(rows)), strict=True)))
    tailed = append_bytes_columns(content, [((raw or "").encode(), mark) for _, _, raw, mark in rows])
    with connection.cursor() as cursor:
        copy_into(cursor, "copied", ("n", "a", "b", "raw", "mark"), tailed)
    stored = connection.execute("SELECT a, b, raw, mark FROM copied ORDER BY n").fetchall()
    assert [(a, b, raw, bytes(mark)) for a, b, raw, mark in stored] == [
        (a, b, raw or "", mark) for a, b, raw, mark in rows
    ]
