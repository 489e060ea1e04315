"""A webhook receiver and a mail server on this machine, as channels of alerts."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from orders_sync.testing.deployment import free_port
from orders_sync_tests.threaded_server import serving


class Webhook:
    """A receiver of Apprise's JSON, which can be made to refuse."""

    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []
        self.calls: list[str] = []
        """The paths of all requests, heartbeats included."""
        self.status = 200
        self.seconds = 0.0
        """How long each answer takes."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls.append(self.path)
                time.sleep(outer.seconds)
                if outer.status == 200:
                    outer.received.append(json.loads(body))
                self._answer()

            def do_GET(self) -> None:
                outer.calls.append(self.path)
                self._answer()

            def _answer(self) -> None:
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.received]


@contextmanager
def a_webhook() -> Generator[Webhook]:
    webhook = Webhook()
    with serving(webhook.server):
        yield webhook


class HangingServer:
    """A server that answers each request with a header that never ends: a byte every now and then."""

    def __init__(self) -> None:
        self.calls = 0
        self._is_over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                opened, _ = self._listener.accept()
                self.calls += 1
                threading.Thread(target=self._drip, args=(opened,), daemon=True).start()

    def _drip(self, opened: socket.socket) -> None:
        with opened, contextlib.suppress(OSError):
            while not self._is_over.wait(0.2):
                opened.sendall(b"H")

    def stop(self) -> None:
        """Ends all answers."""
        self._is_over.set()
        with contextlib.suppress(OSError):  # it was stopped before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Mails:
    """The mails that a server has received."""

    def __init__(self) -> None:
        self.received: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.received.append(message_from_bytes(envelope.content))
        return "250 OK"

    def texts(self) -> list[str]:
        """The texts of all mails, as their reader sees them."""
        found: list[str] = []
        for mail in self.received:
            parts = [part for part in mail.walk() if part.get_content_maintype() == "text"]
            found += [bytes(part.get_payload(decode=True) or b"").decode() for part in parts]  # pyright: ignore[reportArgumentType]
        return found


@contextmanager
def a_mail_server() -> Generator[tuple[Mails, int]]:
    mails, port = Mails(), free_port()
    controller = Controller(mails, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mails, port
    finally:
        controller.stop()
