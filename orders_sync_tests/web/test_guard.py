"""The guard: what a page of somebody else can send through an operator's browser is refused, and nothing else."""

import asyncio

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from orders_sync.model.foreign_requests import host_name
from orders_sync.web.guard import Guard
from orders_sync.web.settings import WebSettings
from orders_sync_tests.web.conftest import web_server
from orders_sync_tests.web.dagster_assets import report, reported

FOLLOWED_LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}, trust_env=False)


@pytest.mark.parametrize("path", ["/", "/graphql?query={version}", "/operations", "/server_info"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "localhost@evil.example", ""]
)
def test_a_host_that_is_not_known_is_refused(web: str, path: str, host: str) -> None:
    answer = get(web + path, Host=host)
    assert answer.status_code == 403
    assert "ORDERS_SYNC_UI_HOSTS" in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9999", "[::1]:3000"])
def test_the_names_of_this_machine_are_known(web: str, host: str) -> None:
    assert get(f"{web}/server_info", Host=host).status_code == 200


def test_other_names_are_known_where_they_are_set(dagster: ASGIApp) -> None:
    with web_server(dagster, WebSettings(allowed_hosts=frozenset({"orders.example.com"}))) as url:
        assert get(f"{url}/server_info", Host="orders.example.com").status_code == 200
        assert get(f"{url}/server_info", Host="localhost").status_code == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "ftp://127.0.0.1", ""]
)
def test_a_page_of_another_origin_is_refused(web: str, origin: str) -> None:
    answer = httpx.post(
        f"{web}/graphql", json={"query": report("foreign")}, headers={"Origin": origin}, trust_env=False
    )
    assert (answer.status_code, "another origin" in answer.text) == (403, True)
    assert "foreign" not in reported(web)


def test_our_own_pages_may_send_mutations(web: str) -> None:
    headers = {"Origin": web, "Sec-Fetch-Site": "same-origin"}
    answer = httpx.post(f"{web}/graphql", json={"query": report("ours")}, headers=headers, trust_env=False)
    assert answer.status_code == 200
    assert "ours" in reported(web)


def test_behind_a_proxy_that_ends_tls_the_origin_has_no_port(web: str) -> None:
    for origin in ("https://localhost", "https://localhost:443"):
        assert get(f"{web}/server_info", Host="localhost", Origin=origin).status_code == 200
    assert get(f"{web}/server_info", Host="localhost", Origin="https://localhost:8443").status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something new"])
def test_what_a_page_of_another_site_loads_is_refused_but_its_links_can_be_followed(web: str, site: str) -> None:
    link = {**FOLLOWED_LINK, "Sec-Fetch-Site": site}
    assert httpx.get(web, headers=link, trust_env=False).status_code == 200
    for change in ({"Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "image"}):
        assert httpx.get(web, headers={**link, **change}, trust_env=False).status_code == 403
    assert httpx.post(f"{web}/graphql", headers=link, trust_env=False).status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_mutation_in_a_url_is_refused(web: str, method: str) -> None:
    for query in (report("by_url"), f"query a {{version}} {report('by_url')}", "subscription {x}", "{" * 5000, "{"):
        answer = httpx.request(method, f"{web}/graphql", params={"query": query}, trust_env=False)
        assert answer.status_code == 403
    twice = httpx.request(
        method, f"{web}/graphql", params=[("query", "{version}"), ("query", report("by_url"))], trust_env=False
    )
    assert twice.status_code == 403
    assert "by_url" not in reported(web)


def test_a_query_in_a_url_is_answered(web: str) -> None:
    answer = get(f"{web}/graphql?query=query a {{version}} fragment f on Query {{version}}")
    assert answer.status_code == 400  # Dagster's answer: the fragment is not used
    assert "version" in get(f"{web}/graphql?query={{version}}").json()["data"]


def test_websockets_open_for_our_own_pages_only(web: str) -> None:
    address = f"{web.replace('http', 'ws')}/graphql"
    with connect(address, origin=web, subprotocols=["graphql-ws"], proxy=None) as own:  # pyright: ignore[reportArgumentType]
        own.send('{"type": "connection_init"}')
        assert "connection_ack" in str(own.recv(timeout=20))
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers, proxy=None):
            pass
        assert refused.value.response.status_code == 403


def test_every_answer_has_the_security_headers(web: str) -> None:
    for path, status in (("/", 200), ("/operations", 200), ("/operations/nothing", 404), ("/server_info", 200)):
        answer = get(web + path)
        assert answer.status_code == status
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
    refused = get(web, Host="evil.example")
    assert refused.headers["x-frame-options"] == "DENY"
    assert "script-src" in get(web).headers["content-security-policy"], "Dagster's own policy holds, too"


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"cookie"]),
        st.sampled_from([b"localhost", b"http://localhost", b"cross-site", b"navigate"]) | st.binary(max_size=40),
    ),
    max_size=6,
)


@given(
    kind=st.sampled_from(["http", "websocket"]), path=st.sampled_from(["/graphql", "/graphql/", "/"]) | st.text(),
    query=st.binary(max_size=60) | st.sampled_from([b"query=mutation{x}", b"query=%7Bx%7D", b"query=%00"]),
    headers=HEADERS,
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_whatever_bytes_come_a_request_is_passed_on_or_refused(
    kind: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    passed: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope)

    async def receive() -> Message:
        raise AssertionError("a refusal reads nothing")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "query_string": query, "headers": headers}
    asyncio.run(Guard(app, {"localhost"})(scope, receive, send))
    if passed:
        hosts = [value for name, value in headers if name == b"host"]
        assert [host_name(host.decode("latin-1")) for host in hosts] == ["localhost"]
        assert b"mutation" not in query or not path.startswith("/graphql")
    else:
        assert sent[0].get("status") == 403 or sent[0]["type"] == "websocket.close"
