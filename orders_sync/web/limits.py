"""What one client may take of the web process: connections, and time.

uvicorn has no time limit for a request that arrives slowly (Kludex/uvicorn #157): its `timeout_keep_alive` begins after
an answer, and each byte ends it. Without a limit, connections that send half a request use up the file descriptors of
the process, before any login.
"""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import h11
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_CONNECTIONS = 400
"""Open ones, websockets included; a browser opens about seven. The usual limit of file descriptors is 1024, and the
databases and the code server need some as well."""
REQUEST_SECONDS = 30.0
"""How long a request may take to arrive, from the opening of the connection or from the answer before it."""
ANSWER_SECONDS = 60.0
"""How long a client may take nothing of its answer."""

_ARRIVING = (h11.IDLE, h11.SEND_BODY)
"""The states of a client in which its request is not whole."""


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that closes connections: those above the maximum, and those whose request does not arrive in time.

    h11, not uvicorn's default httptools: it knows whether a request is whole, and ends one with more than 16 kB of
    headers; httptools stores any number of them.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._set_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_deadline()

    def _set_deadline(self) -> None:
        """Begins the time limit while a request arrives, and ends it once the request is whole."""
        is_websocket = self.transport.get_protocol() is not self
        if self.conn.their_state not in _ARRIVING or is_websocket or self.transport.is_closing():
            self._end_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bound_answers(sockets: Iterable[socket.socket]) -> None:
    """Ends connections whose client takes nothing of its answer; accepted ones inherit it from listening sockets.

    Linux only (TCP_USER_TIMEOUT, tcp(7)).
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        for each in sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(ANSWER_SECONDS * 1000))


class DisconnectsAreQuiet:
    """ASGI middleware: a client that goes before its request is whole leaves no traceback in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            await self._app(scope, receive, send)
