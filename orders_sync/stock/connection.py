"""A connection that changes or reads stock.

There is one stock, that of all accounts. A lock of an account that V1 has is V1's: V2 keeps it as it would be, so that
it knows what is left for the other accounts (docs/cutover.md).
"""

import functools
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import Cursor, Transaction
from psycopg.sql import SQL, Composed, Literal

from orders_sync.database.advisory_locks import lock_for_transaction
from orders_sync.database.copy import copy_into, to_copy_text
from orders_sync.database.engine import Connection, connect
from orders_sync.database.rows import Row, rows_as
from orders_sync.lanes.authority import hold_authority
from orders_sync.stock.sku_case import SKU_FORM


@functools.cache
def stock_sql(statement: LiteralString) -> Composed:
    """A statement with the form of the column `sku` for `{sku_form}`, and conditions for `{active}` and `{due}`.

    `{active}`: the lock is active. `{due}`: the stock job applies the event.
    """
    return SQL(statement).format(sku_form=SKU_FORM, active=_ACTIVE, due=_DUE)


_ACTIVE = SQL("state IN ('locked', 'short', 'held')")
"""Of a lock: it holds pieces or waits for some. stock_locks has an index with the same condition."""
MAX_ATTEMPTS = 5
"""An event that failed so often is not tried again; the check `every_event_could_be_applied` reports it."""
_DUE = SQL("applied_at IS NULL AND attempts < {}").format(Literal(MAX_ATTEMPTS))
"""Of an event: the stock job applies it. The sensor, the job, the acceptance and the check of wrong locks share it."""


@dataclass(frozen=True)
class StockConnection:
    """A connection, and what statements about stock share."""

    connection: Connection

    def execute(
        self, statement: LiteralString, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> Cursor[tuple[Any, ...]]:
        """Runs a statement, completed by `stock_sql`."""
        return self.connection.execute(stock_sql(statement), parameters)

    def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Inserts rows into a table."""
        texts = [[None if value is None else str(value) for value in column] for column in zip(*rows, strict=True)]
        with self.connection.cursor() as cursor:
            copy_into(cursor, table, columns, to_copy_text(texts))

    def rows_as(
        self,
        row_type: type[Row],
        statement: LiteralString,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    ) -> list[Row]:
        """The rows of a query as objects of `row_type`, whose attributes are the columns, by name."""
        return rows_as(self.connection, row_type, stock_sql(statement), parameters)

    @contextmanager
    def changing(self) -> Generator[Transaction]:
        """A transaction that may change stock, for the length of the block: one at a time.

        Short transactions one after the other lose no update, never wait in a circle, and need no lock on a row.
        """
        with self.connection.transaction() as transaction:
            lock_for_transaction(self.connection, "stock public")
            self.look_up_by_keys()
            yield transaction

    def look_up_by_keys(self) -> None:
        """Makes the rest of the transaction look rows up by their keys, whatever the tables' statistics say.

        Right after a load there are none, and each batch of some hundred keys would read whole tables.
        """
        self.connection.execute(_PLANNER, ["off"])

    def read_whole_tables(self) -> None:
        """Lets the rest of the transaction read and join whole tables again, for statements that change most rows.

        Looked up by keys, each such row would cost a pass over a table.
        """
        self.connection.execute(_PLANNER, ["on"])

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction, or a savepoint within one, for the length of the block."""
        return self.connection.transaction()


_PLANNER = """
SELECT set_config(setting, %s, true)
FROM unnest('{enable_seqscan,enable_bitmapscan,enable_hashjoin,enable_mergejoin,enable_sort}'::text[]) AS setting
"""


@contextmanager
def stock_connection(application: str) -> Generator[StockConnection]:
    """A connection that changes stock. A move of the cutover waits for its block."""
    with connect(application=application) as connection, hold_authority(connection):
        yield StockConnection(connection)


@contextmanager
def stock_reader(application: str, *, statement_seconds: int | None = None) -> Generator[StockConnection]:
    """A connection that only reads stock. No move of the cutover waits for it.

    `statement_seconds`: how long one statement may take; None: as long as any.
    """
    with connect(application=application, statement_seconds=statement_seconds) as connection:
        connection.execute("SET default_transaction_read_only = on")
        yield StockConnection(connection)
