"""The resource `orders_database`: what every asset, op, check, schedule and sensor needs of the orders database."""

import logging
import os
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from orders_sync.config.environment import ORDERS_DATABASE_URL, state_folder
from orders_sync.dagster_support.run_log import log_to_run
from orders_sync.database.engine import Connection, connect, engine
from orders_sync.database.schema import SchemaError, check_schema
from orders_sync.lanes.liveness import alive
from orders_sync.passes.sync_log import log_to_file
from orders_sync.stock.connection import StockConnection, stock_connection, stock_reader

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger("orders_sync.database")

SCHEMA_CHECK_SECONDS = 60.0
"""How long a process relies on its last check of the schema: sensors tick every few seconds."""

TICK_LOCK_SECONDS = 15
"""How long a tick of a schedule or sensor waits for a lock. It ends before Dagster gives it up, after 60 seconds."""

_schema_checks: dict[str, float] = {}
"""When this process last checked the schema of a database (monotonic clock), by the setting that names it."""

_schema_reports: dict[str, float] = {}
"""When this process last reported a schema that it does not work with; as above."""


class OrdersDatabase(dg.ConfigurableResource["OrdersDatabase"]):
    """The orders database: `ORDERS_DATABASE_URL`, or the embedded server when that is not set.

    Its setup checks the schema. In a run, it also shows until the end of the run that the run is alive
    (the sensor `dead_runs` fails runs that do not), and appends what the core logs to the sync log and to the log of
    the run.
    """

    _run_id: str | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["OrdersDatabase"]:
        """Raises DatabaseUnreachableError when the database does not answer, and SchemaError."""
        check_schema_now_and_then()
        if context.run is None:  # a tick of a schedule or sensor, whose log Dagster keeps
            yield self
            return
        self._run_id = context.run.run_id
        with alive(self._run_id), log_to_file(), log_to_run(context.log):
            yield self

    def connect(self, purpose: str) -> Connection:
        """A connection of its own, in autocommit. pg_stat_activity shows it as `orders_sync <purpose> <run id>`."""
        connection = connect(application=self._application(purpose))
        if self._run_id is None:
            connection.execute(f"SET lock_timeout TO '{TICK_LOCK_SECONDS}s'".encode())
        return connection

    def connect_to_stock(self, purpose: str) -> AbstractContextManager[StockConnection]:
        """A connection that changes stock. A move of the cutover waits for it."""
        return stock_connection(self._application(purpose))

    def read_stock(self, purpose: str) -> AbstractContextManager[StockConnection]:
        """As `connect_to_stock`, for reading only: no move of the cutover waits for it."""
        return stock_reader(self._application(purpose))

    @contextmanager
    def engine(self) -> Generator["Engine"]:
        """A SQLAlchemy engine for the length of the block."""
        opened = engine()
        try:
            yield opened
        finally:
            opened.dispose()

    def _application(self, purpose: str) -> str:
        return f"orders_sync {purpose} {self._run_id or ''}".rstrip()


def check_schema_now_and_then() -> None:
    """Looks whether the code works with the schema, at most once per SCHEMA_CHECK_SECONDS in each process.

    A schema that it does not work with is an error in the sync log, as often at most. Raises SchemaError then, and
    DatabaseUnreachableError when the database does not answer.
    """
    # Not database_url(): it opens connections to the embedded server, to see whether that is up.
    database = os.environ.get(ORDERS_DATABASE_URL) or str(state_folder())
    checked = _schema_checks.get(database)
    if checked is not None and time.monotonic() - checked < SCHEMA_CHECK_SECONDS:
        return
    try:
        check_schema()
    except SchemaError as problem:
        reported = _schema_reports.get(database)
        if reported is None or time.monotonic() - reported >= SCHEMA_CHECK_SECONDS:
            _schema_reports[database] = time.monotonic()
            with log_to_file():
                log.error("No sync and no stock job can run: %s", problem)
        raise
    _schema_checks[database] = time.monotonic()
