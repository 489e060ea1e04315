"""The orders database as commands, pages and alerts use it: its schema checked, one connection open."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.database.engine import Connection, connect
from orders_sync.database.schema import check_schema


@contextmanager
def orders_database(application: str) -> Generator[Connection]:
    """A connection to the orders database, upgraded to the newest schema if needed, for the length of the block.

    `application`: what pg_stat_activity shows, e.g. `orders_sync status`. Raises DatabaseUnreachableError.
    """
    check_schema()
    with connect(application=application) as connection:
        yield connection
