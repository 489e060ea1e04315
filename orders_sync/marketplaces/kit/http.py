"""The HTTP client that all adapters share: rate limits, retries where they are safe, bounded answers, clear errors."""

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from orders_sync.lanes.error_answers import ErrorAnswer
from orders_sync.lanes.lock import held_lanes
from orders_sync.marketplaces.kit.adapter import AcceptanceAnswer, AcceptanceTarget
from orders_sync.marketplaces.kit.calls import READ_TIMEOUT_SECONDS, Call, no_answer
from orders_sync.marketplaces.kit.clock import MarketplaceClock
from orders_sync.marketplaces.kit.error_answers import ErrorAnswers
from orders_sync.marketplaces.kit.error_codes import error_code, firewall_ray
from orders_sync.marketplaces.kit.errors import (
    AnswerLostError,
    AnswerTooLargeError,
    BadAnswerError,
    BlockedByFirewallError,
    CredentialRefusedError,
    RecordNotFoundError,
    RequestRefusedError,
    without_method,
)
from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS, TooManyValuesError
from orders_sync.marketplaces.kit.links import origin, origin_of, read_url
from orders_sync.marketplaces.kit.other_hosts import MAX_DOCUMENT_BYTES, OtherHosts, url_of_document
from orders_sync.marketplaces.kit.pauses import MAX_RETRY_AFTER_SECONDS, RequestedPauses
from orders_sync.marketplaces.kit.rate_limits import OUTAGE_MINUTES, RateLimit, RateLimiter, longest_wait
from orders_sync.marketplaces.kit.retries import Retries, TransientError
from orders_sync.marketplaces.kit.transport import (
    BEGINNING_BYTES,
    BoundedTransport,
    BrokenCodingError,
    TooLargeError,
    read_body,
)
from orders_sync.marketplaces.kit.waits import waiting
from orders_sync.model.known_credentials import note_password_of
from orders_sync.model.shown_ids import shown_id

ANSWER_MEGABYTES = 20
"""Megabytes of one answer, before and after it is inflated; a page of 50 orders has about 150 kB."""
MAX_ANSWER_SECONDS = 120.0
"""Seconds for one whole answer, headers included, however slowly it arrives."""
OUTAGE_STATUSES = frozenset([429, 502, 503, 504])
"""Answers that mean `not now`: they are waited for as long as the account's `limits.outage_minutes` says."""
MAX_REDIRECTS = 3

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


class RedirectedElsewhereError(BadAnswerError):
    """An answer redirects to another host than the account's own. It was not followed."""

    def __init__(self, message: str, target: httpx.URL) -> None:
        super().__init__(message)
        self.target = target


