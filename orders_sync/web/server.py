"""Serves the web application: `orders-sync web`."""

import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from orders_sync.dagster_instance.instance import open_instance
from orders_sync.database.schema import check_schema
from orders_sync.web.app import web_app
from orders_sync.web.dagster_app import dagster_app
from orders_sync.web.limits import BoundedProtocol, bound_answers
from orders_sync.web.settings import WebSettings

GRACE_SECONDS = 5
"""How long requests and websockets may go on after the signal to stop."""


def serve(settings: WebSettings, sockets: Sequence[socket.socket], workspace: Path) -> None:
    """Serves until the process gets SIGINT or SIGTERM.

    `sockets`: they listen already, and are closed at the end. `workspace`: the file that names Dagster's code location.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn passes it on once it has stopped
    check_schema()
    with (
        suppress(KeyboardInterrupt),
        open_instance() as instance,
        dagster_app(instance, workspace) as dagster,
    ):
        server(web_app(dagster, settings), sockets).run(list(sockets))


def server(app: ASGIApp, sockets: Sequence[socket.socket]) -> uvicorn.Server:
    """The HTTP server, with its limits, for sockets that listen."""
    bound_answers(sockets)
    return uvicorn.Server(
        uvicorn.Config(
            app, http=BoundedProtocol, log_level="warning", server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            # An address that a client may choose itself is worth nothing, and none is needed.
            proxy_headers=False,
        )
    )  # fmt: skip
