"""Faults that a request to /sandbox/faults, or a test, switches on."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

LISTS = ("results", "orders", "returns", "tickets", "data")
"""The keys under which the contracts put the records of a list."""
_PLACE = "the place of an oddity"
KINDS = {
    "status": "answers with `status`, `headers` and `body`, and does nothing else",
    "lose_answer": "carries the request out, then breaks the connection",
    "reset": "breaks the connection in the middle of the body",
    "truncate": "sends half of the JSON with a valid length",
    "html": "answers 200 with an HTML page",
    "drip": "sends the body a few bytes at a time, over `seconds` in total",
    "delay": "waits for `seconds`, then answers",
    "huge": "answers with `bytes` bytes",
    "empty_page": "removes the records of the page, but keeps `next`",
    "looping_next": "makes `next` refer to the page itself",
    "no_filter": "ignores the filters by date",
    "sparse": "removes `fields` from every record",
    "patch": "sets the values of `fields` in every record",
    "oddity": "puts the bytes of `text` (Latin-1), JSON or not, under the key `oddity` into the page's first record",
    "repeat": "lists the last record of the page twice",
    "redirect": "redirects to `location`",
    "arrive": "adds a new order after each page",
    "time": "moves the clock by `minutes` after each page: orders arrive, change, and move between pages",
}
"""Every kind of fault, with what it does; the names in backticks are its `details`."""


@dataclass
class Fault:
    """A fault of a kind (KINDS) for the requests that match it."""

    kind: str
    path: str = "/ws"
    """The start of the path."""
    method: str | None = None
    """The HTTP method; None: any."""
    times: int = 1
    """How many requests it affects; 0: all, until it is switched off."""
    after: int = 0
    """How many matching requests pass unaffected first."""
    page: int | None = None
    """The query's page number; None: any."""
    details: dict[str, Any] = field(default_factory=dict)
    """The parameters of the kind."""
    used: int = 0
    """How many requests it has affected."""

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Fault":
        """A fault from a JSON object: keys that are no attribute are `details`.

        Raises ValueError for an unknown kind.
        """
        if document.get("kind") not in KINDS:
            raise ValueError(f"kind: there is no fault {document.get('kind')!r}; allowed are {', '.join(KINDS)}")
        attributes = {"kind", "path", "method", "times", "after", "page"}
        chosen = {key: value for key, value in document.items() if key in attributes}
        return cls(**chosen, details={key: value for key, value in document.items() if key not in attributes})

    def matches(self, request: Request) -> bool:
        """Whether the fault affects this request. Counts the request: call it once for each."""
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


class BrokenResponse(Response):
    """A response that announces more bytes than it sends, so that the server breaks the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[:100], "more_body": False})


def replacement(fault: Fault) -> Response | None:
    """The response that a fault sends in place of the marketplace's; None: the endpoint must be called."""
    details = fault.details
    if fault.kind == "status":
        body = details.get("body", {"error": {"code": "sandbox", "message": "switched on"}})
        content = body if isinstance(body, str) else json.dumps(body)
        media = "text/html" if content.lstrip().startswith("<") else "application/json"
        return Response(content, details.get("status", 500), headers=details.get("headers"), media_type=media)
    if fault.kind == "html":
        return Response("<html><body>Just a moment…</body></html>", media_type="text/html")
    if fault.kind == "reset":
        return BrokenResponse(b'{"count": 1, "results": [')
    if fault.kind == "huge":
        return Response(b'{"x": "' + b"a" * int(details.get("bytes", 50_000_000)) + b'"}')
    if fault.kind == "redirect":
        return Response(status_code=302, headers={"Location": str(details["location"])})
    return None


def altered(fault: Fault, document: dict[str, Any], request: Request) -> dict[str, Any]:
    """A list's document as the fault changes it; the same document for other faults, and where there is no list."""
    name = next((name for name in LISTS if isinstance(document.get(name), list)), None)
    if name is None:
        return document
    records = document[name]
    fields = fault.details.get("fields")
    if fault.kind == "empty_page":
        return {**document, name: []}
    if fault.kind == "looping_next":
        page = request.query_params.get("page", "1")
        return {**document, "next": f"https://www.backmarket.fr{request.url.path}?page={page}"}
    if fault.kind == "sparse" and fields:
        return {**document, name: [{k: v for k, v in record.items() if k not in fields} for record in records]}
    if fault.kind == "patch" and fields:
        return {**document, name: [{**record, **fields} for record in records]}
    if fault.kind == "oddity" and records:
        return {**document, name: [{**records[0], "oddity": _PLACE}, *records[1:]]}
    if fault.kind == "repeat" and records:
        return {**document, name: [*records, records[-1]]}
    return document


def delivered(fault: Fault, content: bytes) -> Response:
    """The response that carries a finished body, as the fault transmits it."""
    if fault.kind == "oddity":
        odd = str(fault.details.get("text", "NaN")).encode("latin-1")
        return Response(content.replace(json.dumps(_PLACE).encode(), odd), media_type="application/json")
    if fault.kind == "truncate":
        return Response(content[: len(content) // 2], media_type="application/json")
    if fault.kind == "lose_answer":
        return BrokenResponse(b"{")
    if fault.kind == "drip":
        seconds = float(fault.details.get("seconds", 5))
        size = max(1, len(content) // 20)

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(content), size):
                await asyncio.sleep(seconds / 20)
                yield content[start : start + size]

        return StreamingResponse(chunks(), media_type="application/json")
    return Response(content, media_type="application/json")
