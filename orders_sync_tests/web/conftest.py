"""The whole web application over real HTTP: Dagster's own app on an instance of its own, and our pages."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.types import ASGIApp

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.http_server import served
from orders_sync.testing.waiting import limit
from orders_sync.web.app import web_app
from orders_sync.web.dagster_app import dagster_app
from orders_sync.web.limits import BoundedProtocol
from orders_sync.web.settings import WebSettings
from orders_sync_tests import debian_packages

ARTIFACTS = PROJECT_ROOT / "artifacts"
REBOUND = "rebound.example"
"""A name that the attacker's DNS server lets point to this machine."""
PROXIED = "orders.example.com"
"""The name of the proxy."""
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", f"--host-resolver-rules={','.join(f'MAP {name} 127.0.0.1' for name in (REBOUND, 'evil.example', PROXIED))}",
]  # fmt: skip
expect.set_options(timeout=limit(30) * 1000)


@pytest.fixture(scope="session")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIApp]:
    """Dagster's web app, without a code location."""
    folder = tmp_path_factory.mktemp("dagster")
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    quiet = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(folder), quiet) as instance, dagster_app(instance, workspace) as app:
        yield app


@contextmanager
def web_server(dagster: ASGIApp, settings: WebSettings | None = None) -> Iterator[str]:
    with served(web_app(dagster, settings or WebSettings()), http=BoundedProtocol) as url:
        yield url


@pytest.fixture
def web(dagster: ASGIApp, database_url: str) -> Iterator[str]:
    """The address of the web server, without a login."""
    with web_server(dagster) as url:
        yield url


PASSWORD = "correct horse battery"
READER_PASSWORD = "may only look at it"


@pytest.fixture
def guarded(dagster: ASGIApp, database_url: str) -> Iterator[str]:
    """The address of the web server, with a login."""
    with web_server(dagster, WebSettings(password=PASSWORD, reader_password=READER_PASSWORD)) as url:
        yield url


PROXY_PASSWORD = "0123456789abcdef0123456789abcdef"
ANNA = "anna@example.com"


def basic(user: str, password: str = PROXY_PASSWORD) -> dict[str, str]:
    """The header by which a proxy names its user."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.fixture
def proxied(dagster: ASGIApp, database_url: str) -> Iterator[str]:
    """The address of the web server, which a proxy is in front of. Of its users, Anna may change things."""
    with web_server(dagster, WebSettings(proxy_password=PROXY_PASSWORD, editors=frozenset([ANNA]))) as url:
        yield url


def password_file(folder: Path, text: str = f"{PASSWORD}\n", mode: int = 0o600) -> Path:
    file = folder / "password"
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=debian_packages.find("chromium"), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(limit(60) * 1000)
    yield opened
    context.close()


def keep(page: Page, name: str) -> Path:
    """Keeps a screenshot as an artefact of the run."""
    ARTIFACTS.mkdir(exist_ok=True)
    path = ARTIFACTS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
