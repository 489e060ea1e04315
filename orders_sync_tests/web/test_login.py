"""The login: without a session nothing is served, sessions can't be made up, and passwords can't be guessed."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from starlette.types import ASGIApp
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from orders_sync.testing.waiting import limit
from orders_sync.web import sessions
from orders_sync.web.login import local_target
from orders_sync.web.sessions import MAX_FAILURES, OPERATOR, Attempts, Sessions
from orders_sync_tests.web.conftest import PASSWORD, READER_PASSWORD, web_server
from orders_sync_tests.web.dagster_assets import report

PAGE = {"Accept": "text/html"}


@pytest.fixture
def browser(guarded: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded, headers=PAGE, trust_env=False) as client:
        yield client


def log_in(browser: httpx.Client, password: str = PASSWORD, target: str = "/runs", **headers: str) -> httpx.Response:
    return browser.post("/operations/login", params={"next": target}, data={"password": password}, headers=headers)


@pytest.mark.parametrize("path", ["/", "/runs?a=b", "/operations", "/operations/documents/content?order=1"])
def test_a_page_leads_to_the_login_and_back(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 303
    shown = browser.get(answer.headers["location"])
    assert "Password" in shown.text
    form = re.search(r'action="([^"]+)"', shown.text)
    assert form is not None
    entered = browser.post(form[1].replace("&amp;", "&"), data={"password": PASSWORD})
    assert (entered.status_code, entered.headers["location"]) == (303, path)
    assert browser.get("/operations").status_code == 200


@pytest.mark.parametrize(
    "path", ["/graphql", "/server_info", "/logs/x", "/report_asset_materialization/x", "/operations/waiting/hold"]
)
def test_everything_else_is_refused(browser: httpx.Client, path: str) -> None:
    answer = browser.post(path, json={"query": report("without_login")})
    assert (answer.status_code, answer.text) == (401, "Log in first: /operations/login\n")


def test_websockets_need_a_session(guarded: str, browser: httpx.Client) -> None:
    address = f"{guarded.replace('http', 'ws')}/graphql"
    with pytest.raises(InvalidStatus) as refused, connect(address, proxy=None):
        pass
    assert refused.value.response.status_code == 403
    log_in(browser)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with connect(address, additional_headers={"Cookie": cookie}, subprotocols=["graphql-ws"], proxy=None) as opened:  # pyright: ignore[reportArgumentType]
        opened.send('{"type": "connection_init"}')
        assert "connection_ack" in str(opened.recv(timeout=20))


def test_the_cookie_is_kept_from_scripts_and_other_sites(browser: httpx.Client) -> None:
    cookie = log_in(browser).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie


def test_behind_tls_the_cookie_is_sent_by_tls_only(browser: httpx.Client) -> None:
    assert "Secure" in log_in(browser, host="localhost", origin="https://localhost").headers["set-cookie"]


def test_a_wrong_password_opens_nothing(browser: httpx.Client) -> None:
    for wrong in ("", "correct horse batteryx", PASSWORD.upper()):
        answer = log_in(browser, wrong)
        assert (answer.status_code, "The password is wrong." in answer.text) == (403, True)
    assert browser.get("/operations").status_code == 303


def test_after_ten_wrong_passwords_none_is_compared_for_a_while(browser: httpx.Client) -> None:
    for _ in range(MAX_FAILURES):
        assert log_in(browser, "wrong").status_code == 403
    answer = log_in(browser)
    assert (answer.status_code, "Too many wrong passwords" in answer.text) == (429, True)
    assert 0 < int(answer.headers["retry-after"]) <= 301


def test_the_limit_ends_and_right_passwords_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(PASSWORD)
    assert {attempts.role(PASSWORD) for _ in range(2 * MAX_FAILURES)} == {OPERATOR}
    monkeypatch.setattr(sessions, "FAILURE_SECONDS", 0.0)
    assert {attempts.role("wrong") for _ in range(2 * MAX_FAILURES)} == {None}
    assert attempts.seconds_to_wait() == 0


def test_the_end_of_a_session_holds_for_copies_of_its_cookie(guarded: str, browser: httpx.Client) -> None:
    log_in(browser)
    copy = dict(browser.cookies)
    answer = browser.post("/operations/logout")
    assert answer.headers["location"] == "/operations/login"
    assert browser.get("/operations").status_code == 303
    assert httpx.get(f"{guarded}/operations", cookies=copy, trust_env=False).status_code == 401


def test_a_cookie_that_we_have_not_signed_is_worth_nothing(
    dagster: ASGIApp, guarded: str, browser: httpx.Client
) -> None:
    log_in(browser)
    ((name, value),) = browser.cookies.items()
    session, _, signature = value.rpartition(".")
    beginning, _, until = session.partition(".")
    with web_server(dagster) as other:
        foreign = dict(httpx.get(f"{other}/operations/nothing", trust_env=False).cookies)[name]
    for made_up in (
        f"{beginning}.{int(until) + 9}.{signature}", f"x{value}", session, "", ".", "..", "é", "a.b.c", foreign,
        f"{session}.{Sessions(3000).form_token(session)}",
    ):  # fmt: skip
        headers = {b"Cookie": f"{name}={made_up}".encode()}
        assert httpx.get(f"{guarded}/server_info", headers=headers, trust_env=False).status_code == 401


def test_a_session_ends_after_a_day_of_work(monkeypatch: pytest.MonkeyPatch, browser: httpx.Client) -> None:
    monkeypatch.setattr(sessions, "SESSION_SECONDS", -1)
    log_in(browser)
    value = browser.cookies.get("orders_sync_session_3000")
    assert value is None, "the browser has thrown it away"
    monkeypatch.setattr(sessions, "SESSION_SECONDS", 3600)
    log_in(browser)
    monkeypatch.setattr(sessions.time, "time", lambda: 4_000_000_000.0)
    assert browser.get("/operations").status_code == 303


def test_a_link_of_another_site_finds_the_session(browser: httpx.Client) -> None:
    """A browser does not send the cookie with it; it does with the request that our answer leads to."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = browser.get('/runs?a="><script>', headers=link)
    assert answer.status_code == 200
    assert 'content="0;url=/runs?a=%22%3E%3Cscript%3E"' in answer.text


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "", "runs", "/a\nb", "javascript:x"]
)
def test_the_login_leads_to_pages_of_this_server_only(target: str) -> None:
    assert local_target(target) == "/operations"


