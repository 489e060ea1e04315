"""Documents at other hosts than the marketplace's own: fetched without the credential, if the account names the host.

Their answers say nothing about the marketplace: they count against none of its limits, and pause none of its calls.
"""

import contextlib
import re
import time
from collections.abc import Collection
from functools import cached_property

import httpx

from orders_sync.lanes.lock import held_lanes
from orders_sync.marketplaces.kit.errors import (
    BadAnswerError,
    MarketplaceError,
    MarketplaceUnavailableError,
    RecordNotFoundError,
    RequestRefusedError,
)
from orders_sync.marketplaces.kit.links import read_url
from orders_sync.marketplaces.kit.public_addresses import (
    PrivateAddressError,
    PublicAddressesOnly,
    addresses_of,
    is_public,
)
from orders_sync.marketplaces.kit.retries import Retries, TransientError
from orders_sync.marketplaces.kit.transport import BoundedTransport, BrokenCodingError, TooLargeError, read_body

MAX_DOCUMENT_BYTES = 10 * 1024 * 1024
"""Bytes of one document, before and after it is inflated; a label has some 50 kB."""
MAX_DOCUMENT_SECONDS = 60.0
"""Seconds for one whole document, all tries and redirects included, however slowly it arrives."""
MAX_REDIRECTS = 3
_READ_TIMEOUT_SECONDS = 30.0
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "orders-sync"}


class HostNotAllowedError(MarketplaceError):
    """A document is at a host from which the account does not let documents be fetched. No request was made."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"it is at {host}, which the account does not name in `document_hosts`: not fetched; the first pass after "
            "it is named there fetches it"
        )
        self.host = host


def url_of_document(url: str) -> httpx.URL:
    """The URL of a document. Raises BadAnswerError for a text that is none, or that names a user."""
    try:
        parsed = read_url(url)
    except ValueError:
        raise BadAnswerError("the URL of a document can't be read: not fetched") from None
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    # An empty user is one, too. And browsers read a backslash as a slash, so that the host is another.
    if parsed.scheme not in ("http", "https") or not parsed.host or "@" in authority or "\\" in authority:
        raise BadAnswerError("the URL of a document is no http or https URL, or names a user: not fetched")
    return parsed


class OtherHosts:
    """GETs from other hosts than the marketplace's own, without the account's credential."""

    def __init__(self, base_url: str) -> None:
        """`base_url`: the account's own. Only if its host is a private address, other hosts may be private, too."""
        self._base_url = httpx.URL(base_url)
        self._retries = Retries(0.0)

    def get(self, url: httpx.URL, allowed: Collection[str]) -> bytes:
        """The content at a URL. Redirects are followed to `allowed` hosts only.

        Raises HostNotAllowedError, or another MarketplaceError; its text has the host, and nothing else of the URL. If
        a host requests a pause, by 429 or by 503 with Retry-After, the error concerns all its documents, at once.
        """
        ends = time.monotonic() + MAX_DOCUMENT_SECONDS
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url, allowed)
            answer = self._retries.run(lambda target=url: self._requested(target, ends))
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise BadAnswerError(f"{url.host} redirects a document more than {MAX_REDIRECTS} times: not followed")

    def close(self) -> None:
        """Closes the connections, if there were any."""
        if "_transport" in self.__dict__:
            self._transport.close()

    @cached_property
    def _may_be_private(self) -> bool:
        """Whether the account's own host is a private address: a sandbox, or a shop in our own network."""
        try:
            addresses = addresses_of(self._base_url.host, self._base_url.port or 443)
        except (OSError, UnicodeError):
            return False
        return not all(map(is_public, addresses))

    @cached_property
    def _transport(self) -> BoundedTransport:
        return BoundedTransport(1, None if self._may_be_private else PublicAddressesOnly())

    def _check(self, url: httpx.URL, allowed: Collection[str]) -> None:
        url_of_document(str(url))
        if not is_named(url, allowed):
            raise HostNotAllowedError(url.netloc.decode())
        if url.scheme != "https" and self._base_url.scheme == "https":
            raise BadAnswerError(f"it is at {url.host} without TLS (http): not fetched; allowed is https")

    def _requested(self, url: httpx.URL, ends: float) -> bytes | httpx.URL:
        """The content at a URL, or the URL that the answer redirects to. `ends`: by time.monotonic()."""
        held_lanes().check_noticed()
        left = ends - time.monotonic()
        if left <= 0:
            raise MarketplaceUnavailableError(
                f"{url.host} has not sent the document within {MAX_DOCUMENT_SECONDS:.0f} s"
            )
        request = httpx.Request("GET", url, headers=_HEADERS)
        request.extensions["timeout"] = httpx.Timeout(_READ_TIMEOUT_SECONDS, connect=10.0).as_dict()
        self._transport.allow(left)
        try:
            with contextlib.closing(self._transport.handle_request(request)) as response:
                body = read_body(response, MAX_DOCUMENT_BYTES)
        except PrivateAddressError:
            raise BadAnswerError(f"{url.host} has a private address: not fetched") from None
        except TooLargeError:
            raise BadAnswerError(f"{url.host} sends more than {MAX_DOCUMENT_BYTES // 1024**2} MB: not stored") from None
        except BrokenCodingError as error:
            raise TransientError(f"{url.host} answers {error}", final=BadAnswerError) from None
        except httpx.TransportError as error:
            raise TransientError(
                f"{url.host} does not answer ({type(error).__name__})",
                no_server=isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
            ) from None
        self._retries.note_answer()
        return self._target(response, url) if response.is_redirect else _content(response, body, url.host)

    def _target(self, response: httpx.Response, url: httpx.URL) -> httpx.URL:
        try:
            return read_url(response.headers.get("Location", ""), url)
        except ValueError:
            raise BadAnswerError(f"{url.host} redirects a document to something that is no URL: not followed") from None


def is_named(url: httpx.URL, hosts: Collection[str]) -> bool:
    """Whether the host of a URL is one of `document_hosts`: `*.example.com` is each host below example.com."""
    host = url.netloc.decode().lower()
    return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in hosts)


def _content(response: httpx.Response, body: bytes, host: str) -> bytes:
    status = response.status_code
    if status < 300:
        return body
    where = f"{host} answers with {status}"
    if status == 429 or (status == 503 and "Retry-After" in response.headers):
        raise TransientError(f"{where}: it requests a pause", status=status, give_up=True)
    if status >= 500:
        raise TransientError(where, status=status)
    if status == 404:
        raise RecordNotFoundError(where, status)
    expired = "; the URL may have expired" if status in (401, 403, 410) else ""
    raise RequestRefusedError(where + expired, status)
