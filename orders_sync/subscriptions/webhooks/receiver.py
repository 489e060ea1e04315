"""One receiver of webhooks: where it is, what it is sent, and what its answers mean."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple

import httpx

from orders_sync.config.secret_values import receiver_url_of, secret_of
from orders_sync.config.subscriptions import Webhook
from orders_sync.marketplaces.kit.links import read_url
from orders_sync.marketplaces.kit.public_addresses import PrivateAddressError, PublicAddressesOnly
from orders_sync.marketplaces.kit.transport import BoundedTransport
from orders_sync.model.errors import UserFacingError
from orders_sync.subscriptions.webhooks.envelope import CONTENT_TYPE, cloud_event
from orders_sync.subscriptions.webhooks.signatures import SecretError, key_of, signature_headers

MAX_PAUSE = timedelta(hours=1)
"""A receiver may ask for a pause of this length at most (Retry-After)."""
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_REFUSES_THE_CALL = (401, 403, 404, 405, 410)
"""Answers that mean that no event at all is accepted at this URL with these secrets."""


class ReceiverError(UserFacingError):
    """A receiver can't be called as configured: which variable, what is wrong, what is allowed."""


class Result(Enum):
    """What a call has come to."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver works, and does not accept this event."""
    FAILED = "failed"
    """The receiver does not work, or asks for a pause: the next event would fail as well."""


class Answer(NamedTuple):
    """What a call has come to, and why."""

    result: Result
    problem: str = ""
    """In one line; '' when it was delivered."""
    pause: timedelta | None = None
    """How long the receiver asks not to be called."""


class Receiver:
    """The receiver of one subscription. Its connections are kept; close it after use."""

    def __init__(self, settings: Webhook) -> None:
        """Reads the URL and the secrets from the environment. Raises ReceiverError."""
        self._settings = settings
        self._url = _url(settings)
        self._keys = _keys(settings)
        backend = None if settings.allow_private else PublicAddressesOnly()
        self._transport = BoundedTransport(settings.concurrency, backend)

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def call(self, content: Mapping[str, Any]) -> Answer:
        """Sends an event. Never raises for what the receiver or the network does."""
        if content.get("buyer") is not None and self._url.scheme != "https" and self._url.host not in _THIS_MACHINE:
            return Answer(Result.FAILED, f"the event has a buyer's data: {self._settings.url} must begin with https")
        body = cloud_event(content)
        headers = {
            **signature_headers(self._keys, str(content["id"]), int(time.time()), body),
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "orders-sync",
        }
        request = httpx.Request("POST", self._url, content=body, headers=headers)
        seconds = self._settings.timeout_seconds
        request.extensions["timeout"] = httpx.Timeout(seconds, connect=min(seconds, 10.0)).as_dict()
        self._transport.allow(seconds)
        try:
            with contextlib.closing(self._transport.handle_request(request)) as response:
                return _answer(response)
        except PrivateAddressError:
            return Answer(
                Result.FAILED, "its host has a private address; `allow_private: true` in its file allows that"
            )
        except httpx.TimeoutException:
            return Answer(Result.FAILED, f"no answer within {seconds:g} s")
        except Exception as error:  # e.g. a host that is no name of one
            return Answer(Result.FAILED, f"it does not answer ({type(error).__name__})")


def _answer(response: httpx.Response) -> Answer:
    """What an answer means. Its body is not read: it may be anything, of any size."""
    status = response.status_code
    if 200 <= status < 300:
        return Answer(Result.DELIVERED)
    problem = f"it answers HTTP {status}"
    if response.has_redirect_location:
        return Answer(Result.FAILED, f"{problem}: redirects are not followed; set the final URL")
    if status in (429, 502, 503, 504) or status in _REFUSES_THE_CALL:
        return Answer(Result.FAILED, problem, _pause(response.headers.get("Retry-After", "")))
    return Answer(Result.FAILED if status >= 500 else Result.REFUSED, problem)


def _pause(retry_after: str) -> timedelta | None:
    """The pause that a Retry-After asks for: seconds, or a date (RFC 9110)."""
    try:
        if retry_after.isdigit():
            pause = timedelta(seconds=min(int(retry_after), int(MAX_PAUSE.total_seconds())))
        else:
            pause = parsedate_to_datetime(retry_after) - datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(pause, timedelta(0)), MAX_PAUSE)


def _url(settings: Webhook) -> httpx.URL:
    text = receiver_url_of(settings.url)
    if text is None:
        raise ReceiverError(f"the environment variable {settings.url} is not set; set it to the receiver's URL")
    try:
        url = read_url(text.strip())
    except ValueError:
        raise ReceiverError(f"{settings.url} is no URL") from None
    allowed = ("https", "http") if settings.allow_private else ("https",)
    if url.scheme not in allowed or not url.host or url.userinfo or url.fragment:
        raise ReceiverError(
            f"{settings.url}: allowed is a URL with {' or '.join(allowed)}, without a user and without a fragment"
        )
    return url


def _keys(settings: Webhook) -> Sequence[bytes]:
    """The keys that sign: that of the secret, and that of the one before while it is replaced."""
    keys: list[bytes] = []
    for variable in filter(None, (settings.secret, settings.former_secret)):
        text = secret_of(variable)
        if text is None:
            if variable == settings.former_secret:  # it was removed after the change
                continue
            raise ReceiverError(
                f"the environment variable {variable} is not set; `orders-sync subscriptions secret` makes a secret"
            )
        try:
            keys.append(key_of(text))
        except SecretError as problem:
            raise ReceiverError(f"the secret in {variable} {problem}") from None
    return keys