class HttpAdapter:
    """The part of an adapter that is the same for all marketplaces that speak HTTP."""

    order_struct: type[msgspec.Struct] | None = None
    care_struct: type[msgspec.Struct] | None = None
    document_limits: Sequence[RateLimit] = ()
    """The limits that the download of a document from the marketplace's own host counts against."""

    def __init__(self, client: "MarketplaceClient") -> None:
        self.client = client

    # The two writes. A marketplace whose contract lacks one is registered without its unit, and no pass plans such a
    # request then (passes/acceptance_plan.py). A call shows that the registration is wrong; nothing was sent, and the
    # other orders go on.

    def accept(self, target: AcceptanceTarget, item_ids: Sequence[str]) -> AcceptanceAnswer:
        raise without_method("accept", "acceptance_unit")

    def refuse(
        self, target: AcceptanceTarget, item_ids: Sequence[str], accepted_ids: Sequence[str] = ()
    ) -> AcceptanceAnswer:
        raise without_method("refuse", "refusal_unit")

    def now(self) -> datetime:
        return self.client.now()

    def latest_time(self) -> datetime:
        return self.client.latest_time()

    def clock_problem(self) -> str | None:
        return self.client.clock_problem()

    def metrics(self) -> Mapping[str, float]:
        return self.client.metrics()

    def take_error_answers(self) -> Sequence[ErrorAnswer]:
        """The error answers since the last time, for whoever keeps them as evidence."""
        return self.client.error_answers.take()

    def download(self, url: str, hosts: Collection[str]) -> bytes:
        return self.client.download(url, self.document_limits, hosts)

    def close(self) -> None:
        self.client.close()


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
        answer_megabytes: int = ANSWER_MEGABYTES,
    ) -> None:
        """`connections`: how many requests may be under way at once.

        `penalty_seconds`: how long the account makes no call after a 429 without Retry-After, from the published
        contract. `rate_limit_headers`: the headers that say how many calls are left, where the contract has them.
        `outage_minutes` and `answer_megabytes`: the account's settings, of `limits`.
        """
        note_password_of(base_url)
        self.base_url = base_url.rstrip("/")
        self.host = origin_of(self.base_url).host
        self.answer_megabytes = answer_megabytes
        self.longest_wait = longest_wait(outage_minutes)
        self.rate_limiter = rate_limiter
        self.auth = auth
        self.connections = connections
        self.rate_limit_headers = rate_limit_headers
        # Encoded once: each request copies them.
        self._headers = httpx.Headers(
            [("Accept-Encoding", "gzip, deflate"), ("Connection", "keep-alive"), *headers.items()]
        )
        self._json_headers = httpx.Headers([*self._headers.multi_items(), ("Content-Type", "application/json")])
        self._timeout = httpx.Timeout(READ_TIMEOUT_SECONDS, connect=10.0).as_dict()
        # The transport alone: cookies, redirects and hooks of httpx.Client are not needed, and take half of its time.
        self._http = BoundedTransport(connections)
        # Threads that an adapter starts itself work for no lane that they know.
        self._lanes = held_lanes()
        self._lock = threading.Lock()
        self._counts = {"calls": 0.0, "throttled_seconds": 0.0, "too_many_requests": 0.0, "received_bytes": 0.0}
        self._clock = MarketplaceClock(self.host)
        self._other_hosts = OtherHosts(self.base_url)
        self._retries = Retries(60.0 * outage_minutes)
        self._pauses = RequestedPauses(self._clock, penalty_seconds)
        self.error_answers = ErrorAnswers()

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
        call = Call("GET", self._url(path, params), path, limits)
        return self._retries.run(lambda: self._decoded(self._exchange(call), decode, call))

    def query(
        self, path: str, body: object, limits: Sequence[RateLimit], decode: Callable[[bytes], Decoded]
    ) -> Decoded:
        """The decoded answer to a POST that only reads (the JSON form of gRPC reads so). Repeated like a GET."""
        call = Call("POST", self._url(path, {}), path, limits, msgspec.json.encode(body))
        return self._retries.run(lambda: self._decoded(self._exchange(call), decode, call))

    def post(
        self, path: str, body: object, limits: Sequence[RateLimit], decode: Callable[[bytes], Decoded]
    ) -> tuple[int, Decoded | None]:
        """POSTs a write: the HTTP status, and the decoded answer (None if it is not as `decode` expects).

        Repeats the request only if the marketplace has certainly not processed it (429, connection refused). Raises
        RequestRefusedError on a 4xx answer, and AnswerLostError if the marketplace may have done it.
        """
        call = Call("POST", self._url(path, {}), path, limits, msgspec.json.encode(body))
        answer = self._write(call)
        try:
            return answer[0], self._decoded(answer, decode, call)
        except (TransientError, AnswerTooLargeError):
            return answer[0], None

    def put(self, path: str, params: Params, body: object, limits: Sequence[RateLimit]) -> int:
        """PUTs a write, like `post`; returns the HTTP status. The content of the answer is not used."""
        return self._write(Call("PUT", self._url(path, params), path, limits, msgspec.json.encode(body)))[0]

    def _write(self, call: Call) -> tuple[int, bytes]:
        try:
            return self._retries.run(lambda: self._exchange(call, is_write=True), is_write=True)
        except AnswerTooLargeError as error:
            raise AnswerLostError(str(error)) from None

    def download(self, url: str, limits: Sequence[RateLimit], hosts: Collection[str]) -> bytes:
        """The content at the URL of a document, at most MAX_DOCUMENT_BYTES.

        Only a request to the account's own scheme, host and port carries the credential, and counts against `limits`.
        `hosts`: those from which documents may be fetched as well, as in `document_hosts`. Repeated like a GET. Raises
        a MarketplaceError whose text names neither path nor query, which may hold a signature or the buyer's name.
        """
        target = url_of_document(url)
        if origin(target) == origin_of(self.base_url):
            call = Call("GET", target, "", limits, is_document=True)
            try:
                return self._retries.run(lambda: self._exchange(call)[1])
            except RedirectedElsewhereError as redirected:
                target = redirected.target
        return self._other_hosts.get(target, hosts)

    def now(self) -> datetime:
        """The time in UTC by the marketplace's clock; see MarketplaceClock."""
        return self._clock.now()

    def latest_time(self) -> datetime:
        """The latest time in UTC that it can be; see MarketplaceClock."""
        return self._clock.latest()

    def clock_problem(self) -> str | None:
        """What was wrong with the marketplace's clock, in one line; None if it could be believed."""
        return self._clock.problem()

    def metrics(self) -> dict[str, float]:
        """calls, throttled_seconds, retries, too_many_requests and received_bytes since the client was made."""
        with self._lock:
            return {**self._counts, "retries": float(self._retries.count)}

    def close(self) -> None:
        """Closes the connections to the marketplace and that of the rate limiter."""
        self._http.close()
        self._other_hosts.close()
        self.rate_limiter.close()

    def _exchange(self, call: Call, *, is_write: bool = False) -> tuple[int, bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            self._count(throttled_seconds=self.rate_limiter.wait(call.limits), calls=1)
            self._lanes.check_noticed()
            try:
                with (
                    waiting(f"the answer to {call.method} {call.name}", MAX_ANSWER_SECONDS),
                    contextlib.closing(self._send(call, is_write=is_write)) as response,
                ):
                    body = self._bounded(response, call)
            except (httpx.TransportError, BrokenCodingError) as error:
                raise no_answer(error, self.host, call, MAX_ANSWER_SECONDS) from error
            self._retries.note_answer()
            self._clock.read(response)
            self._obey_rate_limit_headers(response)
            if response.status_code not in OUTAGE_STATUSES:
                self._pauses.reset()
            if response.is_redirect and call.method == "GET":
                call = call._replace(url=self._redirected(response, call))
                continue
            self._raise_for_status(response, body, call)
            return response.status_code, body
        raise BadAnswerError(f"{self.host} redirects {call.name} more than {MAX_REDIRECTS} times.")

    def _url(self, path: str, params: Params) -> httpx.URL:
        """The URL of a request. Raises BadAnswerError unless it is at the account's own `base_url`.

        A path may have come from the marketplace. With another host or port, the credential would go there too.
        """
        try:
            url = read_url(f"{self.base_url}{path}?{urlencode(params)}" if params else self.base_url + path)
        except ValueError:
            raise BadAnswerError(f"A request to {self.host} has a path that is no part of a URL: not sent.") from None
        # What follows the "?" changes no origin: that of a list is the same for each page.
        goes_to = origin_of(self.base_url + path) if params else origin(url)
        if not path.startswith("/") or goes_to != origin_of(self.base_url):
            raise BadAnswerError(
                f"A request to {self.host} has a path that does not begin with '/', or leads to another host or port: "
                "not sent."
            )
        return url

    def _send(self, call: Call, *, is_write: bool) -> httpx.Response:
        """The answer, its body not read yet."""
        headers = self._headers if call.content is None else self._json_headers
        request = httpx.Request(call.method, call.url, headers=headers, content=call.content)
        if call.is_document:
            request.headers["Accept"] = "*/*"
        if is_write:
            request.extensions["trace"] = self._check_lanes
        auth_flow = self.auth.sync_auth_flow(request)
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

    def _check_lanes(self, step: str, _: Mapping[str, object]) -> None:
        """Keeps a write from being sent once a lane is lost: to connect, or to fetch a token, may have taken long."""
        if step.endswith("send_request_headers.started"):
            self._lanes.check()

    def _bounded(self, response: httpx.Response, call: Call) -> bytes:
        """The body of an answer. Raises AnswerTooLargeError; BadAnswerError for a document that is too large."""
        if call.is_document:
            return self._bounded_document(response, call)
        try:
            body = read_body(response, self.answer_megabytes * 1024 * 1024)
        except TooLargeError as error:
            raise AnswerTooLargeError(
                f"{self.host} answers {call.name} with more than {self.answer_megabytes} MB, which is the account's "
                "limits.answer_megabytes",
                error.beginning,
                "Set limits.answer_megabytes in the account's file to a larger number (reading takes several times as "
                "much memory), or let the marketplace shorten the record.",
            ) from None
        self._count(received_bytes=len(body))
        return body

    def _bounded_document(self, response: httpx.Response, call: Call) -> bytes:
        try:
            body = read_body(response, MAX_DOCUMENT_BYTES)
        except TooLargeError:
            raise BadAnswerError(
                f"{self.host} answers {call.name} with more than {MAX_DOCUMENT_BYTES // 1024**2} MB; that is too much."
            ) from None
        self._count(received_bytes=len(body))
        return body

    def _decoded(self, answer: tuple[int, bytes], decode: Callable[[bytes], Decoded], call: Call) -> Decoded:
        status, body = answer
        try:
            return decode(body)
        except TooManyValuesError as error:
            raise AnswerTooLargeError(
                f"{self.host} answers {call.name} with {error}",
                body[:BEGINNING_BYTES],
                "Let the marketplace correct the record.",
            ) from None
        except DECODE_ERRORS as error:
            self.error_answers.note(call, status, {}, body)
            what = "an HTML page" if body.lstrip()[:1] == b"<" else f"no valid JSON of its contract ({error})"
            raise TransientError(f"{self.host} answers {call.name} with {what}", final=BadAnswerError) from None

    def _redirected(self, response: httpx.Response, call: Call) -> httpx.URL:
        try:
            target = read_url(response.headers.get("Location", ""), call.url)
        except ValueError:
            self.error_answers.note(call, response.status_code, response.headers, b"")
            raise BadAnswerError(
                f"{self.host} redirects {call.name} to something that is no URL: not followed."
            ) from None
        if origin(target) != origin(call.url):
            self.error_answers.note(call, response.status_code, response.headers, b"")
            raise RedirectedElsewhereError(
                f"{self.host} redirects {call.name} to another host ({shown_id(target.host)}): not followed.", target
            )
        return target

    def _raise_for_status(self, response: httpx.Response, body: bytes, call: Call) -> None:
        status = response.status_code
        if status < 300:
            return
        self.error_answers.note(call, status, response.headers, body)
        message = error_code(body)
        where = f"{self.host} answers {call.method} {call.name} with {status}"
        if status == 429:
            self._count(too_many_requests=1)
        if status in OUTAGE_STATUSES:
            pause = self._pauses.after(response)
            if pause is not None and pause > self.longest_wait:
                self.rate_limiter.block(pause, remember=True)
                or_more = " or more" if pause >= MAX_RETRY_AFTER_SECONDS else ""
                raise TransientError(
                    f"{where} and requests a pause of {pause:.0f} s{or_more}, longer than this account's "
                    f"limits.outage_minutes allow: {message}; until then no pass of the account makes a call",
                    certainly_not_done=status == 429,
                    give_up=True,
                    status=status,
                )
            if pause is not None:
                self.rate_limiter.block(pause)
            raise TransientError(
                f"{where}: {message}",
                wait_seconds=pause,
                certainly_not_done=status == 429,
                outage=True,
                status=status,
            )
        if status >= 500:
            raise TransientError(f"{where}: {message}", status=status)
        if status in (401, 403):
            if body.lstrip()[:1] == b"<":
                ray = firewall_ray(response.headers)
                raise BlockedByFirewallError(f"{where}: its firewall blocks us; ray {ray}", status)
            raise CredentialRefusedError(f"{where}: the credential is wrong or lacks a right: {message}", status)
        if status == 404:
            raise RecordNotFoundError(f"{where}: {message}", status)
        raise RequestRefusedError(f"{where}: {message}", status)

    def _obey_rate_limit_headers(self, response: httpx.Response) -> None:
        """Stops the account's calls until the limit resets once few are left: other connections still need those."""
        names = self.rate_limit_headers
        if names is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            remaining, reset = int(response.headers[names.remaining]), float(response.headers[names.reset])
            limit = int(response.headers.get(names.limit, "0"))
            if remaining <= min(2 * self.connections, limit // 4):
                wait = min(self.longest_wait, reset - self._clock.time_of(response).timestamp())
                if wait > 0:
                    self.rate_limiter.block(wait)

    def _count(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] += amount
