"""A connection that knows its stock tables: those in use, or the shadow's while V1 has the authority over stock.

Each schema of StockSchema has tables for levels, locks and their history, and a relation `order_events`. In `shadow`
the latter is a view of `public.order_events` with columns of its own for what was applied, attempted and failed. So the
same code applies the same events in both.
"""

import functools
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Cursor, Transaction
from psycopg.sql import SQL, Composed, Identifier

from orders_sync.database.engine import Connection, connect
from orders_sync.database.rows import Row, rows_as
from orders_sync.lanes.authority import Authority, current_authority, hold_authority


class StockSchema(StrEnum):
    """A schema that has stock tables."""

    PUBLIC = "public"
    """The locks that count: V2 has the authority over stock."""
    SHADOW = "shadow"
    """What the locks would be while V1 has the authority."""

    @classmethod
    def of(cls, authority: Authority) -> "StockSchema":
        """The schema that V2 uses with this authority."""
        return cls.PUBLIC if authority.may_lock_stock else cls.SHADOW

    def sql(self, statement: LiteralString) -> Composed:
        """A statement with the schema's relations for `{levels}`, `{locks}`, `{history}` and `{events}`."""
        return _with_relations(self, statement)


@functools.cache
def _with_relations(schema: StockSchema, statement: LiteralString) -> Composed:
    return SQL(statement).format(
        levels=Identifier(schema.value, "stock_levels"),
        locks=Identifier(schema.value, "stock_locks"),
        history=Identifier(schema.value, "stock_lock_history"),
        events=Identifier(schema.value, "order_events"),
    )


@dataclass(frozen=True)
class StockConnection:
    """A connection and the schema of its stock tables."""

    connection: Connection
    schema: StockSchema = StockSchema.PUBLIC

    def execute(
        self, statement: LiteralString, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> Cursor[tuple[Any, ...]]:
        """Runs a statement that names the stock relations as StockSchema.sql says."""
        return self.connection.execute(self.schema.sql(statement), parameters)

    def rows_as(
        self,
        row_type: type[Row],
        statement: LiteralString,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    ) -> list[Row]:
        """The rows of a query as objects of `row_type`, whose attributes are the columns, by name."""
        return rows_as(self.connection, row_type, self.schema.sql(statement), parameters)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction, or a savepoint within one, for the length of the block."""
        return self.connection.transaction()


@contextmanager
def stock_connection(application: str) -> Generator[StockConnection]:
    """A connection that changes the stock of the current phase. A move of the cutover waits for its block."""
    with connect(application=application) as connection, hold_authority(connection) as authority:
        yield StockConnection(connection, StockSchema.of(authority))


@contextmanager
def stock_reader(application: str) -> Generator[StockConnection]:
    """A connection that only reads the stock of the current phase. No move of the cutover waits for it."""
    with connect(application=application) as connection:
        connection.execute("SET default_transaction_read_only = on")
        yield StockConnection(connection, StockSchema.of(current_authority(connection)))
