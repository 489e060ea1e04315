"""Answers that are bounded in size and time, from a real server that sends bytes as each test says."""

import gzip
import io
import resource
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import stamina

from orders_sync.marketplaces.kit import http
from orders_sync.marketplaces.kit.auth import ClientCredentials, HeaderToken
from orders_sync.marketplaces.kit.errors import (
    BadAnswerError,
    CredentialRefusedError,
    MarketplaceError,
    MarketplaceUnavailableError,
)
from orders_sync.marketplaces.kit.http import MarketplaceClient
from orders_sync.marketplaces.kit.rate_limits import LocalRateLimiter
from orders_sync.testing.waiting import limit
from orders_sync_tests.marketplaces.kit.conftest import decode_json

Send = Callable[[socket.socket], None]
DOCUMENT = b'{"results": []}'


@contextmanager
def server(send: Send) -> Iterator[str]:
    """Answers each request by `send`, which gets its connection; gives the server's address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, send), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _serve(listening: socket.socket, send: Send) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # the test has ended
        threading.Thread(target=_answer, args=(connection, send), daemon=True).start()


def _answer(connection: socket.socket, send: Send) -> None:
    with connection:
        try:
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            send(connection)
        except OSError:
            return  # the client has gone


@contextmanager
def client_of(url: str, auth: httpx.Auth | None = None) -> Iterator[MarketplaceClient]:
    client = MarketplaceClient(
        url,
        {},
        LocalRateLimiter(),
        auth=auth or HeaderToken("Basic secret"),
        connections=2,
        penalty_seconds=1.0,
        outage_minutes=0,
    )
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(autouse=True)
def tried_once() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


def fetched(send: Send) -> object:
    with server(send) as url, client_of(url) as client:
        return client.get("/orders", {}, [], decode_json)


def whole(body: bytes, *headers: bytes) -> Send:
    """Sends an answer with this body and these headers."""
    head = b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers])
    return lambda connection: connection.sendall(head + b"\r\n\r\n" + body)


def bomb(megabytes: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as file:
        for _ in range(megabytes):
            file.write(bytes(1024 * 1024))
    return packed.getvalue()


def zlib_raw(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(DOCUMENT, mtime=0)),
        (b"GZIP", gzip.compress(DOCUMENT, mtime=0)),
        (b"x-gzip", gzip.compress(DOCUMENT, mtime=0)),
        (b"deflate", zlib.compress(DOCUMENT)),
        (b"deflate", zlib_raw(DOCUMENT)),
        (b"identity", DOCUMENT),
        (b"none", DOCUMENT),
        (b"UTF-8", DOCUMENT),
        (b"gzip", gzip.compress(DOCUMENT, mtime=0) + bytes(16)),
        (b"gzip", gzip.compress(DOCUMENT[:5], mtime=0) + gzip.compress(DOCUMENT[5:], mtime=0)),
        (b"gzip", gzip.compress(DOCUMENT[:5], mtime=0) + bytes(3) + gzip.compress(DOCUMENT[5:], mtime=0)),
    ],
)
def test_a_body_is_inflated(coding: bytes, body: bytes) -> None:
    assert fetched(whole(body, b"Content-Encoding: " + coding)) == {"results": []}


def test_a_large_body_is_inflated_step_by_step() -> None:
    document = b'{"x": "' + b"a" * 5_000_000 + b'"}'
    assert fetched(whole(gzip.compress(document, mtime=0), b"Content-Encoding: gzip")) == {"x": "a" * 5_000_000}


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        (b"gzip", gzip.compress(DOCUMENT, mtime=0)[:-9], "with a gzip body that is cut off"),
        (b"gzip", b"\x1f\x8b\x08\x00" + b"\xff" * 40, "with a broken gzip body"),
        (b"gzip", DOCUMENT, "with a broken gzip body"),
        (b"deflate", b"\xff" * 40, "with a broken deflate body"),
        (b"gzip", gzip.compress(DOCUMENT, mtime=0) + b"\x1f", "with a gzip body that is cut off"),
        (b"deflate", zlib.compress(DOCUMENT) + b"more", "with a deflate body that goes on after its end"),
        (b"gzip", gzip.compress(DOCUMENT, mtime=0) + b"more", "with a gzip body that goes on after its end"),
        (b"br", DOCUMENT, "with the content coding 'br'; allowed is one of gzip, deflate"),
        (
            b"gzip, gzip",
            gzip.compress(gzip.compress(DOCUMENT, mtime=0), mtime=0),
            "with the content coding 'gzip, gzip'",
        ),
    ],
)
def test_a_body_that_is_not_as_its_headers_say_is_a_clear_error(coding: bytes, body: bytes, reason: str) -> None:
    with pytest.raises(BadAnswerError, match=rf"127\.0\.0\.1 answers /orders {reason}"):
        fetched(whole(body, b"Content-Encoding: " + coding))


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, gzip"])
def test_a_small_answer_that_inflates_to_gigabytes_is_refused_with_flat_memory(coding: bytes) -> None:
    body = bomb(1000)
    body = gzip.compress(body, mtime=0) if coding == b"gzip, gzip" else body
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadAnswerError, match=r"with more than 20 MB|'gzip, gzip'"):
        fetched(whole(body, b"Content-Encoding: " + coding))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60 * 1024, f"{grown} kB"


def test_a_body_without_end_is_refused_before_it_is_inflated() -> None:
    def send(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n")
        while True:  # a block that is stored with no content
            connection.sendall(b"\x00\x00\x00\xff\xff" * 10_000)

    with pytest.raises(BadAnswerError, match="with more than 20 MB"):
        fetched(send)


def _drip(before: bytes, unit: bytes) -> Send:
    def send(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(unit)
            time.sleep(0.05)

    return send


@pytest.mark.parametrize(
    "send",
    [
        _drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        _drip(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n\x78\x9c", b"\x00\x00\x00\xff\xff"),
        _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", b" "),
        _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["headers", "empty blocks", "body", "interim answers"],
)
def test_an_answer_that_drips_is_ended_by_the_time_limit(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_SECONDS", 1.5)
    began = time.monotonic()
    with pytest.raises(MarketplaceUnavailableError, match="does not answer GET /orders within"):
        fetched(send)
    assert 1.4 <= time.monotonic() - began < limit(4)


def test_an_answer_in_time_leaves_no_limit_to_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_SECONDS", 0.5)
    with server(whole(DOCUMENT)) as url, client_of(url) as client:
        for _ in range(3):
            assert client.get("/orders", {}, [], decode_json) == {"results": []}
            time.sleep(0.3)


def test_a_line_that_breaks_the_protocol_is_not_quoted() -> None:
    def send(connection: socket.socket) -> None:
        connection.sendall(b"Jane Doe, 1 Main Street\r\n\r\n")

    with pytest.raises(MarketplaceError) as problem:
        fetched(send)
    assert "Jane" not in str(problem.value)
    assert "RemoteProtocolError" in str(problem.value)


def test_the_answer_of_a_token_endpoint_is_bounded_too() -> None:
    send = whole(bomb(100), b"Content-Encoding: gzip")
    with (
        server(send) as url,
        client_of(url, ClientCredentials(f"{url}/token", "id", "secret")) as client,
        pytest.raises(CredentialRefusedError, match="with no token"),
    ):
        client.get("/orders", {}, [], decode_json)
