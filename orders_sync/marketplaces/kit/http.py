"""The HTTP client that all adapters share: rate limits, retries where they are safe, bounded answers, clear errors."""

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar, cast
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
from orders_sync.marketplaces.kit.rate_limits import OUTAGE_MINUTES, RateLimit, RateLimiter, longest_wait
from orders_sync.marketplaces.kit.transport import BoundedTransport, BrokenCodingError, TooLargeError, read_body
from orders_sync.model.errors import OrdersSyncError

MAX_ANSWER_BYTES = 20 * 1024 * 1024
"""Bytes of one answer, before and after it is inflated; a page of 50 orders has about 150 kB."""
MAX_ANSWER_SECONDS = 120.0
"""Seconds for one whole answer, headers included, however slowly it arrives."""
MAX_TRIES = 6
"""How often one call is tried before the pass fails, the first try included; more often during an outage."""
CONNECT_TRIES = 3
"""How often one call is tried that finds no server: no wait makes a wrong address or a server that is off better."""
OUTAGE_STATUSES = frozenset([429, 502, 503, 504])
"""Answers that mean `not now`: they are waited for as long as the account's `limits.outage_minutes` says."""
FIRST_BACKOFF_SECONDS = 0.7
"""Seconds before the second try; each further wait is twice as long."""
BACKOFF_JITTER_SECONDS = 1.0
"""Up to so many random seconds are added to each wait, so that connections do not retry at the same moment."""
MAX_BACKOFF_SECONDS = 20.0
MIN_WAIT_SECONDS = 1.0
"""The least wait where the marketplace names one (0, or a moment in the past); twice as long for each one in a row."""
MAX_RETRY_AFTER_SECONDS = 30 * 86_400.0
"""A longer Retry-After counts as this one."""
MAX_REDIRECTS = 3
READ_TIMEOUT_SECONDS = 30.0
"""Seconds for one read of an answer."""
CLOCK_TRUST = timedelta(minutes=5)
"""A marketplace's clock is believed if it differs from ours by no more."""

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

    def clock_problem(self) -> str | None:
        return self.client.clock_problem()

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
        no_server: bool = False,
        outage: bool = False,
        give_up: bool = False,
        final: type[MarketplaceError] = MarketplaceUnavailableError,
        status: int | None = None,
    ):
        """`wait_seconds`: the wait before the next try, where the marketplace named one.

        `certainly_not_done`: the marketplace has not processed the request, so that even a write may be repeated.
        `no_server`: there was no connection. `outage`: the marketplace said `not now` (OUTAGE_STATUSES). `give_up`: the
        next try would come too late for this pass. `final`: the error to raise when all tries are used up.
        `status`: the HTTP status of an error answer.
        """
        super().__init__(problem)
        self.wait_seconds = wait_seconds
        self.certainly_not_done = certainly_not_done
        self.no_server = no_server
        self.outage = outage
        self.give_up = give_up
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
        outage_minutes: float = OUTAGE_MINUTES,
    ) -> None:
        """`connections`: how many requests may be under way at once.

        `penalty_seconds`: how long the account makes no call after a 429 without Retry-After, from the published
        contract. `rate_limit_headers`: the headers that say how many calls are left, where the contract has them.
        `outage_minutes`: the account's setting.
        """
        self.base_url = base_url.rstrip("/")
        self.host = httpx.URL(self.base_url).host
        self.outage_seconds = 60.0 * outage_minutes
        self.longest_wait = longest_wait(outage_minutes)
        self.rate_limiter = rate_limiter
        self.auth = auth
        self.connections = connections
        self.penalty_seconds = penalty_seconds
        self.rate_limit_headers = rate_limit_headers
        self._headers = [("Accept-Encoding", "gzip, deflate"), ("Connection", "keep-alive"), *headers.items()]
        self._timeout = httpx.Timeout(READ_TIMEOUT_SECONDS, connect=10.0).as_dict()
        # The transport alone: cookies, redirects and hooks of httpx.Client are not needed, and take half of its time.
        self._http = BoundedTransport(connections)
        self._lock = threading.Lock()
        self._counts = {
            "calls": 0.0, "throttled_seconds": 0.0, "retries": 0.0, "too_many_requests": 0.0,
            "received_bytes": 0.0,
        }  # fmt: skip
        self._clock_offset = timedelta(0)
        self._odd_offset = timedelta(0)
        """The largest difference of the clocks that was not believed."""
        self._outage_seconds_spent = 0.0
        """The time of the calls that were given up during an outage."""
        self._is_unreachable = False
        """Whether the last call that was given up found no server."""
        self._waits_in_a_row = 0
        self._named_wait_ends = 0.0
        """By time.monotonic()."""

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
        """The result of `call`, which is tried again while that may help; a write only while it is certainly not done.

        A call is tried up to MAX_TRIES times; up to CONNECT_TRIES times if there is no server; and during an outage
        until the account's `outage_minutes` are over, of which those of calls that were given up are used up.
        """
        began = time.monotonic()
        try:
            return call()
        except _TransientError as error:
            first_error = error
        tries = 1

        def backoff(error: Exception) -> bool | float:
            if not isinstance(error, _TransientError) or error.give_up:
                return False
            if is_write and not error.certainly_not_done:
                return False
            if error.outage:
                left = self.outage_seconds - self._outage_seconds_spent - (time.monotonic() - began)
                again = tries < MAX_TRIES or left > 0
            elif error.no_server:
                again = tries < CONNECT_TRIES and not self._is_unreachable
            else:
                again = tries < MAX_TRIES
            return again and (True if error.wait_seconds is None else error.wait_seconds)

        # stamina takes over after the first failure only: it costs 30 µs per call, and its import 25 ms per process.
        import stamina

        attempts = stamina.retry_context(
            on=backoff,
            attempts=None,
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
                    tries = attempt.num
                    self._count(retries=1)
                    return call()
        except _TransientError as error:
            seconds = time.monotonic() - began
            with self._lock:
                self._is_unreachable = self._is_unreachable or error.no_server
                self._outage_seconds_spent += seconds if error.outage else 0.0
            if is_write and not error.certainly_not_done:
                raise AnswerLostError(str(error)) from None
            concerns_all = error.certainly_not_done or error.no_server or error.give_up
            if error.give_up:
                raise error.final(str(error), status=error.status, concerns_all_calls=concerns_all) from None
            during = f" in {seconds:.0f} s" if seconds >= 60 else ""
            raise error.final(
                f"{error} ({tries} {'try' if tries == 1 else 'tries'}{during})",
                status=error.status,
                concerns_all_calls=concerns_all,
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
        """The time in UTC by the marketplace's clock, from the Date header of its answers; ours before the first.

        If the two differ by more than CLOCK_TRUST, nobody knows which one is right: it is the earlier of the two.
        """
        offset = self._clock_offset
        return datetime.now(UTC) + (timedelta(0) if offset > CLOCK_TRUST else offset)

    def clock_problem(self) -> str | None:
        """What was wrong with the marketplace's clock, in one line; None if it could be believed."""
        if not self._odd_offset:
            return None
        direction = "ahead of" if self._odd_offset > timedelta(0) else "behind"
        return (
            f"the clock of {self.host} was {abs(self._odd_offset)} {direction} ours; where they differ by more than "
            f"{CLOCK_TRUST.total_seconds() / 60:.0f} minutes, the earlier one counts"
        )

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
            except (httpx.TransportError, BrokenCodingError) as error:
                raise self._failed(error, url, method, path) from error
            self._is_unreachable = False
            self._read_clock(response)
            self._obey_rate_limit_headers(response)
            if response.status_code not in OUTAGE_STATUSES:
                self._waits_in_a_row = 0
            if response.is_redirect and method == "GET":
                url = self._redirected(url, response, path)
                continue
            self._raise_for_status(response, body, method, path)
            return response.status_code, body
        raise BadAnswerError(f"{self.host} redirects {path} more than {MAX_REDIRECTS} times.")

    def _failed(
        self, error: httpx.TransportError | BrokenCodingError, url: httpx.URL, method: str, path: str
    ) -> _TransientError:
        """What a request without a usable answer means."""
        if isinstance(error, BrokenCodingError):
            return _TransientError(f"{self.host} answers {path} {error}", final=BadAnswerError)
        if isinstance(error, httpx.ReadTimeout):
            seconds = f"within {MAX_ANSWER_SECONDS:.0f} s, or sends nothing for {READ_TIMEOUT_SECONDS:.0f} s"
            return _TransientError(f"{self.host} does not answer {method} {path} {seconds}")
        reason = str(error).strip()
        if not reason or "bytearray" in reason:  # h11 quotes the line that broke the protocol
            reason = type(error).__name__
        no_server = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        port = url.port or (443 if url.scheme == "https" else 80)
        address = f"{self.host}:{port}" if no_server else self.host
        return _TransientError(
            f"{address} does not answer {method} {path}: {reason}", certainly_not_done=no_server, no_server=no_server
        )

    def _send(self, method: str, url: httpx.URL, content: bytes | None) -> httpx.Response:
        """The answer, its body not read yet."""
        headers = self._headers if content is None else [*self._headers, ("Content-Type", "application/json")]
        auth_flow = self.auth.sync_auth_flow(httpx.Request(method, url, headers=headers, content=content))
        self._http.allow(MAX_ANSWER_SECONDS)
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
        """The body of an answer. Raises BadAnswerError if it is too large."""
        try:
            body = read_body(response, MAX_ANSWER_BYTES)
        except TooLargeError:
            raise BadAnswerError(
                f"{self.host} answers {path} with more than {MAX_ANSWER_BYTES // 1024**2} MB; that is too much."
            ) from None
        self._count(received_bytes=len(body))
        return body

    def _decoded(self, body: bytes, decode: Callable[[bytes], Decoded], path: str) -> Decoded:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = "an HTML page" if body.lstrip()[:1] == b"<" else f"no valid JSON of its contract ({error})"
            raise _TransientError(f"{self.host} answers {path} with {what}", final=BadAnswerError) from None

    def _redirected(self, url: httpx.URL, response: httpx.Response, path: str) -> httpx.URL:
        try:
            target = url.join(response.headers.get("Location", ""))
        except httpx.InvalidURL:
            raise BadAnswerError(f"{self.host} redirects {path} to something that is no URL: not followed.") from None
        if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
            raise BadAnswerError(f"{self.host} redirects {path} to another host ({target.host}): not followed.")
        return target

    def _raise_for_status(self, response: httpx.Response, body: bytes, method: str, path: str) -> None:
        status = response.status_code
        if status < 300:
            return
        message = error_code(body)
        where = f"{self.host} answers {method} {path} with {status}"
        if status == 429:
            self._count(too_many_requests=1)
        if status in OUTAGE_STATUSES:
            wait_seconds = self._demanded_wait(response)
            if wait_seconds is not None and wait_seconds > self.longest_wait:
                self.rate_limiter.block(wait_seconds, remember=True)
                raise _TransientError(
                    f"{where} and requests a pause of {wait_seconds:.0f} s, longer than this account's "
                    f"limits.outage_minutes allow: {message}; until then no pass of the account makes a call",
                    certainly_not_done=status == 429,
                    give_up=True,
                    status=status,
                )
            if wait_seconds is not None:
                self.rate_limiter.block(wait_seconds)
            raise _TransientError(
                f"{where}: {message}",
                wait_seconds=wait_seconds,
                certainly_not_done=status == 429,
                outage=True,
                status=status,
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

    def _demanded_wait(self, response: httpx.Response) -> float | None:
        """The seconds to wait by an answer's Retry-After, after a 429 without one by the published penalty.

        At least MIN_WAIT_SECONDS, and longer if the last such wait was followed by no answer but this one.
        """
        named = retry_after(response.headers.get("Retry-After"), _date_of(response) or self.now())
        if named is None and response.status_code == 429:
            named = self.penalty_seconds
        if named is None:
            return None
        with self._lock:
            now = time.monotonic()
            if now >= self._named_wait_ends:  # answers to other connections in the meantime mean the same wait
                self._waits_in_a_row += 1
            wait = max(named, min(MAX_BACKOFF_SECONDS, MIN_WAIT_SECONDS * 2 ** min(self._waits_in_a_row - 1, 10)))
            self._named_wait_ends = now + wait
        return wait

    def _read_clock(self, response: httpx.Response) -> None:
        their_time = _date_of(response)
        if their_time is not None:
            offset = their_time - datetime.now(UTC)
            # The header has whole seconds: only what exceeds that is a difference of clocks.
            self._clock_offset = offset if abs(offset) > timedelta(seconds=2) else timedelta(0)
            if abs(offset) > max(CLOCK_TRUST, abs(self._odd_offset)):
                self._odd_offset = timedelta(minutes=round(offset.total_seconds() / 60))

    def _obey_rate_limit_headers(self, response: httpx.Response) -> None:
        """Stops the account's calls until the limit resets once few are left: other connections still need those."""
        names = self.rate_limit_headers
        if names is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            remaining, reset = int(response.headers[names.remaining]), float(response.headers[names.reset])
            limit = int(response.headers.get(names.limit, "0"))
            if remaining <= min(2 * self.connections, limit // 4):
                wait = min(self.longest_wait, reset - (_date_of(response) or self.now()).timestamp())
                if wait > 0:
                    self.rate_limiter.block(wait)

    def _count(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] += amount


def _date_of(response: httpx.Response) -> datetime | None:
    """The time in UTC at which the marketplace answered, by its clock; None if it does not say."""
    try:
        at = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds to wait by a Retry-After header, which holds seconds or an HTTP date (RFC 9110, 10.2.3).

    None if it holds neither. `now`: the time by the marketplace's clock.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    try:
        seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


class _Error(msgspec.Struct, gc=False):
    """The published codes of one error of any of the envelopes. Its texts may be about a buyer, and are not read."""

    code: object = None
    type: object = None


class _ErrorAnswer(_Error, gc=False):
    error: object = None
    errors: object = None


_CODE = re.compile(r"[A-Za-z/][A-Za-z0-9_.:/#-]{0,99}|\d{1,6}")
"""What a published code looks like; nothing with a space or an at sign, and no number as long as a telephone's."""
_MAX_CODES = 3


def error_code(body: bytes) -> str:
    """The published codes of an error answer, in one line; none of its texts, which may be about a buyer.

    Reads three envelopes: RFC 9457 (type), {"error": {code}} and {"errors": [{code}]}. Back Market's contract has all
    three; refurbed's google.rpc.Status has its code at the top.
    """
    if body.lstrip()[:1] == b"<":
        return "an HTML page"
    try:
        document = msgspec.json.decode(body, type=_ErrorAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no readable JSON"
    listed = cast("list[object]", document.errors) if isinstance(document.errors, list) else [document.error]  # pyright: ignore[reportUnknownMemberType]
    envelopes = [document, *(_as_error(each) for each in listed)]
    values = [value for error in envelopes for value in (error.code, error.type)]
    codes = [str(value) for value in values if isinstance(value, str | int) and _CODE.fullmatch(str(value))]
    return " ".join(list(dict.fromkeys(codes))[:_MAX_CODES]) or "no code given"


def _as_error(value: object) -> _Error:
    try:
        return msgspec.convert(value, _Error)
    except msgspec.ValidationError:
        return _Error()
