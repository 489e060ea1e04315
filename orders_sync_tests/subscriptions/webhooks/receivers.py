"""A receiver of webhooks on this machine, which can be made to refuse, to be slow, and to be down."""

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec

from orders_sync_tests.threaded_server import serving


class Call(NamedTuple):
    """A request that has come."""

    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """What is in the envelope."""
        return msgspec.json.decode(self.body)["data"]


class Receiver:
    """What has come, and what is answered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.refused: dict[str, int] = {}
        """The status for the events of an order, by its id."""
        self.seconds = 0.0
        """How long each answer takes."""
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                call = Call({name.lower(): value for name, value in self.headers.items()}, body)
                with outer._lock:
                    outer._at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer._at_once)
                    outer.calls.append(call)
                time.sleep(outer.seconds)
                with outer._lock:
                    outer._at_once -= 1
                self.send_response(outer.refused.get(call.event["order_id"], outer.status))
                for name, value in {"Content-Length": "0", **outer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/orders"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [call.event for call in self.calls]


@contextmanager
def a_receiver() -> Generator[Receiver]:
    receiver = Receiver()
    with serving(receiver.server):
        yield receiver
