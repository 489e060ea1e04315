"""The whole web application over real HTTP: Dagster's own app on an instance of its own, and our pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from starlette.types import ASGIApp

from orders_sync.testing.http_server import served
from orders_sync.web.app import web_app
from orders_sync.web.dagster_app import dagster_app
from orders_sync.web.settings import WebSettings


@pytest.fixture(scope="session")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIApp]:
    """Dagster's web app, without a code location."""
    folder = tmp_path_factory.mktemp("dagster")
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with dg.DagsterInstance.local_temp(str(folder)) as instance, dagster_app(instance, workspace) as app:
        yield app


@contextmanager
def web_server(dagster: ASGIApp, settings: WebSettings | None = None) -> Iterator[str]:
    with served(web_app(dagster, settings or WebSettings())) as url:
        yield url


@pytest.fixture
def web(dagster: ASGIApp, database_url: str) -> Iterator[str]:
    """The address of the web server, without a login."""
    with web_server(dagster) as url:
        yield url


PASSWORD = "correct horse battery"


@pytest.fixture
def guarded(dagster: ASGIApp, database_url: str) -> Iterator[str]:
    """The address of the web server, with a login."""
    with web_server(dagster, WebSettings(password=PASSWORD)) as url:
        yield url


def password_file(folder: Path, text: str = f"{PASSWORD}\n", mode: int = 0o600) -> Path:
    file = folder / "password"
    file.write_text(text)
    file.chmod(mode)
    return file
