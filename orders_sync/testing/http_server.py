"""An ASGI application served over real HTTP from a thread, on a free port."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from orders_sync.testing.waiting import limit

LOOPBACK = "127.0.0.1"
ANY = "0.0.0.0"
"""All addresses of this machine."""


class _Server(uvicorn.Server):
    """A server that ends at once: uvicorn's own looks ten times a second whether it should, and then sleeps as long.

    Tests start thousands of servers.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_serving = threading.Event()

    def end(self) -> None:
        """Ends it, from another thread."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def main_loop(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        await self.on_tick(0)  # sets the headers of all answers
        self.is_serving.set()
        await self._ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # the connections are closed in the loop's next round


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
        server = _Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert server.is_serving.wait(limit(30)), "a test's HTTP server has not started"
        try:
            yield f"http://{LOOPBACK}:{listening.getsockname()[1]}"
        finally:
            server.end()
            thread.join(limit(10))
