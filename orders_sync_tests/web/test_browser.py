"""The web process in a real headless Chromium: the doors that Dagster's own web server leaves open, and the pages.

Each door is first shown to be open at Dagster's own app. Screenshots land in artifacts/.
"""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from orders_sync.testing.http_server import served
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.web.conftest import PASSWORD, REBOUND, keep
from orders_sync_tests.web.dagster_assets import report, reported

pytestmark = [pytest.mark.ui, pytest.mark.needs("chromium")]


@pytest.fixture
def bare(dagster: ASGIApp) -> Iterator[str]:
    """Dagster's own app, as `dagster dev` serves it."""
    with served(dagster) as url:
        yield url


def evil(html: str) -> Starlette:
    """The web server of an attacker, with one page."""

    async def answer(_: Request) -> HTMLResponse:
        return HTMLResponse(f"<!doctype html><title>evil</title>{html}")

    return Starlette(routes=[Route("/", answer)])


def visit(page: Page, html: str) -> None:
    """Opens a page of another site; returns once everything on it is loaded."""
    with served(evil(html)) as url:
        page.goto(url.replace("127.0.0.1", "evil.example"), wait_until="load")
        page.wait_for_load_state("networkidle")


def image(url: str, asset: str) -> str:
    return f'<img src="{url}/graphql?query={quote(report(asset))}">'


def form(url: str, asset: str) -> str:
    return (
        f'<form method="post" action="{url}/graphql?query={quote(report(asset))}" enctype="text/plain"><input name="a"></form>'
        "<script>document.forms[0].submit()</script>"
    )


@pytest.mark.parametrize("attack", [image, form])
def test_a_page_of_another_site_changes_nothing(
    page: Page, bare: str, web: str, attack: Callable[[str, str], str]
) -> None:
    name = f"by_{attack.__name__}"
    visit(page, attack(bare, f"{name}_open"))
    wait_for(lambda: f"{name}_open" in reported(bare), seconds=20, what="Dagster's own app to be open")
    visit(page, attack(web, f"{name}_guarded"))
    assert f"{name}_guarded" not in reported(web)


READ = """async (url) => {
    const body = JSON.stringify({query: "{version}"})
    const answer = await fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body})
    return [answer.status, await answer.text()]
}"""


def test_a_name_that_was_rebound_to_this_machine_reads_nothing(page: Page, bare: str, web: str) -> None:
    """For the browser the rebound name is the same origin: nothing but the Host header tells."""
    page.goto(f"{bare.replace('127.0.0.1', REBOUND)}/server_info")
    status, text = page.evaluate(READ, "/graphql")
    assert (status, '"version"' in text) == (200, True)
    page.goto(f"{web.replace('127.0.0.1', REBOUND)}/server_info")
    status, text = page.evaluate(READ, "/graphql")
    assert (status, "not known by the host" in text) == (403, True)


def test_no_page_of_ours_is_shown_in_a_frame(page: Page, web: str) -> None:
    for path in ("/", "/operations"):
        visit(page, f'<iframe src="{web}{path}"></iframe>')
        frame = page.frames[-1]
        assert "Operations" not in frame.content()
        assert "dagster" not in frame.content().lower()


OPEN_SOCKET = """(url) => new Promise(done => {
    const socket = new WebSocket(url, "graphql-ws")
    socket.onopen = () => done("open")
    socket.onerror = () => done("refused")
})"""


def test_a_page_of_another_site_opens_no_websocket(page: Page, bare: str, web: str) -> None:
    visit(page, "")
    assert page.evaluate(OPEN_SOCKET, f"{bare.replace('http', 'ws')}/graphql") == "open"
    assert page.evaluate(OPEN_SOCKET, f"{web.replace('http', 'ws')}/graphql") == "refused"


def test_the_dagster_ui_works_behind_the_guard(page: Page, web: str) -> None:
    problems: list[str] = []
    received: list[str | bytes] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            problems.append(message.text)

    page.on("console", note)
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(frame)))
    for path, text in (
        ("/runs", "Runs"),
        ("/asset-groups", "Global asset lineage"),
        ("/automation", "Automation"),
        ("/deployment", "Code locations"),
    ):
        page.goto(web + path)
        expect(page.get_by_text(text).first).to_be_visible()
    page.wait_for_timeout(limit(1) * 1000)  # in which the events of the page are delivered
    assert any("connection_ack" in str(frame) for frame in received)
    assert problems == []


def test_a_user_logs_in_with_a_link_of_another_site_and_out(page: Page, guarded: str) -> None:
    page.goto(f"{guarded}/operations/documents?order=7")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    keep(page, "login")
    page.keyboard.press("Enter")
    expect(page.get_by_text("There is no order 7.")).to_be_visible()
    visit(page, f'<a href="{guarded}/operations">a mail</a>')
    page.get_by_text("a mail").click()
    expect(page.get_by_role("heading", name="Operations")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{guarded}/runs")
    expect(page.get_by_label("Password")).to_be_visible()
