"""How requests are signed: a token in a header, or OAuth 2 client credentials with renewal during a pass."""

import threading
import time
from collections.abc import Generator

import httpx
import msgspec

from orders_sync.marketplaces.kit.errors import CredentialRefusedError
from orders_sync.marketplaces.kit.json_repair import DECODE_ERRORS
from orders_sync.marketplaces.kit.retries import TransientError
from orders_sync.marketplaces.kit.transport import BrokenCodingError, TooLargeError, read_body
from orders_sync.model.known_credentials import note_credential

MAX_TOKEN_BYTES = 1024 * 1024
"""Bytes of an answer to the request for a token."""
RENEW_BEFORE_SECONDS = 60.0
"""How long before its expiry a token is renewed: no request is then under way with an expired one."""
DEFAULT_LIFETIME_SECONDS = 300.0
"""The lifetime of a token whose answer has no `expires_in`, which RFC 6749, 5.1 only recommends."""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float | None = None


class HeaderToken(httpx.Auth):
    """A fixed `Authorization` header, e.g. `Basic …`, `Plain …`, `Bearer …`, or the bare key."""

    def __init__(self, value: str) -> None:
        self.value = value
        note_credential(value)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self.value
        yield request


class ClientCredentials(httpx.Auth):
    """OAuth 2 client credentials (RFC 6749, 4.4). The access token is renewed before it expires and after a 401.

    Raises CredentialRefusedError if the token endpoint gives no token, and TransientError if it can't at the moment;
    the text holds neither id nor secret.
    """

    requires_response_body = True

    def __init__(self, token_url: str, client_id: str, client_secret: str, scope: str | None = None) -> None:
        self.token_url = token_url
        note_credential(client_secret)
        self._basic_auth = httpx.BasicAuth(client_id, client_secret)
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        used = yield from self._current_token()
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == 401:
            with self._lock:
                if self._token == used:  # nobody else has renewed it meanwhile
                    self._renew_at = 0.0
            renewed = yield from self._current_token()
            request.headers["Authorization"] = f"Bearer {renewed}"
            yield request

    def _current_token(self) -> Generator[httpx.Request, httpx.Response, str]:
        """The access token, fetched if there is none that is still valid."""
        with self._lock:
            if time.monotonic() < self._renew_at:
                return self._token
            login = httpx.Request("POST", self.token_url, data=self._form, headers={"Accept": "application/json"})
            response = yield next(self._basic_auth.auth_flow(login))
            try:
                body = read_body(response, MAX_TOKEN_BYTES)
            except (TooLargeError, BrokenCodingError):
                body = b""
            if response.status_code == 429 or response.status_code >= 500:
                raise TransientError(
                    f"{login.url.host} gives no access token ({response.status_code})",
                    certainly_not_done=True,  # the request that needs the token was not sent
                    status=response.status_code,
                )
            if not response.is_success:
                raise CredentialRefusedError(
                    f"{login.url.host} gives no access token ({response.status_code}): client id or secret is wrong.",
                    response.status_code,
                )
            try:
                answer = msgspec.json.decode(body, type=_Token)
            except DECODE_ERRORS:
                raise CredentialRefusedError(
                    f"{login.url.host} answers the request for a token with no token.",
                    response.status_code,
                ) from None
            self._token = answer.access_token
            note_credential(self._token, is_renewed=True)
            lifetime = answer.expires_in if answer.expires_in is not None else DEFAULT_LIFETIME_SECONDS
            self._renew_at = time.monotonic() + max(0.0, lifetime - min(RENEW_BEFORE_SECONDS, lifetime / 2))
            return self._token
