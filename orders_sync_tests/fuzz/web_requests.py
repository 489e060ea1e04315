"""`python -m orders_sync_tests.fuzz.web_requests --seconds 1800`: odd requests to two running web servers.

One asks for a login, which no request has. To the other one, each request comes from a page of somebody else, by its
host, origin or fetch metadata. Whatever else is odd about a request: it changes nothing, shows nothing of Dagster, and
the server goes on. Exits with 1 if that fails; each kind of failure is printed once, with the seed that repeats it.
"""

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import dagster as dg
import httpx

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.testing.databases import orders_database
from orders_sync.testing.http_server import served
from orders_sync.web.app import web_app
from orders_sync.web.dagster_app import dagster_app
from orders_sync.web.limits import BoundedProtocol
from orders_sync.web.settings import WebSettings
from orders_sync_tests.fuzz.inputs import mutated
from orders_sync_tests.web.dagster_assets import report, reported

ASSET = "changed_by_a_request"
CHANGE = report(ASSET)
PASSWORD, PROXY_PASSWORD = "the password of operators", "the password of the proxy, 32 or more"
FOREIGN = (
    b"Host: evil.example", b"Host: localhost.evil.example", b"Origin: https://evil.example", b"Origin: null",
    b"Sec-Fetch-Site: cross-site",
)  # fmt: skip
PATHS = (
    "/graphql", "/graphql/", "//graphql", "/%67raphql", "/graphql?", "/operations/../graphql", "/./graphql", "/graphql%2f",
    "/operations/waiting/hold", "/operations/logout", "/operations/login", "/report_asset_materialization/a", "/logs/x",
    "/server_info", "/", "/runs", "/operations/documents/content?order=1", "/notebook?path=/etc/passwd",
)  # fmt: skip
HEADERS = (
    b"X-Orders-Sync-User: anna", b"x-orders-sync-user:anna", b"Authorization: Basic YW5uYTo=", b"Authorization: Basic",
    b"Cookie: orders_sync_session_3000=operator:x.99999999999.00", b"Cookie: orders_sync_session_3000=.",
    b"X-Forwarded-Host: localhost", b"X-Forwarded-For: 127.0.0.1", b"Forwarded: host=localhost",
    b"X-HTTP-Method-Override: POST", b"Content-Encoding: gzip", b"Expect: 100-continue", b"Upgrade: websocket",
    b"Connection: Upgrade", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Protocol: graphql-ws", b"Accept: text/html", b"Content-Type: text/plain",
    b"Content-Type: multipart/form-data; boundary=x", b"Content-Type: application/graphql",
)  # fmt: skip
ANSWER_SECONDS = 5.0
LOOK_EVERY = 500
"""After so many requests it is looked at whether one has changed something."""


class Servers(NamedTuple):
    """The URLs of the two servers."""

    with_login: str
    without_login: str


