"""The rows of a query, in batches, to whoever writes them: memory does not grow with their number."""

from orders_sync.database.engine import Connection
from orders_sync.exports.columns import columns_of
from orders_sync.exports.row_writer import RowWriter
from orders_sync.exports.selection import Query

BATCH_ROWS = 5_000
"""So many rows are in memory at once."""


def stream(connection: Connection, query: Query, writer: RowWriter) -> int:
    """Writes all rows of a query, as they are at one moment; returns how many.

    One transaction reads them, which changes nothing. What fails on the way is raised after `give_up`.
    """
    count = 0
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        with connection.cursor(name="orders_sync_export") as cursor:
            cursor.execute(query.statement, query.parameters)
            try:
                writer.begin(columns_of(cursor.description or ()))
                while rows := cursor.fetchmany(BATCH_ROWS):
                    writer.write(rows)
                    count += len(rows)
                writer.end()
            except BaseException:
                writer.give_up()
                raise
    return count
