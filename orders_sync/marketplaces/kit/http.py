"""The HTTP side that all adapters share: pace, retries where they are safe, bounded answers, clear errors."""

import contextlib
import random
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

MAX_ANSWER_BYTES = 20 * 1024 * 1024
"""Bytes; a page of 50 orders has some 150 kB."""
MAX_ANSWER_SECONDS = 120.0
"""Seconds for a whole answer, however slowly it drips."""
MAX_TRIES = 6
MAX_BACKOFF_SECONDS = 20.0
MAX_PENALTY_SECONDS = 900.0
"""Seconds; a Retry-After beyond is told as an error instead of waited for."""
REDIRECTS = 3

Decoded = TypeVar("Decoded")
Params = Mapping[str, str] | Sequence[tuple[str, str]]


class RateLimitHeaders(NamedTuple):
    """The response headers that tell a rate limit: the limit, the calls left, and when it resets (unix time)."""

    limit: str = "X-RateLimit-Limit"
    remaining: str = "X-RateLimit-Remaining"
    reset: str = "X-RateLimit-Reset"


class HttpAdapter:
    """The part of an adapter that is the same for all that speak HTTP."""

    def __init__(self, client: "MarketplaceClient") -> None:
        self.client = client

    def now(self) -> datetime:
        return self.client.now()

    def metrics(self) -> Mapping[str, float]:
        return self.client.metrics()

    def close(self) -> None:
        self.client.close()


class _TryAgain(Exception):
    def __init__(
        self, problem: str, *, wait: float | None = None, final: type[MarketplaceError] = MarketplaceUnavailableError
    ):
        super().__init__(problem)
        self.wait = wait
        self.final = final


