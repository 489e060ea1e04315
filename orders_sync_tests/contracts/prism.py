"""Prism in front of a server: it compares every request and answer with a published contract."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import free_port
from orders_sync.testing.http_server import served
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests import npm_packages
from orders_sync_tests.contracts.documents import Document

FOLDER = PROJECT_ROOT / ".prism"
PACKAGES = {"@stoplight/prism-cli": "5.14.2"}
#: Headers that concern one connection only, or that the server of the answer sets itself.
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host"}


@dataclass(frozen=True)
class Violation:
    """A difference between the contract and a request or an answer."""

    operation: str
    """E.g. `POST /ws/orders/{order_id}`."""
    status: int
    """The answer's status."""
    where: str
    """E.g. `response.body.orders.*.customer`; the position in a list is `*`."""
    message: str

    def __str__(self) -> str:
        return f"{self.operation} → {self.status}: {self.where}: {self.message}"


@dataclass
class Record:
    """What went through Prism."""

    exchanges: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """The operation and the answer's status of each request."""
    violations: list[Violation] = field(default_factory=list[Violation])


def install() -> None:
    """Installs Prism into a folder of its own, unless it is there."""
    npm_packages.install(FOLDER, PACKAGES, program="prism")


@contextmanager
def validating_proxy(upstream: str, documents: Sequence[Document]) -> Iterator[tuple[str, Record]]:
    """An address in front of `upstream`, and what is recorded there while the block lasts."""
    record = Record()
    with ExitStack() as stack:
        prisms = [(document, stack.enter_context(_prism(document, upstream))) for document in documents]
        address = stack.enter_context(served(_recorder(prisms, record)))
        yield address, record


@contextmanager
def _prism(document: Document, upstream: str) -> Iterator[str]:
    port = free_port()
    contract, log_file = FOLDER / f"{document.file.stem}.json", FOLDER / f"{document.file.stem}.log"
    contract.write_text(document.strict())
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [str(_program()), "proxy", str(contract), upstream, "--port", str(port)],
            cwd=FOLDER, stdout=log, stderr=log, start_new_session=True, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
    try:
        wait_for(lambda: process.poll() is not None or _listens(port), seconds=60, what=f"Prism of {document.file}")
        assert process.poll() is None, f"Prism does not take {document.file}:\n{log_file.read_text()[-2000:]}"
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(limit(10))


def _program() -> Path:
    return FOLDER / "node_modules" / ".bin" / "prism"


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _recorder(prisms: Sequence[tuple[Document, str]], record: Record) -> Starlette:
    """Hands each request to the Prism whose document has its operation, and keeps what Prism says about it."""

    async def exchange(request: Request) -> Response:
        method, path = request.method, request.url.path
        address, operation = prisms[0][1], f"{method} {path}"  # Prism itself reports that it has no such operation
        for document, candidate in prisms:
            published = document.operation(method, path)
            if published is not None:
                address, operation = candidate, published
                break
        query = f"?{request.url.query}" if request.url.query else ""
        headers = {name: value for name, value in request.headers.items() if name not in OF_THE_CONNECTION}
        async with httpx.AsyncClient(trust_env=False, timeout=limit(60)) as client:
            answer = await client.request(
                method, f"{address}{path}{query}", headers=headers, content=await request.body()
            )
        record.exchanges.append((operation, answer.status_code))
        record.violations += _violations(operation, answer)
        kept = {name: value for name, value in answer.headers.items() if name not in OF_THE_CONNECTION}
        return Response(answer.content, answer.status_code, kept)

    return Starlette(routes=[Route("/{path:path}", exchange, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])])


def _violations(operation: str, answer: httpx.Response) -> list[Violation]:
    status = answer.status_code
    if "stoplight.io/prism/errors" in answer.text[:200]:  # Prism's own error, in place of the server's answer
        return [Violation(operation, status, "prism", answer.text)]
    text = answer.headers.get("sl-violations", "")
    return [
        Violation(
            operation, status, _without_positions(".".join(found["location"])), _without_positions(found["message"])
        )
        for found in _listed(text)
    ]


def _listed(header: str) -> list[dict[str, Any]]:
    """The violations of a header; Prism cuts off long ones, which is one more violation."""
    if not header:
        return []
    if header.startswith("["):
        return json.loads(header)
    decoder, position, found = json.JSONDecoder(), header.index("[") + 1, list[dict[str, Any]]()
    while True:
        try:
            violation, position = decoder.raw_decode(header, position)
        except ValueError:
            return [*found, {"location": [], "message": "there are more violations than Prism lists"}]
        found.append(violation)
        position += 1  # the comma


def _without_positions(text: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.|\s|$)", "*", text)
