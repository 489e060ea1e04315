"""Markers in every text of a record, and where they are afterwards."""

from collections.abc import Collection, Iterator
from itertools import count
from typing import Any

from orders_sync.database.engine import Connection

MARK = "Qmark"
_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_schema IN ('public', 'shadow') AND table_type = 'BASE TABLE' ORDER BY 1, 2
"""


def planted(record: Any, kept: Collection[str], numbers: Iterator[int] | None = None, path: str = "") -> Any:
    """The record with a distinct marker in each text that must not stay, and new fields with one in each object.

    URLs stay URLs. `kept`: the paths whose values stay: these are as they were, since most must be a state or a time.
    """
    numbers = numbers or count(1)
    if isinstance(record, dict):
        below = f"{path}." if path else ""
        marked = {name: planted(value, kept, numbers, f"{below}{name}") for name, value in record.items()}
        return {**marked, "added_later": f"{MARK}{next(numbers)}", "message": {"text": f"{MARK}{next(numbers)}"}}
    if isinstance(record, list):
        return [planted(value, kept, numbers, path) for value in record]
    if path in kept or not isinstance(record, str):
        return record
    return f"https://x.example.com/{MARK}{next(numbers)}" if record.startswith("http") else f"{MARK}{next(numbers)}"


def places(connection: Connection) -> list[str]:
    """The columns of the database that have a marker, as text or in bytes."""
    found: list[str] = []
    for schema, table in connection.execute(_TABLES).fetchall():
        rows = connection.execute(
            "SELECT DISTINCT column_name FROM {}.{} t, jsonb_each_text(to_jsonb(t)) AS cell (column_name, value) "  # pyright: ignore[reportArgumentType, reportCallIssue]
            "WHERE position(%s IN value) > 0 OR position(%s IN value) > 0 ORDER BY 1".replace(
                "{}.{}", f"{schema}.{table}"
            ),
            [MARK, MARK.encode().hex()],
        )
        found += (f"{table}.{column}" for (column,) in rows)
    return found


def paths(record: Any, path: str = "") -> Iterator[str]:
    """The paths of a record's single values."""
    if isinstance(record, dict):
        for name, value in record.items():
            yield from paths(value, f"{path}.{name}" if path else name)
    elif isinstance(record, list):
        for value in record:
            yield from paths(value, path)
    else:
        yield path
