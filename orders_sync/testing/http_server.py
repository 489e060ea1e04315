"""An ASGI application served over real HTTP from a thread, on a free port."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from orders_sync.testing.waiting import limit, wait_for

LOOPBACK = "127.0.0.1"
ANY = "0.0.0.0"
"""All addresses of this machine."""


@contextmanager
def served(app: ASGIApp, http: type[asyncio.Protocol] | None = None, *, address: str = LOOPBACK) -> Iterator[str]:
    """Serves `app` for the length of the block; gives its URL, `http://127.0.0.1:<port>`.

    `http`: the class of its connections; None: uvicorn's own. `address`: LOOPBACK or ANY, where it listens.
    """
    with socket.socket() as listening:
        listening.bind((address, 0))
        config = uvicorn.Config(
            app, http=http or "auto", log_level="critical", access_log=False, date_header=False, lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        wait_for(lambda: server.started, what="a test's HTTP server", every=0.01)
        try:
            yield f"http://{LOOPBACK}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(limit(10))