class MarketplaceClient:
    """An HTTP client of one account at one marketplace. May be used from several threads."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        pace: RateLimiter,
        *,
        auth: httpx.Auth,
        connections: int,
        penalty: float,
        rate_limit_headers: RateLimitHeaders | None = None,
        backoff: float = 0.5,
    ) -> None:
        """`penalty`: seconds to keep still after a 429 that names no time, from the published contract.

        `signalled`: the headers by which the marketplace tells how many calls are left, where it does.
        """
        self.base_url = base_url.rstrip("/")
        self.host = httpx.URL(self.base_url).host
        self.pace = pace
        self.auth = auth
        self.connections = connections
        self.penalty = penalty
        self.rate_limit_headers = rate_limit_headers
        self.backoff = backoff
        self._headers = [("Accept-Encoding", "gzip, deflate"), ("Connection", "keep-alive"), *headers.items()]
        self._timeout = httpx.Timeout(30.0, connect=10.0).as_dict()
        # The transport alone: cookies, redirects and hooks of httpx.Client are not wanted, and cost half of its time.
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
        """GETs and decodes; repeats what is safe to repeat. Raises a MarketplaceError told in one line."""
        return self._repeatable("GET", path, params, None, limits, decode)

    def ask(self, path: str, body: object, limits: Sequence[RateLimit], decode: Callable[[bytes], Decoded]) -> Decoded:
        """A POST that only reads (as gRPC transports have it): repeated like a GET."""
        return self._repeatable("POST", path, {}, msgspec.json.encode(body), limits, decode)

    def _repeatable(
        self,
        method: str,
        path: str,
        params: Params,
        content: bytes | None,
        limits: Sequence[RateLimit],
        decode: Callable[[bytes], Decoded],
    ) -> Decoded:
        for attempt in range(1, MAX_TRIES + 1):
            try:
                body = self._exchange(method, path, params, content, limits)[1]
                return self._decoded(body, decode, path)
            except _TryAgain as problem:
                if attempt == MAX_TRIES:
                    raise problem.final(f"{problem} ({MAX_TRIES} tries)") from None
                self._count(retries=1)
                time.sleep(problem.wait if problem.wait is not None else self._jittered(attempt))
        raise AssertionError("unreachable")

    def post(
        self, path: str, body: object, limits: Sequence[RateLimit], decode: Callable[[bytes], Decoded]
    ) -> tuple[int, Decoded | None]:
        """POSTs once. Repeats only what was certainly not done (429, connection refused).

        Raises Refused on a 4xx answer, and AnswerLostError when the marketplace may have done it.
        """
        content = msgspec.json.encode(body)
        for attempt in range(1, MAX_TRIES + 1):
            try:
                status, answer = self._exchange("POST", path, {}, content, limits)
            except _TryAgain as problem:
                if not isinstance(problem.__cause__, httpx.ConnectError) and problem.wait is None:
                    raise AnswerLostError(str(problem)) from None
                if attempt == MAX_TRIES:
                    raise problem.final(f"{problem} ({MAX_TRIES} tries)") from None
                self._count(retries=1)
                time.sleep(problem.wait if problem.wait is not None else self._jittered(attempt))
                continue
            try:
                return status, self._decoded(answer, decode, path)
            except _TryAgain:
                return status, None
        raise AssertionError("unreachable")

    def now(self) -> datetime:
        """The marketplace's clock, from the Date header of its answers."""
        return datetime.now(UTC) + self._clock_offset

    def metrics(self) -> dict[str, float]:
        with self._lock:
            return dict(self._counts)

    def close(self) -> None:
        self._http.close()
        self.pace.close()

    def _exchange(
        self,
        method: str,
        path: str,
        params: Params,
        content: bytes | None,
        limits: Sequence[RateLimit],
    ) -> tuple[int, bytes]:
        url = httpx.URL(f"{self.base_url}{path}?{urlencode(params)}" if params else self.base_url + path)
        for _ in range(REDIRECTS + 1):
            self._count(throttled_seconds=self.pace.wait(limits), calls=1)
            try:
                with contextlib.closing(self._send(method, url, content)) as response:
                    body = self._bounded(response, path)
            except httpx.TransportError as error:
                reason = str(error).strip() or type(error).__name__
                raise _TryAgain(f"{self.host} does not answer {method} {path}: {reason}") from error
            self._read_clock(response)
            self._obey_rate_limit_headers(response)
            if response.is_redirect and method == "GET":
                url = self._redirected(url, response, path)
                continue
            self._raise_for_status(response, body, method, path)
            return response.status_code, body
        raise BadAnswerError(f"{self.host} redirects {path} more than {REDIRECTS} times.")

    def _send(self, method: str, url: httpx.URL, content: bytes | None) -> httpx.Response:
        """The answer, whose body is not read yet."""
        headers = self._headers if content is None else [*self._headers, ("Content-Type", "application/json")]
        steps = self.auth.sync_auth_flow(httpx.Request(method, url, headers=headers, content=content))
        try:
            request = next(steps)
            while True:
                request.extensions["timeout"] = self._timeout
                response = self._http.handle_request(request)
                try:
                    request = steps.send(response)
                except StopIteration:
                    return response
                except BaseException:
                    response.close()
                    raise
                response.close()
        finally:
            steps.close()

    def _bounded(self, response: httpx.Response, path: str) -> bytes:
        deadline = time.monotonic() + MAX_ANSWER_SECONDS
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise BadAnswerError(
                    f"{self.host} answers {path} with more than {MAX_ANSWER_BYTES // 1024**2} MB; allowed is less."
                )
            if time.monotonic() > deadline:
                raise _TryAgain(f"{self.host} needs more than {MAX_ANSWER_SECONDS:.0f} s to answer {path}")
            chunks.append(chunk)
        self._count(received_bytes=size)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _decoded(self, body: bytes, decode: Callable[[bytes], Decoded], path: str) -> Decoded:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = "an HTML page" if body.lstrip()[:1] == b"<" else f"no valid JSON of its contract ({error})"
            raise _TryAgain(f"{self.host} answers {path} with {what}", final=BadAnswerError) from None

    def _redirected(self, url: httpx.URL, response: httpx.Response, path: str) -> httpx.URL:
        target = url.join(response.headers.get("Location", ""))
        if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
            raise BadAnswerError(f"{self.host} redirects {path} to another host ({target.host}): not followed.")
        return target

    def _raise_for_status(self, response: httpx.Response, body: bytes, method: str, path: str) -> None:
        status = response.status_code
        if status < 300:
            return
        said = error_text(body)
        where = f"{self.host} answers {method} {path} with {status}"
        if status == 429:
            self._count(too_many_requests=1)
            wait = retry_after(response.headers.get("Retry-After"), self.now())
            wait = self.penalty if wait is None else wait
            if wait > MAX_PENALTY_SECONDS:
                raise MarketplaceUnavailableError(f"{where} and asks to wait {wait:.0f} s: {said}")
            self.pace.block(wait)
            raise _TryAgain(f"{where}: {said}", wait=wait)
        if status >= 500:
            raise _TryAgain(f"{where}: {said}")
        if status in (401, 403):
            html = body.lstrip()[:1] == b"<"
            hint = (
                "its firewall blocks us; ray " + response.headers.get("cf-ray", "unknown")
                if html
                else f"the credential is wrong or lacks a right: {said}"
            )
            raise CredentialRefusedError(f"{where}: {hint}", status)
        if status == 404:
            raise RecordNotFoundError(f"{where}: {said}", status)
        raise RequestRefusedError(f"{where}: {said}", status)

    def _read_clock(self, response: httpx.Response) -> None:
        with contextlib.suppress(KeyError, ValueError, TypeError):
            told = parsedate_to_datetime(response.headers["Date"])
            offset = told - datetime.now(UTC)
            # The header has whole seconds: only what exceeds that is a difference of clocks.
            self._clock_offset = offset if abs(offset) > timedelta(seconds=2) else timedelta(0)

    def _obey_rate_limit_headers(self, response: httpx.Response) -> None:
        """Keeps still until the limit resets once few calls are left: those under way elsewhere need them."""
        if self.rate_limit_headers is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            headers = response.headers
            remaining, reset = (
                int(headers[self.rate_limit_headers.remaining]),
                float(headers[self.rate_limit_headers.reset]),
            )
            limit = int(headers.get(self.rate_limit_headers.limit, "0"))
            if remaining <= min(2 * self.connections, limit // 4):
                wait = min(MAX_PENALTY_SECONDS, reset - self.now().timestamp())
                if wait > 0:
                    self.pace.block(wait)

    def _jittered(self, attempt: int) -> float:
        return min(MAX_BACKOFF_SECONDS, self.backoff * 2**attempt) * random.uniform(0.5, 1.0)

    def _count(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] += amount


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (seconds or an HTTP date, RFC 9110); None if it says nothing."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


class _Error(msgspec.Struct, gc=False):
    """One error of any of the envelopes; what else it holds may be about a buyer, and is not read."""

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
    """What an error answer says, in one short line: code and message of the known envelopes, never its data.

    Envelopes: RFC 7807 (type, title, detail), {"error": {code, message}}, {"errors": [{code, message}]}; Back
    Market's contract has all three.
    """
    if body.lstrip()[:1] == b"<":
        return "an HTML page"
    try:
        document = msgspec.json.decode(body, type=_ErrorAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no JSON of a known form"
    errors = document.errors or [document.error if document.error is not None else document]
    text = "; ".join(part for part in map(_told, errors) if part) or "no reason given"
    return _PERSONAL.sub("…", " ".join(text.split()))[:300]


def _told(error: "_Error | str") -> str:
    if isinstance(error, str):
        return error
    parts = (error.code, error.type, error.title, error.message, error.detail)
    return " ".join(str(part) for part in parts if part not in (None, ""))
