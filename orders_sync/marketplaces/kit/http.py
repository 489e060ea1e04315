"""The HTTP client that all adapters share: rate limits, retries where they are safe, bounded answers, clear errors."""

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from orders_sync.marketplaces.kit.errors import (
    AnswerLostError,
    BadAnswerError,
    CredentialRefusedError,
    MarketplaceError,
    MarketplaceUnavailableError,
    RecordNotFoundError,
    RequestRefusedError,
)
from orders_sync.marketplaces.kit.rate_limits import RateLimit, RateLimiter
from orders_sync.model.errors import OrdersSyncError

MAX_ANSWER_BYTES = 20 * 1024 * 1024
"""Bytes of one answer; a page of 50 orders has about 150 kB."""
MAX_ANSWER_SECONDS = 120.0
"""Seconds for one whole answer, however slowly it arrives."""
MAX_TRIES = 6
"""How often one call is tried before the pass fails, the first try included."""
FIRST_BACKOFF_SECONDS = 0.7
"""Seconds before the second try; each further wait is twice as long."""
BACKOFF_JITTER_SECONDS = 1.0
"""Up to so many random seconds are added to each wait, so that connections do not retry at the same moment."""
MAX_BACKOFF_SECONDS = 20.0
MAX_PENALTY_SECONDS = 900.0
"""Seconds. A longer Retry-After fails the pass, which the next tick repeats, instead of holding its lane."""
MAX_REDIRECTS = 3

# stamina logs each retry without its reason: a host without logging configuration would print that to stderr.
logging.getLogger("stamina").addHandler(logging.NullHandler())

Result = TypeVar("Result")
Decoded = TypeVar("Decoded")
Params = Mapping[str, str] | Sequence[tuple[str, str]]


class RateLimitHeaders(NamedTuple):
    """The names of the response headers that publish a rate limit."""

    limit: str = "X-RateLimit-Limit"
    """The calls allowed in one window."""
    remaining: str = "X-RateLimit-Remaining"
    """The calls left in this window."""
    reset: str = "X-RateLimit-Reset"
    """When the window ends, in Unix time (seconds)."""


class HttpAdapter:
    """The part of an adapter that is the same for all marketplaces that speak HTTP."""

    order_struct: type[msgspec.Struct] | None = None
    care_struct: type[msgspec.Struct] | None = None

    def __init__(self, client: "MarketplaceClient") -> None:
        self.client = client

    def now(self) -> datetime:
        return self.client.now()

    def metrics(self) -> Mapping[str, float]:
        return self.client.metrics()

    def close(self) -> None:
        self.client.close()


class _TransientError(OrdersSyncError):
    """One try failed, and another one may succeed. It never leaves this module."""

    def __init__(
        self,
        problem: str,
        *,
        wait_seconds: float | None = None,
        certainly_not_done: bool = False,
        final: type[MarketplaceError] = MarketplaceUnavailableError,
        status: int | None = None,
    ):
        """`wait_seconds`: the wait before the next try, where the marketplace named one.

        `certainly_not_done`: the marketplace has not processed the request, so that even a write may be repeated.
        `final`: the error to raise when all tries are used up. `status`: the HTTP status of an error answer.
        """
        super().__init__(problem)
        self.wait_seconds = wait_seconds
        self.certainly_not_done = certainly_not_done
        self.final = final
        self.status = status


