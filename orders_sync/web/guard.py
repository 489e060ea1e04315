"""The guard of the web process: refuses requests that a page of somebody else sends through an operator's browser.

Dagster's web app accepts any Host, and mutations by GET and from pages of other origins: an image on any page could
switch a schedule off, and a page whose name resolves to this machine (DNS rebinding) could read everything. What is
checked follows the OWASP cheat sheets "Cross-Site Request Forgery Prevention" (Origin, Fetch Metadata) and "HTTP
Security Response Headers".
"""

from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
            or _problem_of_origin(headers)
            or _problem_of_fetch_metadata(scope, headers)
            or _problem_of_graphql(scope)
        )

    def _problem_of_host(self, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        if len(hosts) == 1 and host_name(hosts[0]) in self._allowed_hosts:
            return None
        named = ", ".join(repr(host[:100]) for host in hosts) or "none"
        return (
            f"this server is not known by the host that the request names ({named}). Known are "
            f"{', '.join(sorted(self._allowed_hosts))}; the variable ORDERS_SYNC_UI_HOSTS adds others."
        )


def host_name(authority: str) -> str | None:
    """The host in `host:port`, in lower case, without the brackets of an IPv6 address; None: it is not valid."""
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == authority and parts.username is None else None


def _problem_of_origin(headers: Headers) -> str | None:
    """A browser names the page's origin in each websocket and each POST: it must be the server's own."""
    origins = headers.getlist("origin")
    if not origins:
        return None
    if len(origins) == 1 and _is_own(origins[0], headers["host"]):
        return None
    return f"it comes from a page of another origin ({origins[0][:100]!r})."


def _is_own(origin: str, host: str) -> bool:
    scheme, _, authority = origin.partition("://")
    default_port = {"http": ":80", "https": ":443"}.get(scheme)
    if default_port is None:
        return False
    return authority.lower().removesuffix(default_port) == host.lower().removesuffix(default_port)


def _problem_of_fetch_metadata(scope: Scope, headers: Headers) -> str | None:
    """Of what other pages cause, only a link that somebody follows passes. Old browsers send no such headers."""
    site = headers.get("sec-fetch-site")
    if site in (None, "same-origin", "none"):
        return None
    is_followed_link = (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return None if is_followed_link else "a page of another site has sent it."


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
