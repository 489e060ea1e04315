"""The proxies of docs/web.md, with the configurations that the page shows, in front of a real web server."""

import os
import re
import socket
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp
from websockets.sync.client import connect

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.waiting import limit, wait_for
from orders_sync.web.settings import WebSettings
from orders_sync_tests.certificates import a_certificate, an_authority
from orders_sync_tests.web.conftest import ANNA, PASSWORD, PROXIED, PROXY_PASSWORD, keep, web_server

PAGE = (PROJECT_ROOT / "docs" / "web.md").read_text()
HOSTS = frozenset([PROXIED])
BEN = "ben@example.com"
MODULES = (
    "mpm_event", "authn_core", "authz_core", "authz_user", "ssl", "headers", "proxy", "proxy_http",
    "auth_openidc",
)  # fmt: skip
APACHE = """
ServerRoot /usr/lib/apache2
ServerName localhost
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
{modules}
{user}
Listen 127.0.0.1:{port}
{site}
"""
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxied;
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name orders.example.com;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    {site}
  }}
}}
"""


class Certificate(NamedTuple):
    """The files of a proxy's certificate."""

    certificate: Path
    key: Path
    authority: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificates")
    authority = an_authority(folder, "authority")
    texts = a_certificate(authority, folder, f"DNS:{PROXIED}")
    files = Certificate(folder / "proxy.pem", folder / "proxy.key", authority.certificate)
    for file, text in zip(files[:2], texts, strict=True):
        file.write_text(text)
    return files


def configuration(language: str, replacements: Mapping[str, str]) -> str:
    """The configuration that the page shows in this language, with other names."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    for shown, real in replacements.items():
        assert shown in text, shown
        text = text.replace(shown, real)
    return text


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(*command: str, port: int, log: Path) -> Generator[None]:
    """A proxy for the length of the block."""
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket() as tried:
                return tried.connect_ex(("127.0.0.1", port)) == 0

        try:
            wait_for(listens, what="the proxy", every=0.05)
            yield
        finally:
            process.terminate()


@pytest.fixture
def nginx(dagster: ASGIApp, database_url: str, tmp_path: Path, certificate: Certificate) -> Iterator[int]:
    """The port of nginx, in front of a web server with a password."""
    port = free_port()
    with web_server(dagster, WebSettings(password=PASSWORD, allowed_hosts=HOSTS)) as url:
        site = configuration("nginx", {"http://127.0.0.1:3000": url})
        user = "user nobody nogroup;" if os.geteuid() == 0 else ""
        file = tmp_path / "nginx.conf"
        file.write_text(
            NGINX.format(
                folder=tmp_path,
                port=port,
                certificate=certificate.certificate,
                key=certificate.key,
                site=site,
                user=user,
            )
        )
        with running("nginx", "-c", str(file), port=port, log=tmp_path / "error.log"):
            yield port


@pytest.mark.needs("nginx")
@pytest.mark.needs("openssl")
def test_nginx_passes_on_hosts_cookies_and_websockets(nginx: int, certificate: Certificate) -> None:
    import ssl

    trusted = ssl.create_default_context(cafile=str(certificate.authority))
    headers = {"Host": f"{PROXIED}:{nginx}", "Accept": "text/html"}
    sni = {"sni_hostname": PROXIED}
    with httpx.Client(
        base_url=f"https://127.0.0.1:{nginx}", verify=trusted, headers=headers, trust_env=False
    ) as client:
        entered = client.post(
            "/operations/login", data={"password": PASSWORD}, extensions=sni,
            headers={"Origin": f"https://{PROXIED}:{nginx}"},
        )  # fmt: skip
        assert entered.status_code == 303
        assert "Secure" in entered.headers["set-cookie"]
        cookie = entered.headers["set-cookie"].partition(";")[0]
        assert client.get("/operations", headers={"Cookie": cookie}, extensions=sni).status_code == 200
        foreign = client.get("/operations", headers={"Cookie": cookie, "Host": "evil.example"}, extensions=sni)
        assert foreign.status_code == 403
    with connect(
        f"wss://{PROXIED}:{nginx}/graphql", sock=socket.create_connection(("127.0.0.1", nginx)), ssl=trusted,
        additional_headers={"Cookie": cookie}, subprotocols=["graphql-ws"], proxy=None,  # pyright: ignore[reportArgumentType]
    ) as opened:  # fmt: skip
        opened.send('{"type": "connection_init"}')
        assert "connection_ack" in str(opened.recv(timeout=limit(20)))


@pytest.fixture
def apache(dagster: ASGIApp, database_url: str, tmp_path: Path, certificate: Certificate) -> Iterator[str]:
    """The address of Apache, at which users log in with OpenID Connect, in front of a web server. Anna is an editor."""
    port = free_port()
    secrets = tmp_path / "secrets.conf"
    secrets.write_text(
        f"Define PROXY_PASSWORD {PROXY_PASSWORD}\nDefine OIDC_SECRET s3cret\nDefine COOKIE_SECRET c00kie\n"
    )
    users = [User(sub=name.partition("@")[0], claims={"email": name, "email_verified": True}) for name in (ANNA, BEN)]
    settings = WebSettings(proxy_password=PROXY_PASSWORD, editors=frozenset([ANNA]), allowed_hosts=HOSTS)
    with web_server(dagster, settings) as url, run_server_in_thread(user_claims=users) as provider:
        replacements = {
            "*:443": f"*:{port}",
            "/etc/ssl/certs/orders.example.com.pem": str(certificate.certificate),
            "/etc/ssl/private/orders.example.com.key": str(certificate.key),
            "/etc/orders_sync/apache_secrets.conf": str(secrets),
            "https://login.example.com/": f"http://localhost:{provider.server_port}/",
            "https://orders.example.com/oidc": f"https://orders.example.com:{port}/oidc",
            "http://127.0.0.1:3000/": f"{url}/",
        }
        file = tmp_path / "apache.conf"
        file.write_text(
            APACHE.format(
                folder=tmp_path,
                port=port,
                modules="\n".join(f"LoadModule {name}_module modules/mod_{name}.so" for name in MODULES),
                user="User nobody\nGroup nogroup" if os.geteuid() == 0 else "",
                site=configuration("apache", replacements),
            )
        )
        with running("apache2", "-f", str(file), "-DFOREGROUND", port=port, log=tmp_path / "error.log"):
            yield f"https://{PROXIED}:{port}"


LogIn = Callable[[str], Page]


@pytest.fixture
def log_in(browser: Browser, apache: str) -> Iterator[LogIn]:
    """Opens the operator's pages in a new browser, and logs a user in at the provider."""
    contexts = [
        browser.new_context(ignore_https_errors=True, viewport={"width": 1200, "height": 800}) for _ in range(2)
    ]
    unused = iter(contexts)

    def log_in(user: str) -> Page:
        page = next(unused).new_page()
        page.set_default_timeout(limit(60) * 1000)
        page.goto(f"{apache}/operations")
        page.get_by_role("button", name=user.partition("@")[0]).click()
        expect(page.get_by_text(user)).to_be_visible()
        return page

    yield log_in
    for context in contexts:
        context.close()


