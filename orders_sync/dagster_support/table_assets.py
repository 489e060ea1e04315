"""The tables in the catalog: their columns with type and meaning, and their numbers of rows."""

import dagster as dg
from psycopg.sql import SQL, Identifier
from sqlalchemy import Table

from orders_sync.database.engine import Connection
from orders_sync.database.tables.orders import care_records, order_events, order_items, orders

SYNCED_TABLES = (orders, order_items, care_records, order_events)
MAX_ROWS_COUNTED = 200_000
"""Tables with more rows are not counted: PostgreSQL's estimate is near enough and costs nothing."""


def column_schema(table: Table) -> dg.TableSchema:
    """The columns of a table, for the catalog."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type).lower(),
                description=column.comment,
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
                tags={"personal_data": ""} if column.info.get("personal_data") else {},
            )
            for column in table.columns
        ]
    )


def table_sizes(connection: Connection) -> dict[str, int]:
    """The number of rows of each synced table: counted, or PostgreSQL's estimate above MAX_ROWS_COUNTED."""
    return {table.name: _size(connection, table.name) for table in SYNCED_TABLES}


def _size(connection: Connection, table: str) -> int:
    estimate = _number(
        connection.execute("SELECT reltuples::bigint FROM pg_class WHERE relname = %s", [table]).fetchone()
    )
    if estimate >= MAX_ROWS_COUNTED:
        return estimate
    return _number(connection.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table))).fetchone())


def _number(row: tuple[int, ...] | None) -> int:
    return int(row[0]) if row is not None else 0
