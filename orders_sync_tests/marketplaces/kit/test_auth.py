"""Signed requests over real HTTP: a fixed header, and OAuth 2 client credentials that are renewed."""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.marketplaces.kit.auth import ClientCredentials, HeaderToken
from orders_sync.marketplaces.kit.errors import CredentialRefusedError
from orders_sync.marketplaces.kit.http import MarketplaceClient
from orders_sync.marketplaces.kit.rate_limits import LocalRateLimiter
from orders_sync.testing.http_server import served

CLIENT, SECRET = "client-7", "secret-8"


@dataclass
class Provider:
    """A marketplace with a token endpoint: its newest token is the only valid one."""

    url: str = ""
    lifetime: float | None = 3600
    logins: list[dict[str, list[str]]] = field(default_factory=list[dict[str, list[str]]])
    calls: list[str] = field(default_factory=list[str])
    failures: list[int] = field(default_factory=list[int])
    """The statuses that the token endpoint answers first."""
    answer: Any = None
    """What the token endpoint answers instead of a token."""

    async def login(self, request: Request) -> Response:
        self.logins.append(parse_qs((await request.body()).decode()))
        expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers["authorization"] != expected:
            return JSONResponse({"error": "invalid_client"}, 401)
        if self.failures:
            return Response(status_code=self.failures.pop())
        if self.answer is not None:
            return Response(self.answer) if isinstance(self.answer, bytes) else JSONResponse(self.answer)
        expiry = {} if self.lifetime is None else {"expires_in": self.lifetime}
        return JSONResponse({"access_token": f"token-{len(self.logins)}", **expiry})

    async def orders(self, request: Request) -> Response:
        self.calls.append(request.headers["authorization"])
        return Response(status_code=200 if self.calls[-1] == f"Bearer token-{len(self.logins)}" else 401)

    def client(self, secret: str = SECRET, scope: str | None = None) -> "contextlib.closing[MarketplaceClient]":
        return client_with(self.url, ClientCredentials(f"{self.url}/token", CLIENT, secret, scope))


def client_with(url: str, auth: httpx.Auth) -> "contextlib.closing[MarketplaceClient]":
    opened = MarketplaceClient(
        url, {}, LocalRateLimiter(), auth=auth, connections=1, penalty_seconds=1.0, outage_minutes=0
    )
    return contextlib.closing(opened)


def get(client: MarketplaceClient) -> bytes:
    return client.get("/orders", {}, [], bytes)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    routes = [Route("/token", made.login, methods=["POST"]), Route("/orders", made.orders)]
    with served(Starlette(routes=routes)) as made.url:
        yield made


def test_a_fixed_header_is_sent_as_it_is(provider: Provider) -> None:
    with client_with(provider.url, HeaderToken("Plain abc")) as client, pytest.raises(CredentialRefusedError):
        get(client)
    assert provider.calls == ["Plain abc"]


@pytest.mark.parametrize("lifetime", [3600, None])
def test_one_token_serves_many_requests_until_it_expires(provider: Provider, lifetime: float | None) -> None:
    provider.lifetime = lifetime
    with provider.client(scope="orders.read") as client:
        assert [get(client) for _ in range(3)] == [b""] * 3
    assert provider.logins == [{"grant_type": ["client_credentials"], "scope": ["orders.read"]}]


def test_a_token_that_has_expired_is_renewed_before_the_request(provider: Provider) -> None:
    provider.lifetime = 0
    with provider.client() as client:
        assert [get(client) for _ in range(2)] == [b""] * 2
    assert provider.calls == ["Bearer token-1", "Bearer token-2"]
    assert provider.logins == [{"grant_type": ["client_credentials"]}] * 2


def test_a_token_that_is_refused_is_renewed_once_and_the_request_repeated(provider: Provider) -> None:
    with provider.client() as client:
        get(client)
        provider.logins.append({})  # the marketplace has withdrawn token-1
        assert get(client) == b""
        provider.calls.clear()
        provider.logins += [{}] * 2
        provider.answer = {"access_token": "token-1", "expires_in": 3600}
        with pytest.raises(CredentialRefusedError):
            get(client)
    assert provider.calls == ["Bearer token-3", "Bearer token-1"]


def test_a_refused_login_is_an_error_without_id_and_secret(provider: Provider) -> None:
    with provider.client(secret="wrong-9") as client, pytest.raises(CredentialRefusedError) as problem:
        get(client)
    assert str(problem.value) == "127.0.0.1 gives no access token (401): client id or secret is wrong."
    assert problem.value.status == 401
    assert provider.calls == []


@pytest.mark.parametrize("answer", [{"token_type": "Bearer"}, b"[" * 5_000], ids=["object", "deep"])
def test_an_answer_without_a_token_is_an_error(provider: Provider, answer: Any) -> None:
    provider.answer = answer
    with provider.client() as client, pytest.raises(CredentialRefusedError, match="with no token"):
        get(client)


@pytest.mark.parametrize("status", [429, 503])
def test_a_token_endpoint_that_is_down_is_tried_again_and_refuses_no_credential(
    provider: Provider, status: int
) -> None:
    provider.failures = [status]
    with provider.client() as client:
        assert get(client) == b""
    assert provider.calls == ["Bearer token-2"]
