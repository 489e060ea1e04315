"""Rows as objects of a type whose attributes are the query's columns, by name."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, TypeVar

from psycopg.rows import class_row
from psycopg.sql import Composed

from orders_sync.database.engine import Connection

Row = TypeVar("Row")


def rows_as(
    connection: Connection,
    row_type: type[Row],
    query: LiteralString | Composed,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
) -> list[Row]:
    """The rows of a query as objects of `row_type`, which takes each column as an argument of the same name."""
    return connection.cursor(row_factory=class_row(row_type)).execute(query, parameters).fetchall()
