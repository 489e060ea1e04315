"""The connection for stock: in shadow while V1 has the authority over stock, in earnest when V2 has it."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.database.engine import Connection, connect
from orders_sync.lanes.authority import Phase, authority


@contextmanager
def stock_connection(application: str) -> Generator[Connection]:
    """A connection for everything that concerns stock: in shadow while V1 is the truth, in earnest when V2 is."""
    with connect(application=application) as connection, authority(connection) as phase:
        if phase is not Phase.LIVE:
            look_at_shadow(connection)
        yield connection


def look_at_shadow(connection: Connection) -> None:
    """Makes a connection's stock statements meet the shadow tables."""
    connection.execute("SET search_path TO shadow, public")
