"""Faults that can be switched on by request, for tests and demonstrations."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

#: What the contracts call the records of a list's answer.
LISTS = ("results", "orders", "returns", "tickets", "data")
KINDS = {
    "status": "answers with `status`, `headers` and `body`, without doing anything",
    "lose_answer": "does what was asked, then breaks the connection",
    "reset": "breaks the connection in mid-body",
    "truncate": "sends half of the JSON with a valid length",
    "html": "answers 200 with an HTML page",
    "drip": "sends the body a few bytes at a time, `seconds` in all",
    "delay": "waits `seconds` first",
    "huge": "answers with `bytes` bytes",
    "empty_page": "leaves the results of the page empty, but keeps `next`",
    "looping_next": "lets `next` name the page itself",
    "no_filter": "ignores the filters by date",
    "sparse": "leaves the `fields` out of every record",
    "patch": "sets the values of `fields` in every record",
    "repeat": "lists the page's last record twice",
    "redirect": "redirects to `location`",
    "arrive": "lets a new order arrive after each page",
    "time": "lets `minutes` pass after each page: orders arrive, change, and change places",
}


@dataclass
class Fault:
    """One fault: for requests whose path starts with `path`, `times` times (0: until it is cleared)."""

    kind: str
    path: str = "/ws"
    method: str | None = None
    times: int = 1
    after: int = 0
    """Requests to let pass first."""
    page: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    used: int = 0

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Fault":
        if document.get("kind") not in KINDS:
            raise ValueError(f"kind: {document.get('kind')!r} is no fault; allowed are {', '.join(KINDS)}")
        known = {"kind", "path", "method", "times", "after", "page"}
        chosen = {key: value for key, value in document.items() if key in known}
        return cls(**chosen, details={k: v for k, v in document.items() if k not in known})

    def strikes(self, request: Request) -> bool:
        if not request.url.path.startswith(self.path) or self.method not in (None, request.method):
            return False
        if self.page is not None and request.query_params.get("page", "1") != str(self.page):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times and self.used >= self.times:
            return False
        self.used += 1
        return True


class Broken(Response):
    """Promises more than it sends: the server then breaks the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[:100], "more_body": False})


def instead(fault: Fault) -> Response | None:
    """The answer of a fault that needs no real one; None for the others."""
    details = fault.details
    if fault.kind == "status":
        body = details.get("body", {"error": {"code": "sandbox", "message": "switched on"}})
        content = body if isinstance(body, str) else json.dumps(body)
        media = "text/html" if content.lstrip().startswith("<") else "application/json"
        return Response(content, details.get("status", 500), headers=details.get("headers"), media_type=media)
    if fault.kind == "html":
        return Response("<html><body>Just a moment…</body></html>", media_type="text/html")
    if fault.kind == "reset":
        return Broken(b'{"count": 1, "results": [')
    if fault.kind == "huge":
        return Response(b'{"x": "' + b"a" * int(details.get("bytes", 50_000_000)) + b'"}')
    if fault.kind == "redirect":
        return Response(status_code=302, headers={"Location": str(details["location"])})
    return None


def change_document(fault: Fault, document: dict[str, Any], request: Request) -> None:
    """What a fault does to a list's answer."""
    name = next((name for name in LISTS if isinstance(document.get(name), list)), None)
    if name is None:
        return
    results = document[name]
    fields = fault.details.get("fields")
    if fault.kind == "empty_page":
        document[name] = []
    elif fault.kind == "looping_next":
        document["next"] = f"https://www.backmarket.fr{request.url.path}?page={request.query_params.get('page', '1')}"
    elif fault.kind == "sparse" and fields:
        document[name] = [{k: v for k, v in record.items() if k not in fields} for record in results]
    elif fault.kind == "patch" and fields:
        document[name] = [{**record, **fields} for record in results]
    elif fault.kind == "repeat" and results:
        document[name] = [*results, results[-1]]


async def deliver(fault: Fault, content: bytes) -> Response:
    """What a fault does to a finished answer."""
    if fault.kind == "truncate":
        return Response(content[: len(content) // 2], media_type="application/json")
    if fault.kind == "lose_answer":
        return Broken(b"{")
    if fault.kind == "drip":
        seconds = float(fault.details.get("seconds", 5))

        async def drops() -> AsyncIterator[bytes]:
            for start in range(0, len(content), max(1, len(content) // 20)):
                await asyncio.sleep(seconds / 20)
                yield content[start : start + max(1, len(content) // 20)]

        return StreamingResponse(drops(), media_type="application/json")
    return Response(content, media_type="application/json")
