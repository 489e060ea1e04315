"""The download of a document: the credential stays at the account's own host, and nothing reaches into our network."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orders_sync.marketplaces.kit.auth import HeaderToken
from orders_sync.marketplaces.kit.errors import BadAnswerError, MarketplaceError, RecordNotFoundError
from orders_sync.marketplaces.kit.http import MarketplaceClient
from orders_sync.marketplaces.kit.other_hosts import (
    MAX_DOCUMENT_BYTES,
    HostNotAllowedError,
    OtherHosts,
    is_named,
    url_of_document,
)
from orders_sync.marketplaces.kit.public_addresses import is_public
from orders_sync.marketplaces.kit.rate_limits import LocalRateLimiter
from orders_sync.testing.http_server import served


@dataclass
class Files:
    """A server of files; it notes which path was requested with which credential."""

    redirects: dict[str, str] = field(default_factory=dict[str, str])
    requested: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    url: str = ""

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._respond)])

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def _respond(self, request: Request) -> Response:
        path = request.url.path
        self.requested.append((path, request.headers.get("authorization")))
        if path in self.redirects:
            return RedirectResponse(self.redirects[path])
        if path.startswith("/status/"):
            return Response(status_code=int(path.rpartition("/")[2]))
        if path == "/huge":
            return Response(bytes(MAX_DOCUMENT_BYTES + 1))
        return Response(f"the content of {path}".encode())


@pytest.fixture
def own() -> Iterator[Files]:
    """The account's own host."""
    files = Files()
    with served(files.app()) as files.url:
        yield files


@pytest.fixture
def other() -> Iterator[Files]:
    files = Files()
    with served(files.app()) as files.url:
        yield files


@pytest.fixture
def client(own: Files) -> Iterator[MarketplaceClient]:
    made = MarketplaceClient(
        f"{own.url}/api",
        {"Accept": "application/json"},
        LocalRateLimiter(),
        auth=HeaderToken("Plain secret"),
        connections=1,
        penalty_seconds=1.0,
        outage_minutes=0,
    )
    yield made
    made.close()


def test_the_own_host_gets_the_credential(client: MarketplaceClient, own: Files) -> None:
    assert client.download(f"{own.url}/files/1.pdf?key=2", [], []) == b"the content of /files/1.pdf"
    assert own.requested == [("/files/1.pdf", "Plain secret")]
    assert client.metrics()["calls"] == 1


def test_another_host_gets_no_credential_and_counts_as_no_call(client: MarketplaceClient, other: Files) -> None:
    assert client.download(f"{other.url}/1.pdf", [], [other.host]) == b"the content of /1.pdf"
    assert other.requested == [("/1.pdf", None)]
    assert client.metrics()["calls"] == 0


def test_another_host_that_is_not_named_is_not_asked(client: MarketplaceClient, other: Files) -> None:
    with pytest.raises(HostNotAllowedError, match=rf"it is at {other.host}, which the account does not name"):
        client.download(f"{other.url}/1.pdf?signature=abc", [], ["labels.example.com"])
    assert other.requested == []


def test_a_redirect_to_another_host_loses_the_credential_and_gets_it_back_nowhere(
    client: MarketplaceClient, own: Files, other: Files
) -> None:
    own.redirects["/1.pdf"] = f"{other.url}/2.pdf"
    assert client.download(f"{own.url}/1.pdf", [], [other.host]) == b"the content of /2.pdf"
    assert other.requested == [("/2.pdf", None)]
    other.redirects["/2.pdf"] = f"{own.url}/api/orders"
    with pytest.raises(HostNotAllowedError):
        client.download(f"{own.url}/1.pdf", [], [other.host])
    assert own.requested == [("/1.pdf", "Plain secret"), ("/1.pdf", "Plain secret")]


def test_redirects_without_an_end_are_not_followed(client: MarketplaceClient, own: Files, other: Files) -> None:
    own.redirects["/1.pdf"] = f"{own.url}/1.pdf"
    other.redirects["/1.pdf"] = f"{other.url}/1.pdf"
    for url in (own.url, other.url):
        with pytest.raises(BadAnswerError, match="more than 3 times"):
            client.download(f"{url}/1.pdf", [], [other.host])