class MarketplaceClient:
    """An HTTP client of one account at one marketplace. Several threads may use it at once."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        rate_limiter: RateLimiter,
        *,
        auth: httpx.Auth,
        connections: int,
        penalty_seconds: float,
        rate_limit_headers: RateLimitHeaders | None = None,
    ) -> None:
        """`connections`: how many requests may be under way at once.

        `penalty_seconds`: how long the account makes no call after a 429 without Retry-After, from the published
        contract. `rate_limit_headers`: the headers that say how many calls are left, where the contract has them.
        """
        self.base_url = base_url.rstrip("/")
        self.host = httpx.URL(self.base_url).host
        self.rate_limiter = rate_limiter
        self.auth = auth
        self.connections = connections
        self.penalty_seconds = penalty_seconds
        self.rate_limit_headers = rate_limit_headers
        self._headers = [("Accept-Encoding", "gzip, deflate"), ("Connection", "keep-alive"), *headers.items()]
        self._timeout = httpx.Timeout(30.0, connect=10.0).as_dict()
        # The transport alone: cookies, redirects and hooks of httpx.Client are not needed, and take half of its time.
        self._http = httpx.HTTPTransport(
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=False,
        )
        self._lock = threading.Lock()
        self._counts = {
            "calls": 0.0, "throttled_seconds": 0.0, "retries": 0.0, "too_many_requests": 0.0,
            "received_bytes": 0.0,
        }  # fmt: skip
        self._clock_offset = timedelta(0)

    def get(
        self,
        path: str,
        params: Params,
        limits: Sequence[RateLimit],
        decode: Callable[[bytes], Decoded],
    ) -> Decoded:
        """The decoded answer to a GET. `limits` are those that the call counts against.

        Repeats what may pass: no connection, a broken answer, 5xx, 429. Raises a MarketplaceError whose text is one
        line.
        """
        return self._retry(lambda: self._read("GET", path, params, None, limits, decode))

    def query(
        self, path: str, body: object, limits: Sequence[RateLimit], decode: Callable[[bytes], Decoded]
    ) -> Decoded:
        """The decoded answer to a POST that only reads (the JSON form of gRPC reads so). Repeated like a GET."""
        content = msgspec.json.encode(body)
        return self._retry(lambda: self._read("POST", path, {}, content, limits, decode))

    def post(
        self, path: str, body: object, limits: Sequence[RateLimit], decode: Callable[[bytes], Decoded]
    ) -> tuple[int, Decoded | None]:
        """POSTs a write: the HTTP status, and the decoded answer (None if it is not as `decode` expects).

        Repeats the request only if the marketplace has certainly not processed it (429, connection refused). Raises
        RequestRefusedError on a 4xx answer, and AnswerLostError if the marketplace may have done it.
        """
        content = msgspec.json.encode(body)
        status, answer = self._retry(lambda: self._exchange("POST", path, {}, content, limits), is_write=True)
        try:
            return status, self._decoded(answer, decode, path)
        except _TransientError:
            return status, None

    def _retry(self, call: Callable[[], Result], *, is_write: bool = False) -> Result:
        """The result of `call`, which is tried up to MAX_TRIES times; a write only while it is certainly not done."""
        try:
            return call()
        except _TransientError as error:
            first_error = error

        def backoff(error: Exception) -> bool | float:
            if not isinstance(error, _TransientError) or (is_write and not error.certainly_not_done):
                return False
            return True if error.wait_seconds is None else error.wait_seconds

        # stamina takes over after the first failure only: it costs 30 µs per call, and its import 25 ms per process.
        import stamina

        attempts = stamina.retry_context(
            on=backoff,
            attempts=MAX_TRIES,
            timeout=None,
            wait_initial=FIRST_BACKOFF_SECONDS,
            wait_max=MAX_BACKOFF_SECONDS,
            wait_jitter=BACKOFF_JITTER_SECONDS,
        )
        try:
            for attempt in attempts:
                with attempt:
                    if attempt.num == 1:
                        raise first_error
                    self._count(retries=1)
                    return call()
        except _TransientError as error:
            if backoff(error) is False:
                raise AnswerLostError(str(error)) from None
            raise error.final(
                f"{error} ({MAX_TRIES} tries)", status=error.status, concerns_all_calls=error.certainly_not_done
            ) from None
        raise AssertionError("unreachable")

    def _read(
        self,
        method: str,
        path: str,
        params: Params,
        content: bytes | None,
        limits: Sequence[RateLimit],
        decode: Callable[[bytes], Decoded],
    ) -> Decoded:
        return self._decoded(self._exchange(method, path, params, content, limits)[1], decode, path)

    def now(self) -> datetime:
        """The time in UTC by the marketplace's clock, from the Date header of its answers; ours before the first."""
        return datetime.now(UTC) + self._clock_offset

    def metrics(self) -> dict[str, float]:
        """calls, throttled_seconds, retries, too_many_requests and received_bytes since the client was made."""
        with self._lock:
            return dict(self._counts)

    def close(self) -> None:
        """Closes the connections to the marketplace and that of the rate limiter."""
        self._http.close()
        self.rate_limiter.close()

    def _exchange(
        self,
        method: str,
        path: str,
        params: Params,
        content: bytes | None,
        limits: Sequence[RateLimit],
    ) -> tuple[int, bytes]:
        url = httpx.URL(f"{self.base_url}{path}?{urlencode(params)}" if params else self.base_url + path)
        for _ in range(MAX_REDIRECTS + 1):
            self._count(throttled_seconds=self.rate_limiter.wait(limits), calls=1)
            try:
                with contextlib.closing(self._send(method, url, content)) as response:
                    body = self._bounded(response, path)
            except httpx.TransportError as error:
                reason = str(error).strip() or type(error).__name__
                raise _TransientError(
                    f"{self.host} does not answer {method} {path}: {reason}",
                    certainly_not_done=isinstance(error, httpx.ConnectError),
                ) from error
            self._read_clock(response)
            self._obey_rate_limit_headers(response)
            if response.is_redirect and method == "GET":
                url = self._redirected(url, response, path)
                continue
            self._raise_for_status(response, body, method, path)
            return response.status_code, body
        raise BadAnswerError(f"{self.host} redirects {path} more than {MAX_REDIRECTS} times.")

    def _send(self, method: str, url: httpx.URL, content: bytes | None) -> httpx.Response:
        """The answer, its body not read yet."""
        headers = self._headers if content is None else [*self._headers, ("Content-Type", "application/json")]
        auth_flow = self.auth.sync_auth_flow(httpx.Request(method, url, headers=headers, content=content))
        try:
            request = next(auth_flow)
            while True:
                request.extensions["timeout"] = self._timeout
                response = self._http.handle_request(request)
                try:
                    request = auth_flow.send(response)
                except StopIteration:
                    return response
                except BaseException:
                    response.close()
                    raise
                response.close()
        finally:
            auth_flow.close()

    def _bounded(self, response: httpx.Response, path: str) -> bytes:
        """The body of an answer. Raises BadAnswerError if it is too large, _TransientError if it takes too long."""
        deadline = time.monotonic() + MAX_ANSWER_SECONDS
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise BadAnswerError(
                    f"{self.host} answers {path} with more than {MAX_ANSWER_BYTES // 1024**2} MB; that is too much."
                )
            if time.monotonic() > deadline:
                raise _TransientError(f"{self.host} needs more than {MAX_ANSWER_SECONDS:.0f} s to answer {path}")
            chunks.append(chunk)
        self._count(received_bytes=size)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _decoded(self, body: bytes, decode: Callable[[bytes], Decoded], path: str) -> Decoded:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = "an HTML page" if body.lstrip()[:1] == b"<" else f"no valid JSON of its contract ({error})"
            raise _TransientError(f"{self.host} answers {path} with {what}", final=BadAnswerError) from None

    def _redirected(self, url: httpx.URL, response: httpx.Response, path: str) -> httpx.URL:
        target = url.join(response.headers.get("Location", ""))
        if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
            raise BadAnswerError(f"{self.host} redirects {path} to another host ({target.host}): not followed.")
        return target

    def _raise_for_status(self, response: httpx.Response, body: bytes, method: str, path: str) -> None:
        status = response.status_code
        if status < 300:
            return
        message = error_text(body)
        where = f"{self.host} answers {method} {path} with {status}"
        if status == 429:
            self._count(too_many_requests=1)
            wait_seconds = self._penalty_of(response)
            if wait_seconds > MAX_PENALTY_SECONDS:
                raise MarketplaceUnavailableError(
                    f"{where} and asks to wait {wait_seconds:.0f} s: {message}", status=status, concerns_all_calls=True
                )
            self.rate_limiter.block(wait_seconds)
            raise _TransientError(
                f"{where}: {message}", wait_seconds=wait_seconds, certainly_not_done=True, status=status
            )
        if status >= 500:
            raise _TransientError(f"{where}: {message}", status=status)
        if status in (401, 403):
            html = body.lstrip()[:1] == b"<"
            hint = (
                "its firewall blocks us; ray " + response.headers.get("cf-ray", "unknown")
                if html
                else f"the credential is wrong or lacks a right: {message}"
            )
            raise CredentialRefusedError(f"{where}: {hint}", status)
        if status == 404:
            raise RecordNotFoundError(f"{where}: {message}", status)
        raise RequestRefusedError(f"{where}: {message}", status)

    def _penalty_of(self, response: httpx.Response) -> float:
        """The seconds to wait after a 429: those of its Retry-After, else the published penalty."""
        named = retry_after(response.headers.get("Retry-After"), self.now())
        return self.penalty_seconds if named is None else named

    def _read_clock(self, response: httpx.Response) -> None:
        with contextlib.suppress(KeyError, ValueError, TypeError):
            their_time = parsedate_to_datetime(response.headers["Date"])
            offset = their_time - datetime.now(UTC)
            # The header has whole seconds: only what exceeds that is a difference of clocks.
            self._clock_offset = offset if abs(offset) > timedelta(seconds=2) else timedelta(0)

    def _obey_rate_limit_headers(self, response: httpx.Response) -> None:
        """Stops the account's calls until the limit resets once few are left: other connections still need those."""
        names = self.rate_limit_headers
        if names is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            remaining, reset = int(response.headers[names.remaining]), float(response.headers[names.reset])
            limit = int(response.headers.get(names.limit, "0"))
            if remaining <= min(2 * self.connections, limit // 4):
                wait = min(MAX_PENALTY_SECONDS, reset - self.now().timestamp())
                if wait > 0:
                    self.rate_limiter.block(wait)

    def _count(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] += amount


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds to wait by a Retry-After header, which holds seconds or an HTTP date (RFC 9110, 10.2.3).

    None if it holds neither. `now`: the time by the marketplace's clock.
    """
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


class _Error(msgspec.Struct, gc=False):
    """One error of any of the envelopes. Other fields may be about a buyer and are not read."""

    code: str | int | None = None
    type: str | None = None
    title: str | None = None
    message: str | None = None
    detail: str | None = None


class _ErrorAnswer(_Error, gc=False):
    error: _Error | str | None = None
    errors: list[_Error | str] | None = None


_PERSONAL = re.compile(r"[^\s@]+@[^\s@]+|\+?\d[\d\s().-]{7,}\d")


def error_text(body: bytes) -> str:
    """The code and message of an error answer in one line of at most 300 characters, without buyers' data.

    Reads three envelopes: RFC 9457 (type, title, detail), {"error": {code, message}} and {"errors": [{code, message}]}.
    Back Market's contract has all three; refurbed's google.rpc.Status has code and message at the top.
    """
    if body.lstrip()[:1] == b"<":
        return "an HTML page"
    try:
        document = msgspec.json.decode(body, type=_ErrorAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no readable JSON"
    errors = document.errors or [document.error if document.error is not None else document]
    text = "; ".join(part for part in map(_one_error_text, errors) if part) or "no reason given"
    return _PERSONAL.sub("…", " ".join(text.split()))[:300]


def _one_error_text(error: _Error | str) -> str:
    if isinstance(error, str):
        return error
    parts = (error.code, error.type, error.title, error.message, error.detail)
    return " ".join(str(part) for part in parts if part not in (None, ""))
