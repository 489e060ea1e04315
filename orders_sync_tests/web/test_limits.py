"""What one client may take of the web process, by raw sockets: no half request stays, and no crowd of connections."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from orders_sync.testing.waiting import limit, wait_for
from orders_sync.web import limits
from orders_sync.web.app import web_app
from orders_sync.web.server import server
from orders_sync.web.settings import WebSettings
from orders_sync_tests.web.conftest import PASSWORD

SECONDS = limit(0.5)
"""The time limits of these tests."""
WHOLE = 100_000_000
"""Bytes: more than the system keeps of a connection."""
Address = tuple[str, int]


async def body(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def deaf(_: Request) -> PlainTextResponse:
    """Answers without a look at the body."""
    return PlainTextResponse("answered")


async def slow(_: Request) -> PlainTextResponse:
    await asyncio.sleep(SECONDS * 2)
    return PlainTextResponse("at last")


async def endless(_: Request) -> StreamingResponse:
    async def zeros() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield bytes(100_000)

    return StreamingResponse(zeros())


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


APP = Starlette(
    routes=[
        Route("/body", body, methods=["POST"]),
        Route("/deaf", deaf, methods=["POST"]),
        Route("/slow", slow),
        Route("/endless", endless),
        WebSocketRoute("/echo", echo),
    ]
)


@contextmanager
def running(app: ASGIApp) -> Iterator[Address]:
    """Serves as `orders-sync web` does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        serving = server(app, [listening])
        thread = threading.Thread(target=serving.run, args=([listening],), daemon=True)
        thread.start()
        wait_for(lambda: serving.started, what="the server", every=0.01)
        try:
            yield address
        finally:
            serving.should_exit = True
            thread.join(limit(10))


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    for name in ("REQUEST_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(limits, name, SECONDS)
    with running(APP) as found:
        yield found


def opened(address: Address, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(address, timeout=limit(20))
    client.sendall(sent)
    return client


def request(path: str, more: str = "", method: str = "POST") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()


def received(client: socket.socket, at_least: int = 1) -> bytes:
    """What has come, once it is so much or the connection is closed."""
    found = b""
    with suppress(ConnectionError):
        while len(found) < at_least and (part := client.recv(65_536)):
            found += part
    return found


def seconds_until_closed(client: socket.socket, drip: bytes = b"") -> float:
    """How long the connection lives, if the client goes on to send a little."""
    started = time.monotonic()
    client.settimeout(0.1)
    while time.monotonic() - started < limit(20):
        try:
            client.sendall(drip)
            if not client.recv(65_536):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    else:
        pytest.fail("the connection stays open")
    return time.monotonic() - started


HALF = {
    "nothing": b"",
    "half a header": b"POST /body HTTP/1.1\r\nHost: local",
    "half a body": request("/body", "Content-Length: 9999\r\n") + b"half",
    "half a chunk": request("/body", "Transfer-Encoding: chunked\r\n") + b"ff\r\nhalf",
    "the body of an answered request": request("/deaf", "Content-Length: 9999\r\n") + b"half",
    "a second request, half": request("/body", "Content-Length: 1\r\n") + b"xPOST /bo",
    "a second request, half its body": (request("/body", "Content-Length: 1\r\n") + b"x")
    + request("/body", "Content-Length: 9999\r\n"),
}


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["then silence", "then drips"])
@pytest.mark.parametrize("sent", HALF.values(), ids=HALF)
def test_a_request_that_is_not_whole_in_time_ends_its_connection(address: Address, sent: bytes, drip: bytes) -> None:
    with opened(address, sent) as client:
        assert seconds_until_closed(client, drip) >= SECONDS * 0.9


def test_a_kept_connection_has_the_time_again_for_each_request(address: Address) -> None:
    whole = request("/body", "Content-Length: 1\r\n") + b"x"
    with opened(address) as client:
        for _ in range(4):
            client.sendall(whole)
            answer = received(client)
            while not answer.endswith(b"1 bytes"):  # it may come in parts
                answer += received(client) or pytest.fail(f"the connection ends after {answer!r}")
            time.sleep(SECONDS * 0.4)


def test_an_answer_may_take_longer_than_the_request_may(address: Address) -> None:
    with opened(address, request("/slow", method="GET")) as client:
        assert b"at last" in received(client)


def test_a_websocket_stays_open(address: Address) -> None:
    with connect(f"ws://{address[0]}:{address[1]}/echo") as websocket:
        time.sleep(SECONDS * 1.5)
        websocket.send("still here")
        assert websocket.recv(timeout=limit(10)) == "still here"


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"),
    reason="only Linux has TCP_USER_TIMEOUT, by which the server ends such a connection",
)
def test_a_client_that_takes_nothing_of_its_answer_is_left(address: Address) -> None:
    with opened(address, request("/endless", method="GET")) as client:
        time.sleep(SECONDS * 4)
        assert len(received(client, WHOLE)) < WHOLE


def test_headers_that_never_end_are_refused(address: Address) -> None:
    with opened(address, request("/body", "X: " + "x" * 20_000)[:-2]) as client:
        assert received(client).startswith(b"HTTP/1.1 400 ")


def test_connections_above_the_maximum_are_closed_and_the_others_go_on(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 5)
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 20.0)
    whole = request("/body", "Content-Length: 1\r\nConnection: close\r\n") + b"x"
    with ExitStack() as stack:
        held = [stack.enter_context(opened(address)) for _ in range(5)]
        with opened(address) as above:
            assert seconds_until_closed(above) < 5
        held[0].sendall(whole)
        assert b"1 bytes" in received(held[0])
        assert received(held[0]) == b""
        with opened(address, whole) as next_one:
            assert b"1 bytes" in received(next_one)


def test_a_client_that_goes_in_the_middle_of_a_form_leaves_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    async def nothing(*_: object) -> None: ...

    with running(web_app(nothing, WebSettings(password=PASSWORD))) as address:
        with opened(address, request("/operations/login", "Content-Length: 999\r\n") + b"password="):
            time.sleep(0.3)
        with opened(address, request("/operations/health", "Connection: close\r\n", "GET")) as client:
            assert b"ok" in received(client, 10_000)
    assert capsys.readouterr().err == ""
