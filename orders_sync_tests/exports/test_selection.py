"""What is exported: the views' own columns and rows, and of them what is selected."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.sql import SQL

from orders_sync.database.engine import Connection
from orders_sync.exports.columns import Column
from orders_sync.exports.selection import Export, Query, Selection, accounts_without_orders, query_of
from orders_sync.exports.stream import BATCH_ROWS, stream
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, at, store_order


class Collected:
    """A RowWriter that keeps everything."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.batches: list[Sequence[Sequence[Any]]] = []
        self.ended: list[str] = []

    def begin(self, columns: Sequence[Column]) -> None:
        self.columns = [column.name for column in columns]

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        self.batches.append(rows)

    def end(self) -> None:
        self.ended.append("end")

    def give_up(self) -> None:
        self.ended.append("give up")

    def rows(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for batch in self.batches for row in batch]


def exported(connection: Connection, export: Export, selection: Selection | None = None) -> list[dict[str, Any]]:
    writer = Collected()
    count = stream(connection, query_of(connection, export, selection or Selection()), writer)
    assert count == len(writer.rows())
    assert writer.ended == ["end"]
    return writer.rows()


@pytest.fixture
def three_orders(connection: Connection) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("10"), StoredItem("11", "CASE", 2)], created_at=at(0)))
    store_order(connection, StoredOrder("2", [StoredItem("20", status="shipped")], status="shipped", created_at=at(60)))
    store_order(connection, StoredOrder("3", [StoredItem("30")], account="other", created_at=at(120)))
    connection.execute(
        "UPDATE order_items item SET created_at = placed.created_at FROM orders placed "
        "WHERE placed.account = item.account AND placed.order_id = item.order_id"
    )


@pytest.mark.usefixtures("three_orders")
@pytest.mark.parametrize(("export", "view"), [(Export.ORDERS, "orders"), (Export.ITEMS, "order_items")])
def test_all_columns_and_rows_of_a_view_are_exported(connection: Connection, export: Export, view: str) -> None:
    cursor = connection.execute(f"SELECT * FROM reporting.{view} ORDER BY account, order_id".encode())
    names = [column.name for column in cursor.description or ()]
    found = exported(connection, export)
    assert [list(row) for row in found] == [names] * len(found)
    assert [tuple(row.values()) for row in found] == cursor.fetchall()


@pytest.mark.usefixtures("three_orders")
@pytest.mark.parametrize(
    ("selection", "orders", "items"),
    [
        (Selection(), "312", ["30", "10", "11", "20"]),
        (Selection(accounts=["other"]), "3", ["30"]),
        (Selection(accounts=["other", "shop"]), "312", ["30", "10", "11", "20"]),
        (Selection(statuses=["shipped", "pending"]), "2", ["20"]),
        (Selection(since=at(60)), "32", ["30", "20"]),
        (Selection(until=at(60)), "1", ["10", "11"]),
        (Selection(accounts=["shop"], since=at(1), until=at(121)), "2", ["20"]),
        (Selection(accounts=["none"]), "", []),
    ],
)
def test_only_what_is_selected_is_exported(
    connection: Connection, selection: Selection, orders: str, items: list[str]
) -> None:
    assert [row["order_id"] for row in exported(connection, Export.ORDERS, selection)] == list(orders)
    assert [row["item_id"] for row in exported(connection, Export.ITEMS, selection)] == items


@pytest.mark.usefixtures("three_orders")
def test_items_are_selected_by_their_sku(connection: Connection) -> None:
    found = exported(connection, Export.ITEMS, Selection(skus=["CASE", "OTHER"]))
    assert [row["item_id"] for row in found] == ["11"]


@pytest.mark.usefixtures("three_orders")
def test_an_order_whose_time_is_not_known_counts_when_it_was_first_stored(connection: Connection) -> None:
    connection.execute("UPDATE orders SET created_at = NULL, first_stored_at = %s WHERE order_id = '1'", [at(90)])
    found = exported(connection, Export.ORDERS, Selection(since=at(60)))
    assert [row["order_id"] for row in found] == ["3", "1", "2"]


@pytest.mark.usefixtures("three_orders")
def test_the_accounts_without_orders_are_named(connection: Connection) -> None:
    assert accounts_without_orders(connection, ["shop", "typo", "other"]) == ["typo"]


def many(count: int) -> Query:
    return Query(SQL("SELECT n FROM generate_series(1, %(count)s::int) n").format(), {"count": count})


def test_rows_come_in_batches(connection: Connection) -> None:
    writer = Collected()
    assert stream(connection, many(2 * BATCH_ROWS + 1), writer) == 2 * BATCH_ROWS + 1
    assert [len(batch) for batch in writer.batches] == [BATCH_ROWS, BATCH_ROWS, 1]
    assert [row["n"] for row in writer.rows()] == list(range(1, 2 * BATCH_ROWS + 2))


@pytest.mark.usefixtures("three_orders")
def test_all_rows_are_of_one_moment(connection: Connection, database_url: str) -> None:
    """Orders that are deleted when the reading has begun are there until its end, whatever else it asks."""

    class Deleting(Collected):
        seen_at_the_end = 0

        def begin(self, columns: Sequence[Column]) -> None:
            super().begin(columns)
            with psycopg.connect(database_url, autocommit=True) as another:
                another.execute("DELETE FROM order_items")
                another.execute("DELETE FROM orders")

        def end(self) -> None:
            super().end()
            ((self.seen_at_the_end,),) = connection.execute("SELECT count(*) FROM orders")

    writer = Deleting()
    assert stream(connection, query_of(connection, Export.ORDERS, Selection()), writer) == 3
    assert writer.seen_at_the_end == 3
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_the_transaction_changes_nothing(connection: Connection) -> None:
    connection.execute(
        "CREATE FUNCTION store() RETURNS integer LANGUAGE sql AS "
        "$$ INSERT INTO stock_levels (sku) VALUES ('X') RETURNING 1 $$"
    )
    with pytest.raises(ReadOnlySqlTransaction):
        stream(connection, Query(SQL("SELECT store()").format(), {}), Collected())


def test_a_writer_that_fails_gives_up(connection: Connection) -> None:
    class Failing(Collected):
        def write(self, rows: Sequence[Sequence[Any]]) -> None:
            raise OSError("full")

    writer = Failing()
    with pytest.raises(OSError, match="full"):
        stream(connection, many(3), writer)
    assert writer.ended == ["give up"]
    assert connection.execute("SELECT 1").fetchone() == (1,), "the connection can go on"


def test_a_column_of_a_type_without_a_format_is_a_fault(connection: Connection) -> None:
    with pytest.raises(TypeError, match="no type for an export: odd"):
        stream(connection, Query(SQL("SELECT '{{}}'::jsonb AS odd").format(), {}), Collected())
