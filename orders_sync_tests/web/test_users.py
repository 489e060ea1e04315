"""Users of a proxy: it names them with each request, and shows by its password that it is the proxy."""

import base64
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.types import ASGIApp

from orders_sync.config.environment import EnvironmentVariableError
from orders_sync.config.pages import USER_HEADER
from orders_sync.web.settings import WebSettings, web_settings
from orders_sync.web.users import ProxyUsers, User, user_of, with_user
from orders_sync_tests.web.conftest import ANNA, PASSWORD, PROXY_PASSWORD, basic, password_file, web_server
from orders_sync_tests.web.dagster_assets import report, reported

BEN = "Bén Łódź"
NO_UTF_8 = f"Basic {base64.b64encode(bytes([0xFF]) + f':{PROXY_PASSWORD}'.encode()).decode()}"


@pytest.mark.parametrize(
    "value",
    [
        "", "Basic", "Basic =", "Basic YW5u\xd9To=", "Basic !!!!", f"Bearer {PROXY_PASSWORD}", f"Basic {PROXY_PASSWORD}",
        basic(ANNA, "wrong")["Authorization"], basic(ANNA, "")["Authorization"], basic("")["Authorization"],
        basic(" ")["Authorization"], basic("a\nb")["Authorization"], basic("x" * 101)["Authorization"],
        basic(ANNA, f"{PROXY_PASSWORD}x")["Authorization"], NO_UTF_8,
    ],
)  # fmt: skip
def test_a_request_that_is_not_the_proxys_names_nobody(value: str) -> None:
    assert ProxyUsers(PROXY_PASSWORD).of(Headers({"Authorization": value})) is None


def test_of_several_users_the_editors_may_change_things() -> None:
    users = ProxyUsers(PROXY_PASSWORD, [ANNA])
    assert users.of(Headers(basic(ANNA))) == User(ANNA, reads_only=False)
    assert users.of(Headers(basic(BEN))) == User(BEN, reads_only=True)
    assert ProxyUsers(PROXY_PASSWORD).of(Headers(basic(BEN))) == User(BEN, reads_only=False)


def test_what_a_client_says_about_its_user_is_left_out() -> None:
    scope = {"type": "http", "headers": [(b"X-Orders-Sync-User", b"anna"), (b"accept", b"*/*")]}
    assert with_user(scope, User())["headers"] == [(b"accept", b"*/*")]
    named = with_user(scope, User(BEN))
    assert user_of(named).name == BEN
    assert Headers(scope=named).getlist(USER_HEADER) == ["B%C3%A9n%20%C5%81%C3%B3d%C5%BA"]


def test_who_comes_past_the_proxy_gets_nothing(proxied: str) -> None:
    for headers in ({}, {USER_HEADER: ANNA}, basic(ANNA, PASSWORD), {**basic(ANNA, "x"), USER_HEADER: ANNA}):
        for path in ("/", "/operations", "/graphql"):
            answer = httpx.get(f"{proxied}{path}", headers={"Accept": "text/html", **headers}, trust_env=False)
            assert (answer.status_code, answer.text[:52]) == (
                401,
                "Log in first: open the address of the proxy. It send",
            )
    assert httpx.get(f"{proxied}/operations/health", trust_env=False).text == "ok\n"


def test_a_user_of_the_proxy_is_shown_by_name_and_logs_out_there(proxied: str) -> None:
    shown = httpx.get(f"{proxied}/operations", headers=basic(BEN), trust_env=False).text
    assert f"<span>{BEN}</span>" in shown
    assert "Log out" not in shown


def test_only_an_editor_changes_something_in_dagster(proxied: str) -> None:
    for user, name in ((BEN, "by_ben"), (ANNA, "by_anna")):
        answer = httpx.post(f"{proxied}/graphql", json={"query": report(name)}, headers=basic(user), trust_env=False)
        assert answer.status_code == 200
    assert reported(proxied, headers=basic(BEN)) & {"by_ben", "by_anna"} == {"by_anna"}


def test_a_cookie_that_a_page_gave_a_reader_opens_nothing(dagster: ASGIApp, database_url: str) -> None:
    """The pages give each browser a cookie, for their forms. It is no login, also where there is a login page."""
    settings = WebSettings(password=PASSWORD, proxy_password=PROXY_PASSWORD, editors=frozenset([ANNA]))
    with web_server(dagster, settings) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/operations", headers=basic(BEN)).status_code == 200
        assert client.cookies
        assert client.get("/operations").status_code == 401
        assert client.post("/graphql", json={"query": report("past_the_proxy")}).status_code == 401


def test_the_proxys_password_is_long_and_editors_need_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORDERS_SYNC_UI_EDITORS", f"{ANNA}, ben@example.com")
    with pytest.raises(EnvironmentVariableError, match="PROXY_PASSWORD_FILE is not: nobody is known by name"):
        web_settings("127.0.0.1", 3000)
    monkeypatch.setenv("ORDERS_SYNC_UI_PROXY_PASSWORD_FILE", str(password_file(tmp_path, "x" * 31)))
    with pytest.raises(EnvironmentVariableError, match="has 31 characters; allowed are at least 32"):
        web_settings("127.0.0.1", 3000)
    monkeypatch.setenv("ORDERS_SYNC_UI_PROXY_PASSWORD_FILE", str(password_file(tmp_path, f"{PROXY_PASSWORD}\n")))
    settings = web_settings("127.0.0.1", 3000)
    assert (settings.proxy_password, settings.editors) == (PROXY_PASSWORD, {ANNA, "ben@example.com"})
