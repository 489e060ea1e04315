"""Rows by name: the order of the columns does not matter, and a column that is not an attribute is an error."""

from typing import LiteralString, NamedTuple

import pytest

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as


class Piece(NamedTuple):
    sku: str
    quantity: int


def test_columns_are_matched_by_name(connection: Connection) -> None:
    query = "SELECT quantity, sku FROM (VALUES ('PHONE', 2), ('CASE', 1)) AS piece (sku, quantity) WHERE quantity < %s"
    assert rows_as(connection, Piece, query, [3]) == [Piece("PHONE", 2), Piece("CASE", 1)]
    assert rows_as(connection, Piece, query, [0]) == []


@pytest.mark.parametrize("query", ["SELECT 'PHONE' AS sku", "SELECT 'PHONE' AS sku, 2 AS quantity, 1 AS price"])
def test_columns_that_are_not_the_attributes_are_an_error(connection: Connection, query: LiteralString) -> None:
    with pytest.raises(TypeError, match="argument"):
        rows_as(connection, Piece, query)