@contextmanager
def servers() -> Generator[Servers]:
    """Both servers, with Dagster's own app and an orders database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        orders_database() as url,
        patch.dict(os.environ, {ORDERS_DATABASE_URL: url}),
    ):
        workspace = Path(folder) / "workspace.yaml"
        workspace.write_text("load_from: []\n")
        quiet = {"telemetry": {"enabled": False}, "nux": {"enabled": False}}
        with dg.DagsterInstance.local_temp(folder, quiet) as instance, dagster_app(instance, workspace) as dagster:
            closed = web_app(dagster, WebSettings(password=PASSWORD, proxy_password=PROXY_PASSWORD))
            opened = web_app(dagster, WebSettings())
            with served(closed, http=BoundedProtocol) as first, served(opened, http=BoundedProtocol) as second:
                yield Servers(first, second)


def request(random: Random, foreign: bytes | None) -> bytes:
    """The bytes of a request. `foreign`: the header that shows that another page has sent it, which stays as it is."""
    method = random.choice(["GET", "POST", "POST", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "get"])
    path = random.choice(PATHS)
    body = json.dumps({"query": CHANGE}).encode()
    if random.random() < 0.3:
        path += f"{'&' if '?' in path else '?'}query={quote(CHANGE)}"
    if random.random() < 0.3:
        body = random.choice([f"query={quote(CHANGE)}".encode(), b"password=x&token=y", b"", body * 3])
    headers = [b"Connection: close", b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    headers += random.sample(HEADERS, random.randint(0, 4))
    if foreign is None or not foreign.startswith(b"Host"):
        headers.append(b"Host: localhost")
    if random.random() < 0.5:
        headers = [_odd_header(header, random) for header in headers]
        path = "".join(quote(chr(random.randrange(256))) if random.random() < 0.02 else letter for letter in path)
    random.shuffle(headers)
    lines = [f"{method} {path} HTTP/1.1".encode(), *([] if foreign is None else [foreign]), *headers]
    if random.random() < 0.3:
        body = mutated(body, random)
    whole = b"\r\n".join([*lines, b"", body])
    # With a foreign header, the lines stay lines: else the header might become a part of the body.
    return mutated(whole, random) if foreign is None and random.random() < 0.4 else whole


def _odd_header(header: bytes, random: Random) -> bytes:
    name, _, value = header.partition(b":")
    odd = random.choice([value, value * 2, value.upper(), b"", mutated(value, random) if value else b"x"])
    return b":".join([name if random.random() < 0.8 else name.upper(), odd.replace(b"\r", b"").replace(b"\n", b"")])


def answer_to(url: str, content: bytes) -> bytes | None:
    """What the server sends; None: nothing in time."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=ANSWER_SECONDS) as connection:
        received = bytearray()
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                received += part
                if len(received) > 1_000_000:
                    break
        except TimeoutError:
            return None
        except OSError:  # the server has closed the connection before it had read everything
            pass
        return bytes(received)


def try_request(all_servers: Servers, seed: int) -> tuple[str, str | None]:
    """Sends one request; returns the status that came (`none`: no HTTP), and what is wrong with the answer."""
    random = Random(seed)
    foreign = random.choice([None, *FOREIGN])
    url = all_servers.with_login if foreign is None else all_servers.without_login
    answer = answer_to(url, request(random, foreign))
    if answer is None:
        return "none", "nothing was answered in time"
    status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "none"
    if status.startswith("5"):
        return status, f"the answer is {answer[:200]!r}"
    if foreign is None and (b'{"data"' in answer or status == "101"):
        return status, f"without a login came {answer[:500]!r}"
    return status, None


def changed(all_servers: Servers) -> list[str]:
    """What requests have changed. Raises httpx.HTTPError if a server does not answer any more."""
    for url in all_servers:
        httpx.get(f"{url}/operations/health", trust_env=False, timeout=30).raise_for_status()
    return sorted(reported(all_servers.without_login))


def main() -> int:
    parser = argparse.ArgumentParser(description="Sends odd requests to running web servers.")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1, help="the first request's seed; each further one has the next")
    parser.add_argument("--trials", type=int, default=sys.maxsize)
    options = parser.parse_args()
    statuses, failures = Counter[str](), dict[str, str]()
    until = time.monotonic() + options.seconds
    with servers() as both:
        for seed in range(options.seed, options.seed + options.trials):
            status, problem = try_request(both, seed)
            statuses[status] += 1
            if problem is not None:
                failures.setdefault(problem[:60], f"seed {seed}: {problem}")
            if statuses.total() % LOOK_EVERY == 0 and (found := changed(both)):
                failures.setdefault("something was changed", f"seeds {seed - LOOK_EVERY + 1} to {seed}: {found}")
                break
            if time.monotonic() > until:
                break
        if found := changed(both):
            failures.setdefault("something was changed", f"up to seed {options.seed + statuses.total() - 1}: {found}")
    shown = ", ".join(f"{count:,} × {status}" for status, count in statuses.most_common())
    print(f"{statuses.total():,} requests: {shown}; {len(failures)} kinds of failure")
    for example in failures.values():
        print(f"\n{example}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
