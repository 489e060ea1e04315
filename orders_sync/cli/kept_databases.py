"""The two databases as `orders-sync up` sees them: one connection to each, opened again whenever it breaks."""

import contextlib
from collections.abc import Callable

import psycopg

from orders_sync.database.engine import Connection, connect, database_url
from orders_sync.model.errors import UserFacingError

ORDERS, DAGSTER = "orders database", "database of Dagster"


class DatabasesUnreachableError(UserFacingError):
    """A database does not answer at the moment; the text says which one, and why."""


class KeptDatabases:
    """One connection to the orders database and one to Dagster's, for as long as the process runs.

    An embedded server that has died is started again by the attempt to connect to it.
    """

    def __init__(self, application: str) -> None:
        """Opens nothing yet. `application`: what pg_stat_activity shows."""
        self._application = application
        self._urls: dict[str, Callable[[], str]] = {
            ORDERS: database_url,
            DAGSTER: _dagster_url,
        }
        self._opened: dict[str, Connection] = {}
        self.connections = 0
        """How many were opened so far: a further one shows that a database was away, however short."""

    def orders(self) -> Connection:
        """The connection to the orders database, once both databases have answered.

        Raises DatabasesUnreachableError when one does not; the next call connects to it anew.
        """
        for name, url in self._urls.items():
            try:
                if name not in self._opened:
                    self._opened[name] = connect(url(), application=self._application)
                    self.connections += 1
                self._opened[name].execute("SELECT 1")
            except (psycopg.Error, UserFacingError) as error:
                self.close(name)
                raise DatabasesUnreachableError(f"the {name} does not answer: {_first_line(error)}") from None
        return self._opened[ORDERS]

    def dagster(self) -> Connection:
        """The connection to Dagster's database. Raises as `orders`."""
        self.orders()
        return self._opened[DAGSTER]

    def close(self, *names: str) -> None:
        """Closes the connections of these names, or all."""
        for name in names or tuple(self._opened):
            if connection := self._opened.pop(name, None):
                with contextlib.suppress(psycopg.Error):
                    connection.close()


def _dagster_url() -> str:
    from orders_sync.dagster_instance.storage import dagster_server_url

    return dagster_server_url()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