@pytest.mark.ui
@pytest.mark.needs("chromium")
@pytest.mark.needs("apache2")
@pytest.mark.needs("openssl")
def test_users_log_in_at_apache_with_openid_connect(apache: str, log_in: LogIn) -> None:
    editor = log_in(ANNA)
    assert editor.url == f"{apache}/operations"
    keep(editor, "proxy_user")
    with editor.expect_websocket() as opened:
        editor.goto(f"{apache}/runs")
    opened.value.wait_for_event("framereceived")
    expect(editor.get_by_text("Runs").first).to_be_visible()
    reader = log_in(BEN)
    reader.goto(f"{apache}/runs")
    launch = 'mutation {setConcurrencyLimit(concurrencyKey: "k", limit: 1)}'
    send = "query => fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({query})}).then(a => a.text())"
    assert "Unauthorized" in reader.evaluate(send, launch)
    assert "Unauthorized" not in editor.evaluate(send, launch)


@pytest.mark.needs("apache2")
@pytest.mark.needs("openssl")
def test_a_request_of_the_ui_without_a_login_gets_no_login_page(apache: str, certificate: Certificate) -> None:
    port = apache.rpartition(":")[2]
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False, trust_env=False) as client:  # nosec B501
        headers = {"Host": f"{PROXIED}:{port}", "X-Orders-Sync-User": ANNA}
        assert client.post("/graphql", json={"query": "{version}"}, headers=headers).status_code == 401
        asked = client.get("/operations", headers=headers)
        assert (asked.status_code, asked.headers["location"].startswith("http://localhost:")) == (302, True)
