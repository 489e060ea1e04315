"""A marketplace on loopback as another host reaches it: account files allow plain HTTP on loopback only."""

import socket
from urllib.parse import urlsplit

from orders_sync_tests.faults.impatient_proxy import ImpatientProxy

FOR_EVER = 1e9


def relay_from_loopback(url: str, address: str) -> None:
    """Passes what comes to a URL on this host's loopback on to the same port of another host, until the process ends.

    `address`: the other host's.
    """
    port = urlsplit(url).port
    assert port is not None
    ImpatientProxy(lambda: socket.create_connection((address, port), timeout=10), FOR_EVER, port)
