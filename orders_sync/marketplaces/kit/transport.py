"""The connections of the HTTP client: one time limit for each whole answer, and bodies that are bounded in size.

A timeout of a socket bounds one read only: an answer that drips a byte each half second would go on for ever. Here
every read of an answer, its headers included, gets no more than what is left of the answer's time.
"""

import functools
import math
import re
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator

import httpcore
import httpx

from orders_sync.model.errors import OrdersSyncError

KEEPALIVE_SECONDS = 5.0
"""How long a connection that is not used stays open."""
READ_BYTES = 120 * 1024
"""At most so many bytes are read from a connection at once: a page is mostly there. httpcore's own number is 64 kB."""
INFLATE_STEP_BYTES = 1024 * 1024
"""At most so many bytes are inflated at once, before the size is checked."""
BEGINNING_BYTES = 64 * 1024
"""So much is kept of a body that is too large: a record's id is near its beginning."""
CODINGS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""The content codings that are read, with zlib's window for each."""
_NAMES = frozenset([*CODINGS, "identity", "br", "zstd", "compress", "x-compress"])
"""The names of codings (IANA's registry)."""
_GZIP_BEGIN = b"\x1f"
"""The first byte of a gzip member."""


PLAIN = frozenset(["identity", "", "none", "utf-8"])
"""What servers write for a body that is not encoded; the last two are mistakes whose meaning is certain."""


class TooLargeError(OrdersSyncError):
    """The body of an answer is too large. `beginning`: its first BEGINNING_BYTES, inflated."""

    def __init__(self, beginning: bytes = b"") -> None:
        super().__init__()
        self.beginning = beginning


class BrokenCodingError(OrdersSyncError):
    """The body of an answer is not encoded as its headers say. The text goes on after `answers … `."""


class _Deadline(threading.local):
    """When the answer that this thread waits for must be there, by time.monotonic()."""

    at = math.inf

    def left(self, timeout: float | None) -> float:
        """The seconds for one read or write; raises ReadTimeout if none are left."""
        seconds = min(self.at - time.monotonic(), math.inf if timeout is None else timeout)
        if seconds <= 0:
            raise httpcore.ReadTimeout("the time for the whole answer is over")
        return seconds


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes end at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max(max_bytes, READ_BYTES), self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._deadline.left(timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._deadline)  # pyright: ignore[reportArgumentType]

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Opens connections whose reads and writes end at the deadline."""

    def __init__(self, backend: httpcore.NetworkBackend, deadline: _Deadline) -> None:
        self._backend = backend
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._deadline)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """TLS is verified, and no proxy or certificate is taken from the environment.

    One for the whole process: to read the certificates takes 25 ms of CPU.
    """
    return httpx.create_ssl_context(trust_env=False)


class BoundedTransport(httpx.HTTPTransport):
    """Sends requests over kept connections, as httpx does; each answer must be read within the time given for it."""

    def __init__(self, connections: int, backend: httpcore.NetworkBackend | None = None) -> None:
        """`connections`: how many may be open at once. `backend`: opens them; by default to any address."""
        ssl_context = _ssl_context()
        super().__init__(verify=ssl_context, trust_env=False)
        self._deadline = _Deadline()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=_Backend(backend or httpcore.SyncBackend(), self._deadline),
        )

    def allow(self, seconds: float) -> None:
        """The answers that this thread requests from now on must be read to their end within so many seconds."""
        self._deadline.at = time.monotonic() + seconds


def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """The body of an answer, inflated if it is compressed; in memory, it never takes much more than `max_bytes`.

    Raises TooLargeError if it is larger than `max_bytes` before or after it is inflated, and BrokenCodingError if it
    is encoded more than once, in a way that was not requested, or not as its headers say.
    """
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in PLAIN:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > max_bytes:
            max_bytes = min(max_bytes, BEGINNING_BYTES)  # the rest need not be sent
        parts: Iterator[bytes] = _counted(response.iter_raw(), max_bytes)
    elif coding in CODINGS:
        parts = _inflated(_counted(response.iter_raw(), max_bytes), coding)
    else:
        raise BrokenCodingError(f"with the content coding {_shown_codings(coding)!r}; allowed is one of gzip, deflate")
    body: list[bytes] = []
    try:
        body += _counted(parts, max_bytes)
    except TooLargeError:
        raise TooLargeError(_beginning(body)) from None
    return body[0] if len(body) == 1 else b"".join(body)


def _shown_codings(coding: str) -> str:
    """A header is a text of others: only names of codings are shown."""
    return ", ".join(each if each in _NAMES else "…" for each in re.split(r"\s*,\s*", coding[:80]))


def _beginning(parts: Iterable[bytes]) -> bytes:
    beginning = bytearray()
    for part in parts:
        beginning += part[: BEGINNING_BYTES - len(beginning)]
    return bytes(beginning)


def _counted(parts: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > max_bytes:
            yield part[: max_bytes - size]
            raise TooLargeError
        yield part


def _inflated(parts: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """The parts, inflated. A gzip body may have several members, and zeros after the last one (RFC 1952, gzip(1))."""
    inflater = zlib.decompressobj(CODINGS[coding])
    begun = False
    for part in parts:
        rest = part
        while rest:
            if inflater.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                if coding == "deflate" or rest[:1] != _GZIP_BEGIN:
                    raise BrokenCodingError(f"with a {coding} body that goes on after its end")
                inflater = zlib.decompressobj(CODINGS[coding])
            try:
                inflated = inflater.decompress(rest, INFLATE_STEP_BYTES)
            except zlib.error:
                if coding != "deflate" or begun:
                    raise BrokenCodingError(f"with a broken {coding} body") from None
                begun = True  # some servers leave out the header of zlib
                inflater = zlib.decompressobj(-zlib.MAX_WBITS)
                continue
            begun = True
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if inflated:
                yield inflated
    if begun and not inflater.eof:
        raise BrokenCodingError(f"with a {coding} body that is cut off")