@pytest.mark.parametrize("host", ["own", "other"])
def test_a_redirect_to_a_host_that_can_not_be_read_is_not_followed(
    client: MarketplaceClient, own: Files, other: Files, host: str
) -> None:
    files = own if host == "own" else other
    files.redirects["/1.pdf"] = "https://xn--zz--.example/1.pdf"
    with pytest.raises(BadAnswerError, match="to something that is no URL: not followed"):
        client.download(f"{files.url}/1.pdf", [], [other.host])


@pytest.mark.parametrize("host", ["own", "other"])
def test_a_document_that_is_too_large_is_not_read_to_its_end(
    client: MarketplaceClient, own: Files, other: Files, host: str
) -> None:
    url = (own if host == "own" else other).url
    with pytest.raises(BadAnswerError, match="more than 10 MB"):
        client.download(f"{url}/huge", [], [other.host])


@pytest.mark.parametrize("host", ["own", "other"])
def test_an_error_names_the_host_and_nothing_else_of_the_url(
    client: MarketplaceClient, own: Files, other: Files, host: str, no_backoff: None
) -> None:
    url = (own if host == "own" else other).url
    for status in (403, 404, 500):
        with pytest.raises(MarketplaceError) as caught:
            client.download(f"{url}/status/{status}?signature=abc&buyer=Hugo", [], [other.host])
        assert caught.value.status == status
        assert isinstance(caught.value, RecordNotFoundError) == (status == 404)
        for part in ("signature", "Hugo", "/status"):
            assert part not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://own/1.pdf", "http://user:password@127.0.0.1/1.pdf", "/static/1.pdf", "http://", "http://[::1", ""]
)
def test_a_text_that_is_no_usable_url_is_an_error(client: MarketplaceClient, own: Files, url: str) -> None:
    with pytest.raises(BadAnswerError, match="URL of a document") as caught:
        client.download(url, [], ["127.0.0.1", "own"])
    assert "password" not in str(caught.value)
    assert own.requested == []


@given(
    st.text() | st.builds("http://{}".format, st.text()) | st.builds("https://[{}]:{}/".format, st.text(), st.text())
)
def test_whatever_text_a_marketplace_has_for_a_url_gives_a_url_or_an_error(text: str) -> None:
    try:
        url = url_of_document(text)
    except BadAnswerError:
        return
    assert url.host
    assert not url.userinfo
    assert is_named(url, []) is False


@pytest.mark.parametrize(
    ("allowed", "url", "is_allowed"),
    [
        ("labels.example.com", "https://labels.example.com/1", True),
        ("labels.example.com", "https://LABELS.example.com:443/1", True),
        ("labels.example.com", "https://labels.example.com:8443/1", False),
        ("labels.example.com:8443", "https://labels.example.com:8443/1", True),
        ("labels.example.com", "https://labels.example.com.evil.example/1", False),
        ("labels.example.com", "https://evil-labels.example.com/1", False),
        ("*.example.com", "https://a.b.example.com/1", True),
        ("*.example.com", "https://example.com/1", False),
        ("*.example.com", "https://evilexample.com/1", False),
    ],
)
def test_the_hosts_that_an_account_names(allowed: str, url: str, is_allowed: bool) -> None:
    assert is_named(httpx.URL(url), ["other.example.com", allowed]) is is_allowed


def test_no_document_is_fetched_without_tls_where_the_marketplace_has_it(other: Files) -> None:
    with pytest.raises(BadAnswerError, match="without TLS"):
        OtherHosts("https://api.example.com").get(httpx.URL(f"{other.url}/1.pdf"), [other.host])
    assert other.requested == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_private_address_is_reached_from_a_marketplace_of_the_internet(host: str) -> None:
    hosts = OtherHosts("https://192.0.2.1.invalid")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.2)
        name = f"{host}:{listening.getsockname()[1]}"
        with pytest.raises(BadAnswerError, match=f"{host} has a private address"):
            hosts.get(httpx.URL(f"https://{name}/1.pdf"), [name])
        with pytest.raises(TimeoutError):
            listening.accept()
    hosts.close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("fec0::1", False), ("64:ff9b:1::1", False), ("::127.0.0.1", False), ("::8.8.8.8", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("fe80::1", False),
        ("fc00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:93.184.216.34", True), ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True), ("2002:7f00:1::", False), ("ff02::1", False),
    ],
)  # fmt: skip
def test_what_a_public_address_is(address: str, expected: bool) -> None:
    assert is_public(address) is expected
