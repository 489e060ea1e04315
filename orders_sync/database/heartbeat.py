"""Keeps idle connections in use: a proxy or NAT between us and the server may cut one that is silent for minutes."""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from psycopg import OperationalError
from psycopg.pq import ConnStatus, TransactionStatus

from orders_sync.database.engine import Connection

log = logging.getLogger("orders_sync.database")

BEAT_SECONDS = 20.0
"""A connection is never idle for longer. Proxies and NAT gateways cut after a minute at the earliest."""


@contextmanager
def every(seconds: float, beat: Callable[[], object], name: str) -> Generator[None]:
    """Calls `beat` in a thread of its own, again and again, for the length of the block.

    An exception of one beat ends none of those after it.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            try:
                beat()
            except Exception as error:
                log.warning("%s: failed, and goes on: %s", name, type(error).__name__)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def kept_in_use(connection: Connection) -> Generator[Connection]:
    """Sends a statement over the connection whenever it is idle, for the length of the block; yields the connection.

    If it is lost, its owner learns of it at the next statement.
    """
    with every(BEAT_SECONDS, lambda: touch(connection), "keeps a connection in use"):
        yield connection


def touch(connection: Connection) -> bool:
    """Sends a statement if the connection is idle, beside what its owner does; returns whether it still lives.

    Within a transaction it only reads what the server has said: that it ends the session, for example.
    """
    with connection.lock:
        status = connection.pgconn.transaction_status
        if status == TransactionStatus.IDLE:
            connection.pgconn.exec_(b"SELECT")
        elif status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(OperationalError):
                for _ in range(2):  # the server's last words, and then the end
                    connection.pgconn.consume_input()
        return connection.pgconn.status == ConnStatus.OK
