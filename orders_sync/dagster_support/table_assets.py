"""The tables as the catalog shows them: columns with their types and meanings, and how many rows they hold."""

import dagster as dg
from psycopg.sql import SQL, Identifier
from sqlalchemy import Table

from orders_sync.database.engine import connect
from orders_sync.database.tables import care_records, order_events, order_items, orders

SYNCED_TABLES = (orders, order_items, care_records, order_events)


def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns for the catalog."""
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


def table_sizes() -> dict[str, int]:
    """Rows of each synced table; as PostgreSQL estimates them where there are many."""
    sizes: dict[str, int] = {}
    with connect(application="orders_sync table sizes") as connection:
        for table in SYNCED_TABLES:
            row = connection.execute("SELECT reltuples::bigint FROM pg_class WHERE relname = %s", [table.name])
            estimate = (row.fetchone() or (0,))[0]
            if estimate < 200_000:
                counted = connection.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table.name))).fetchone()
                estimate = counted[0] if counted else 0
            sizes[table.name] = int(estimate)
    return sizes