def test_a_path_that_names_another_server_leads_to_the_start_page(guarded: str) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", **PAGE}
    with socket.create_connection(("127.0.0.1", int(guarded.rpartition(":")[2])), timeout=20) as opened:
        headers = "".join(f"{name}: {value}\r\n" for name, value in {**link, "Connection": "close"}.items())
        opened.sendall(f"GET //evil.example HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        answer = b"".join(iter(lambda: opened.recv(65536), b"")).decode()
    assert 'content="0;url=/operations"' in answer
    assert "evil" not in answer


def test_slow_forms_do_not_pass_the_limit(guarded: str) -> None:
    """Their passwords arrive only after the server has begun to read all of the forms."""
    address = ("127.0.0.1", int(guarded.rpartition(":")[2]))
    head = (
        "POST /operations/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\n"
    )
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(MAX_FAILURES + 5)]
        for each in opened:
            each.sendall(head.encode())
        time.sleep(limit(1))
        for each in opened:
            each.sendall(b"password=wrong")
        statuses = [each.recv(12).decode() for each in opened]
    assert statuses.count("HTTP/1.1 403") == MAX_FAILURES
    assert statuses.count("HTTP/1.1 429") == 5


def test_without_a_password_there_is_no_login(web: str) -> None:
    assert httpx.get(f"{web}/operations/login", trust_env=False).status_code == 404
    assert "Log out" not in httpx.get(f"{web}/operations", trust_env=False).text


def test_health_and_style_need_no_session(guarded: str) -> None:
    assert httpx.get(f"{guarded}/operations/health", trust_env=False).text == "ok\n"
    assert httpx.get(f"{guarded}/operations/static/operations.css", trust_env=False).status_code == 200


def test_the_limit_holds_for_forms_of_any_size(browser: httpx.Client) -> None:
    assert log_in(browser, "x" * 100_000).status_code == 403


def test_a_restart_ends_all_sessions() -> None:
    assert Sessions(3000).form_token("a") != Sessions(3000).form_token("a")


@pytest.mark.parametrize("password", [PASSWORD, READER_PASSWORD])
def test_a_scraper_gets_the_metrics_by_its_password_and_nothing_else(guarded: str, password: str) -> None:
    with httpx.Client(base_url=guarded, auth=("prometheus", password), trust_env=False) as scraper:
        assert scraper.get("/operations/metrics").status_code == 200
        assert scraper.get("/operations/lanes").status_code == 401
        assert scraper.post("/operations/metrics").status_code in (403, 405)


def test_a_scraper_with_a_wrong_password_locks_nobody_out(guarded: str, browser: httpx.Client) -> None:
    with httpx.Client(base_url=guarded, auth=("prometheus", "wrong"), trust_env=False) as scraper:
        for _ in range(12):
            assert scraper.get("/operations/metrics").status_code == 401
        scraper.auth = httpx.BasicAuth("prometheus", PASSWORD)
        assert scraper.get("/operations/metrics").status_code == 401, "no more passwords are compared for a while"
    assert log_in(browser).status_code == 303
