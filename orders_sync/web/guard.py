"""The guard of the web process: refuses requests that a page of somebody else sends through an operator's browser.

Dagster's web app accepts any Host, and mutations by GET and from pages of other origins: an image on any page could
switch a schedule off, and a page whose name resolves to this machine (DNS rebinding) could read everything. The
headers of its answers follow the OWASP cheat sheet "HTTP Security Response Headers".
"""

from collections.abc import Collection
from urllib.parse import parse_qs

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orders_sync.model.foreign_requests import foreign_host, foreign_page

GRAPHQL_PATH = "/graphql"
MAX_GRAPHQL_TOKENS = 20_000
"""A query by GET with more tokens is refused; those of the UI come by POST."""
POLICY_VIOLATION = 1008
"""The code that closes a websocket (RFC 6455, 7.4.1)."""

DAGSTER_POLICY = (
    "frame-ancestors 'none'; base-uri 'none'; object-src 'none'; form-action 'self'; connect-src 'self'; "
    "script-src 'self' 'unsafe-inline'; worker-src 'self' blob:; img-src 'self' data: blob:"
)
"""Holds in addition to the policy of Dagster's own app, which has nonces for scripts. Nothing comes from other hosts:
text of a marketplace that the UI shows as Markdown can't report who looks at it."""

SECURITY_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: a browser then sends `Origin: null` with the forms of our own pages.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Permitted-Cross-Domain-Policies": "none",
}


class Guard:
    """ASGI middleware that refuses what pages of other origins send, and adds the security headers to each answer."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        """`allowed_hosts`: the names under which browsers may reach the server, in lower case, without a port."""
        self._app = app
        self._allowed_hosts = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, _with_security_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": problem[:120]})
        else:
            answer = PlainTextResponse(f"Refused: {problem}\n", status_code=403)
            await answer(scope, receive, _with_security_headers(send))

    def _problem(self, scope: Scope) -> str | None:
        """Why a request is refused; None: it is not."""
        headers = Headers(scope=scope)
        return (
            self._problem_of_host(headers)
            or foreign_page(scope["type"], scope.get("method", ""), headers)
            or _problem_of_graphql(scope)
        )

    def _problem_of_host(self, headers: Headers) -> str | None:
        problem = foreign_host(headers, self._allowed_hosts)
        return problem and f"{problem}; the variable ORDERS_SYNC_UI_HOSTS adds others."


def _problem_of_graphql(scope: Scope) -> str | None:
    """Mutations come in the body of a POST: Dagster's app would run those of an image's URL as well."""
    if scope["path"].rstrip("/") != GRAPHQL_PATH:
        return None
    queries = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("query", ())
    if all(_only_reads(query) for query in queries):
        return None
    return "GraphQL mutations come in the body of a POST with the type application/json, not in a URL."


def _only_reads(query: str) -> bool:
    try:
        document = parse(query, no_location=True, max_tokens=MAX_GRAPHQL_TOKENS)
    except (GraphQLError, RecursionError):
        return False
    return all(
        definition.operation is OperationType.QUERY
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    )


def _with_security_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            del headers["Feature-Policy"]  # Dagster's; browsers report that Permissions-Policy has replaced it
            if "frame-ancestors" not in headers.get("content-security-policy", ""):
                headers.append("Content-Security-Policy", DAGSTER_POLICY)
        await send(message)

    return send_with_headers
